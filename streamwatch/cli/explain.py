"""`streamwatch explain`: which words make the model say what it says of a text."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from streamwatch.cli.files import STANDARD, open_output
from streamwatch.cli.options import ConfigFile, read_config
from streamwatch.cli.output import note

if TYPE_CHECKING:
    from streamwatch.model.explain import Explanation

EXAMPLE = 'Example: streamwatch explain "Apple cuts its guidance, Tesla soars" --entity AAPL -o html --out why.html'


class Task(StrEnum):
    """What the model says of a text."""

    sentiment = "sentiment"
    topic = "topic"
    intent = "intent"


class Shape(StrEnum):
    """How an explanation is printed."""

    text = "text"
    json = "json"
    html = "html"


def command(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text to explain.")],
    *,
    task: Annotated[Task, typer.Option(help="Which of its labels.")] = Task.sentiment,
    entity: Annotated[
        str, typer.Option(metavar="NAME", help="The sentiment about this company: its ticker, name or spelling.")
    ] = "",
    label: Annotated[
        str, typer.Option(metavar="LABEL", help="Whose probability. [default: the most probable label's]")
    ] = "",
    output: Annotated[
        Shape, typer.Option("-o", "--output", help="For the terminal, for programs, or a page.")
    ] = Shape.text,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write; - is stdout.")] = STANDARD,
    config_file: ConfigFile = None,
) -> None:
    """Show which words speak for a label.

    For each word: how much it adds to the label's probability, against the same text without its words. The model
    reads what it reads in the stream: the text with personal data masked.
    """
    from streamwatch.model.explain import Explainer, Question

    config = read_config(config_file)
    masked = _masked(text)
    try:
        question = Question(masked, task, _spelling(text, masked, entity) if entity else "", label)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    (explanation,) = Explainer.load(config.model).explain([question])
    with open_output(out) as file:
        file.write(_shown(explanation, output, terminal=out == STANDARD and sys.stdout.isatty()).encode())
    if out != STANDARD:
        note(f"the explanation is in {out}")


def _masked(text: str) -> str:
    """Return a text as the scorer gets it."""
    import pyarrow as pa

    from streamwatch.ingest.masking import mask_text
    from streamwatch.records import MAX_TEXT_CHARS

    if not text.strip():
        message = "the text is empty"
        raise typer.BadParameter(message)
    masked: str = mask_text(pa.array([_utf8(text)[:MAX_TEXT_CHARS]]))[0].as_py()
    return masked


def _utf8(text: str) -> str:
    """Return a text without the bytes of the command line that are no UTF-8."""
    return text.encode(errors="replace").decode()


def _spelling(text: str, masked: str, entity: str) -> str:
    """Return how a company is spelt in a text.

    Args:
        text: As it was written: a handle may name a company.
        masked: As the scorer gets it.
        entity: Its ticker, its name, or how it is spelt.
    """
    import pyarrow as pa

    from streamwatch.ingest.entities import Gazetteer
    from streamwatch.model.tokenizer import simplified

    found = Gazetteer.load().entities(pa.array([_utf8(text)]), pa.nulls(1))
    named = list(zip(found.entities.to_pylist()[0], found.mentions.to_pylist()[0], strict=True))
    spellings: list[str] = [
        mention
        for company, mention in named
        if entity.casefold() in {name.casefold() for name in (company["name"], company["ticker"], mention) if name}
    ]
    read = simplified(masked)
    for spelling in (*spellings, entity):
        if spelling in read:
            return spelling
    known = ", ".join(f"{company['name']} ({company['ticker']})" for company, _ in named) or "no company that is known"
    message = f"the text does not name {entity!r}; it names {known}"
    raise typer.BadParameter(message)


def _shown(explanation: Explanation, output: Shape, *, terminal: bool) -> str:
    from streamwatch.cli.explain_view import html_page, terminal_text

    if output is Shape.json:
        data = msgspec.json.encode(explanation)
        return (msgspec.json.format(data, indent=2) if terminal else data).decode() + "\n"
    return html_page(explanation) if output is Shape.html else terminal_text(explanation, terminal=terminal)
