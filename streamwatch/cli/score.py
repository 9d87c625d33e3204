"""`streamwatch score`: scores for a file of texts, without Kafka and without Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from streamwatch.cli.bad_lines import BadLines
from streamwatch.cli.files import STANDARD, open_input, open_output, size_of
from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import emit_record, note, progress_bar
from streamwatch.cli.stopping import sigterm_interrupts
from streamwatch.jsonl import Line, read_lines

if TYPE_CHECKING:
    from streamwatch.config import ModelConfig
    from streamwatch.model.scorer import Scorer

EXAMPLE = "Example: streamwatch score headlines.jsonl scored.jsonl"


@dataclass
class Tally:
    """What a run of `score` did. Seconds count from the first line on, without loading the model."""

    posts: int = 0
    bad_lines: int = 0
    replaced: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the first line."""
        return time.monotonic() - self.started

    @property
    def posts_per_s(self) -> float:
        """Posts scored a second."""
        return self.posts / max(self.seconds, 1e-9)


def command(
    source: Annotated[
        Path, typer.Argument(metavar="IN.jsonl", help="Lines with `text`, replies with `parent` too; - is stdin.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="The lines with their scores; - is stdout.")],
    *,
    errors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where bad lines go. [default: OUT.jsonl.errors.jsonl]")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line; nothing is written.")] = False,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Add scores to every line of a file.

    They are sentiment, topic and intent, and the probabilities of each. Every member of a line stays as it is.
    A bad line is reported with its number, and the run goes on.
    """
    config = read_config(config_file)
    with sigterm_interrupts(), open_input(source) as lines:
        began = time.monotonic()
        scorer = _load(config.model)
        load_s = time.monotonic() - began
        bad_lines = BadLines(source, _errors_path(target, errors), strict=strict)
        tally = _run(lines, scorer, source=source, target=target, bad_lines=bad_lines)
    if tally.replaced:
        note(f"{tally.replaced:,} lines had members of the same names, such as `sentiment`: they were replaced")
    summary = {
        "posts": tally.posts,
        "bad_lines": tally.bad_lines,
        "seconds": round(tally.seconds, 2),
        "posts_per_s": round(tally.posts_per_s, 1),
        "load_seconds": round(load_s, 2),
        "model_version": scorer.version,
        "output": str(target),
        "errors": str(bad_lines.path) if tally.bad_lines and bad_lines.path else None,
    }
    if target != STANDARD:
        emit_record(summary, output)
    else:
        note(" ".join(f"{name}={value}" for name, value in summary.items()))


def _load(config: ModelConfig) -> Scorer:
    from streamwatch.model.scorer import Scorer

    return Scorer.load(config)


def _errors_path(target: Path, named: Path | None) -> Path | None:
    regular = target != STANDARD and (target.is_file() or not target.exists())
    return named or (target.with_name(f"{target.name}.errors.jsonl") if regular else None)


def _run(lines: BinaryIO, scorer: Scorer, *, source: Path, target: Path, bad_lines: BadLines) -> Tally:
    from streamwatch.cli.score_file import chunks, score_chunk

    tally = Tally()
    with (
        progress_bar("{task.fields[posts]:,} posts", "{task.fields[speed]:,.0f}/s") as bar,
        open_output(target) as out,
    ):
        task = bar.add_task("Scoring", total=size_of(source), posts=0, speed=0.0)
        for chunk in chunks(_advancing(read_lines(lines), lambda size: bar.advance(task, size))):
            scored = score_chunk(chunk, scorer)
            bad_lines.add(scored.bad)
            out.write(scored.data)
            tally.posts += scored.posts
            tally.bad_lines += len(scored.bad)
            tally.replaced += scored.replaced
            bar.update(task, posts=tally.posts, speed=tally.posts_per_s)
    bad_lines.close()
    return tally


def _advancing(lines: Iterable[Line], advance: Callable[[int], None]) -> Iterable[Line]:
    for line in lines:
        advance(len(line.data) + 1)
        yield line
