"""`streamwatch labels`: labels out of files, what people settled on, what to label next, how far they agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from streamwatch.cli.bad_lines import BadLines
from streamwatch.cli.files import STANDARD, open_input, open_output
from streamwatch.cli.options import ConfigFile, Format, Output, parse_instant, read_config
from streamwatch.cli.output import emit, emit_json, emit_record, note

if TYPE_CHECKING:
    import polars as pl

    from streamwatch.desk.label_files import FileLabel
    from streamwatch.jsonl import BadLine
    from streamwatch.records import Label

IMPORT_EXAMPLE = "Example: streamwatch labels import labels.csv --labeller ann"
EXPORT_EXAMPLE = "Example: streamwatch labels export settled.jsonl --agreeing sentiment=2"
QUEUE_EXAMPLE = "Example: streamwatch labels queue --limit 20 --labeller ann"
AGREEMENT_EXAMPLE = "Example: streamwatch labels agreement -o json"
TASKS = ("sentiment", "topic", "intent", "entity")
PICK_COLUMNS = ("post_id", "task", "entity", "worth", "reasons", "text")
CONFLICT_COLUMNS = ("post_id", "task", "entity", "votes", "said")
TEXT_CHARS = 100
QUEUE_POSTS = 100_000

FileFormatName = Literal["csv", "jsonl", "label-studio"]
Agreeing = Annotated[
    list[str] | None,
    typer.Option(metavar="TASK=PEOPLE", help="So many people must agree on a task; may be given again. [default: 1]"),
]


def import_command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help=".csv, .jsonl, or Label Studio's .json; - is stdin.")],
    *,
    labeller: Annotated[str, typer.Option(metavar="NAME", help="Who labelled, where a line does not say.")] = "import",
    form: Annotated[
        FileFormatName | None, typer.Option("--format", help="The format. [default: by the file's name]")
    ] = None,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="When, where a line does not say. [default: the file's own time]")
    ] = "",
    new_labels: Annotated[
        bool, typer.Option("--new-labels", help="Take topics and intents that the model does not know.")
    ] = False,
    errors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where bad lines go. [default: FILE.errors.jsonl]")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line; nothing is sent.")] = False,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Send labels of a file to the stream.

    A line names the post (`post_id`) and has `task` and `gold_label`, or a member a task: `sentiment`, `topic`,
    `intent`, and in JSON Lines `entities`. Labels that are there already are not sent again.
    """
    from streamwatch.desk.entity_labels import with_tickers
    from streamwatch.desk.label_files import LabelReader, format_of
    from streamwatch.desk.label_stream import LabelStream
    from streamwatch.ingest.connection import connect
    from streamwatch.ingest.entities import Gazetteer
    from streamwatch.store.tables import Tables

    config = read_config(config_file)
    name = "stdin" if source == STANDARD else source.name
    chosen = form or format_of(name)
    reader = LabelReader(labeller=labeller, labelled_at=_time_of(source, at), origin=name, new_labels=new_labels)
    beside = None if source == STANDARD else source.with_name(f"{source.name}.errors.jsonl")
    bad_lines = BadLines(source, errors or beside, strict=strict)
    with open_input(source) as file:
        labels = list(_good(reader.read(file, chosen), bad_lines))
    bad_lines.close()
    if any(label.entity for label in labels):
        labels = with_tickers(labels, Gazetteer.load())
    with LabelStream(connect(config), Tables(config.store_url())) as stream:
        stream.send(labels)
    set_aside = str(bad_lines.path) if bad_lines.count and bad_lines.path else None
    counts = {"labels": len(labels), "sent": stream.sent, "there_before": stream.repeated}
    emit_record(counts | {"bad_lines": bad_lines.count, "errors": set_aside}, output)


def _good(found: Iterable[FileLabel | BadLine], bad_lines: BadLines) -> Iterator[Label]:
    from streamwatch.desk.label_files import FileLabel

    for one in found:
        if isinstance(one, FileLabel):
            yield one.label
        else:
            bad_lines.add([one])


def _time_of(source: Path, at: str) -> datetime:
    """Return when labels were made that do not say it: the same each time, so that none is taken for a new one."""
    now = datetime.now(UTC)
    if source == STANDARD:
        return parse_instant(at, now) or now
    return parse_instant(at, now) or datetime.fromtimestamp(int(source.stat().st_mtime), UTC)


def export_command(
    target: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Where the lines go; - is stdout.")],
    *,
    agreeing: Agreeing = None,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Write what people settled on, a line a post, as `eval` and training read it."""
    import polars as pl

    from streamwatch.desk.agreement import settle
    from streamwatch.desk.settled import settled_lines
    from streamwatch.ingest.entities import Gazetteer
    from streamwatch.store.tables import Tables

    tables = Tables(read_config(config_file).store_url())
    settled = settle(tables.scan("labels").collect(), _agreeing(agreeing))
    posts = tables.scan("posts").select("id", "text", "lang", "source", "reply_to")
    own = posts.filter(pl.col("id").is_in(settled["post_id"].unique().implode())).unique("id", keep="last").collect()
    parents = posts.filter(pl.col("id").is_in(own["reply_to"].drop_nulls().unique().implode())).unique("id").collect()
    found = settled_lines(settled, pl.concat([parents, own]), Gazetteer.load().spelt)
    with open_output(target) as file:
        for line in found.lines:
            file.write(msgspec.json.encode(line) + b"\n")
    left_out = {"unknown_posts": found.unknown_posts, "absent_entities": found.absent_entities}
    counts = {"posts": len(found.lines), **left_out}
    if target == STANDARD:
        note(" ".join(f"{name}={value}" for name, value in counts.items()))
    else:
        emit_record(counts | {"output": str(target)}, output)


def queue_command(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    labeller: Annotated[str | None, typer.Option(metavar="NAME", help="Nothing that this person labelled.")] = None,
    agreeing: Agreeing = None,
    posts: Annotated[int, typer.Option(min=1, help="Look at so many posts, the newest.")] = QUEUE_POSTS,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """List the posts whose labels would teach the model most, and why."""
    from streamwatch.desk.label_queue import next_questions
    from streamwatch.store.tables import Tables

    tables = Tables(read_config(config_file).store_url())
    newest = tables.scan("posts").top_k(posts, by="published_at").collect()
    labels = tables.scan("labels").collect()
    picks = next_questions(newest, labels, limit, agreeing=_agreeing(agreeing), labeller=labeller)
    texts = dict(newest.select("id", "text").iter_rows())
    rows: list[dict[str, Any]] = []
    for pick in picks:
        text = texts[pick.post_id]
        shown = text if output is not Format.table else text[:TEXT_CHARS]
        told = [reason.text for reason in pick.reasons]
        rows.append(pick._asdict() | {"worth": round(pick.worth, 4), "reasons": told, "text": shown})
    emit(rows, PICK_COLUMNS, output)
    if not rows:
        note("nothing to ask: no posts, or all of them are settled")


def agreement_command(
    *, agreeing: Agreeing = None, output: Output = Format.table, config_file: ConfigFile = None
) -> None:
    """Say how far labellers agree, and where they do not.

    By task (Fleiss' kappa) and by pair of labellers (Cohen's); then the conflicts. CSV has the conflicts alone.
    """
    from streamwatch.desk.agreement import CONFLICT, PairAgreement, TaskAgreement, by_pair, by_task, settle
    from streamwatch.store.tables import Tables

    labels = Tables(read_config(config_file).store_url()).scan("labels").collect()
    tasks = [found._asdict() for found in by_task(labels)]
    pairs = [found._asdict() for found in by_pair(labels)]
    conflicts = _conflicts(settle(labels, _agreeing(agreeing)), CONFLICT)
    if output is Format.json:
        emit_json({"tasks": tasks, "pairs": pairs, "conflicts": conflicts})
        return
    if output is Format.table:
        emit(tasks, TaskAgreement._fields, output)
        emit(pairs, PairAgreement._fields, output)
        note(f"{len(conflicts):,} conflicts")
    if conflicts or output is Format.csv:
        emit(conflicts, CONFLICT_COLUMNS, output)


def _conflicts(settled: pl.DataFrame, status: str) -> list[dict[str, Any]]:
    return [{name: row[name] for name in CONFLICT_COLUMNS} for row in settled.to_dicts() if row["status"] == status]


def _agreeing(given: list[str] | None) -> dict[str, int]:
    """Read how many people must agree, by task.

    >>> _agreeing(["sentiment=2"])
    {'sentiment': 2}
    """
    found = {}
    for text in given or []:
        task, _, people = text.partition("=")
        if task not in TASKS or not people.isdecimal() or int(people) < 1:
            message = f"{text!r}: expected one of {', '.join(TASKS)} and a number, such as sentiment=2"
            raise typer.BadParameter(message)
        found[task] = int(people)
    return found


def build_app() -> typer.Typer:
    """Return the group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Import and export labels; what to label; agreement.")
    app.command("import", epilog=IMPORT_EXAMPLE)(import_command)
    app.command("export", epilog=EXPORT_EXAMPLE)(export_command)
    app.command("queue", epilog=QUEUE_EXAMPLE)(queue_command)
    app.command("agreement", epilog=AGREEMENT_EXAMPLE)(agreement_command)
    return app
