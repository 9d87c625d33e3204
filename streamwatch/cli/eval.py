"""`streamwatch eval`: how good the model is on texts that people have labelled."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamwatch.cli.files import STANDARD, open_input, open_output
from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import note, progress_bar
from streamwatch.cli.stopping import sigterm_interrupts
from streamwatch.errors import BadRecord, PackageMissing
from streamwatch.jsonl import read_lines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamwatch.cli.eval_file import GoldText
    from streamwatch.config import ModelConfig

EXAMPLE = "Example: streamwatch eval headlines.jsonl --task sentiment --plot confusion.png"
BAD_LINES_SHOWN = 10
NO_GROUP = "(none)"


class Task(StrEnum):
    """The heads of the model."""

    sentiment = "sentiment"
    topic = "topic"
    intent = "intent"
    entity = "entity"


class By(StrEnum):
    """What texts are grouped by; `verdicts`: whether a text's entities are judged alike."""

    lang = "lang"
    set = "set"
    source = "source"
    verdicts = "verdicts"


class Part(StrEnum):
    """The parts that training makes of a file."""

    train = "train"
    dev = "dev"
    validation = "validation"


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="Labelled texts; - is stdin.")],
    *,
    task: Annotated[Task, typer.Option(help="Which label to look at.")],
    by: Annotated[
        list[By] | None, typer.Option(help="Group by this too; may be repeated. [default: all that the lines have]")
    ] = None,
    part: Annotated[
        Part | None, typer.Option(help="Only the texts that training puts here, by a hash of their words.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the confusion matrix.")] = None,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Measure the model on labelled texts.

    A line has a `text` and the task's label, such as `"sentiment": "negative"`; for the task entity it has
    `"entities": {"Tesla": "negative"}`. `lang`, `set` and `source` are optional. A bad line is reported with its
    number and left out.
    """
    from streamwatch.cli.eval_view import show
    from streamwatch.learn.evaluate import evaluation
    from streamwatch.model.heads import HEADS

    if task is not Task.entity and By.verdicts in (by or ()):
        message = "verdicts are those on the entities of a text: they need --task entity"
        raise typer.BadParameter(message)
    config, draw = read_config(config_file), _plotter() if plot else None
    with sigterm_interrupts():
        texts, bad_lines = _read(file, task, part)
        probabilities, about = _predict(texts, task, config.model)
        gold = _flat([text.classes for text in texts])
        measured = evaluation(gold, probabilities, HEADS[task], _groups(texts, task, by))
        found = {"file": str(file), "task": task, "part": part, **about, "bad_lines": bad_lines, **measured}
        if plot and draw:
            with open_output(plot) as picture:
                picture.write(draw(found))
    show(found, output)
    if plot:
        note(f"the confusion matrix is in {plot}")


def _plotter() -> Callable[[dict[str, Any]], bytes]:
    """Return what draws a confusion matrix; what it needs is looked for before the model runs for minutes."""
    try:
        from streamwatch.learn.confusion_plot import draw_confusion
    except ModuleNotFoundError as error:
        message = f"--plot needs {error.name}, which is not installed: run `pip install 'matplotlib>=3.10'`"
        raise PackageMissing(message) from error
    import numpy as np

    def draw(found: dict[str, Any]) -> bytes:
        title = f"{found['task']}: accuracy {found['accuracy']:.3f}, macro-F1 {found['macro_f1']:.3f}"
        subtitle = f"{found['rows']:,} rows, {found['model_version']}"
        return draw_confusion(np.array(found["confusion"]["counts"]), found["confusion"]["labels"], title, subtitle)

    return draw


def _read(file: Path, task: Task, part: Part | None) -> tuple[list[GoldText], int]:
    """Return the labelled texts of a file, and how many of its lines are bad; those are reported on stderr."""
    from streamwatch.cli.eval_file import gold_text

    place = "stdin" if file == STANDARD else str(file)
    texts: list[GoldText] = []
    bad = 0
    with open_input(file) as lines:
        for line in read_lines(lines):
            try:
                texts.append(gold_text(line, task))
            except BadRecord as error:
                bad += 1
                if bad <= BAD_LINES_SHOWN:
                    note(f"{place}:{line.number}: {error}")
    if bad > BAD_LINES_SHOWN:
        note(f"{place}: {bad:,} bad lines in all")
    chosen = [text for text in texts if part in (None, text.part)]
    if not chosen:
        found = f"{len(texts):,} usable and {bad:,} bad lines"
        where = f" in the part {part}" if part and texts else ""
        label = "entities" if task is Task.entity else task
        message = f"{place}: found {found}, expected lines with `text` and `{label}`{where}"
        raise BadRecord(message)
    return chosen, bad


def _predict(texts: list[GoldText], task: Task, config: ModelConfig) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the probabilities of every label, and what else is to be told of them."""
    import numpy as np

    from streamwatch.cli.eval_file import predictions
    from streamwatch.model.scorer import Scorer

    scorer = Scorer.load(config)
    found: list[NDArray[np.float32]] = []
    not_in_text = 0
    with progress_bar("{task.completed:,} of {task.total:,} labels") as bar:
        progress = bar.add_task("Scoring", total=sum(len(text.classes) for text in texts))
        for chunk in predictions(texts, task, scorer):
            found.append(chunk.probabilities)
            not_in_text += chunk.not_in_text
            bar.advance(progress, len(chunk.probabilities))
    about: dict[str, Any] = {"model_version": scorer.version}
    if task is Task.entity:
        about["not_in_text"] = not_in_text
    return np.concatenate(found), about


def _groups(texts: list[GoldText], task: Task, by: list[By] | None) -> dict[str, list[str]]:
    """Return for each way to group the labels the group of each; by default the ways that say something."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(by or [way for way in By if way is not By.verdicts or task is Task.entity]):
        values = [getattr(text, name) or NO_GROUP for text in texts]
        if by or set(values) != {NO_GROUP}:
            groups[name] = [value for value, text in zip(values, texts, strict=True) for _ in text.classes]
    return groups


def _flat(classes: list[tuple[int, ...]]) -> NDArray[np.intp]:
    import numpy as np

    return np.array([place for places in classes for place in places], np.intp)
