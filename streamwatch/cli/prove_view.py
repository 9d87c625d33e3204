"""What `streamwatch prove` prints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer

from streamwatch.cli.options import Format
from streamwatch.cli.output import cell, emit, emit_json, note, printable

if TYPE_CHECKING:
    from streamwatch.store.proof import Proof, Replay

COLUMNS = ("told_at", "status", "field", "stored", "replayed")
VERDICT = (
    "alert", "status", "severity", "window_start", "window_end", "seen", "expected", "surprise", "count", "negative",
    "corroboration", "evidence",
)  # fmt: skip
"""What people look at first; the rest of an alert follows from it."""
MOST_ROWS = 20
MOST_CHARS = 60


def show(proof: Proof, output: Format) -> None:
    """Print a proof: as lines, with a table of what differs; as one JSON object; as CSV, a row a difference."""
    rows: list[dict[str, Any]] = [
        {
            "told_at": telling.updated_at,
            "status": telling.status,
            "field": difference.field,
            "stored": difference.stored,
            "replayed": difference.replayed,
        }
        for telling in proof.tellings
        for difference in telling.differences
    ]
    if output is Format.json:
        emit_json(_document(proof))
    elif output is Format.csv:
        emit(rows, COLUMNS, output)
    else:
        typer.echo("\n".join(_lines(proof)))
        first = [row for row in rows if re.split(r"\W", row["field"])[0] in VERDICT] or rows[:MOST_ROWS]
        if first:
            emit([{**row, **_shown(row)} for row in first], COLUMNS, output)
        if len(rows) > len(first):
            note(f"{len(rows) - len(first):,} more values differ; -o csv and -o json have them all")


def _document(proof: Proof) -> dict[str, Any]:
    alert = proof.alert
    return {
        "fingerprint": alert.fingerprint,
        "same": proof.same,
        "monitor": alert.monitor,
        "group": alert.group,
        "onset": alert.onset,
        "model_version": alert.provenance.model_version,
        "program": proof.program,
        "replays": proof.replays,
        "tellings": proof.tellings,
    }


def _lines(proof: Proof) -> list[str]:
    alert = proof.alert
    told, differ = len(proof.tellings), sum(bool(telling.differences) for telling in proof.tellings)
    times = "once" if told == 1 else f"{told} times"
    verdict = f"told {times}, {differ} of them differ" if differ else f"told {times}, and the same comes out each time"
    lines = [
        f"{'DIFFERENT' if differ else 'SAME'} {printable(alert.group)}: {printable(alert.monitor)} ({verdict})",
        f"  onset           {cell(alert.onset)} UTC",
        f"  worst window    {cell(alert.window_start)} to {cell(alert.window_end)}",
        f"  {alert.measure:<14}  {cell(alert.seen)} seen, {cell(alert.expected)} expected, "
        f"surprise {cell(alert.surprise)}",
    ]
    for replay in proof.replays:
        lines += _replay_lines(replay, proof.program)
    return [
        *lines,
        f"  model           {printable(alert.provenance.model_version)}",
        f"  fingerprint     {alert.fingerprint}",
    ]


def _replay_lines(replay: Replay, program: str) -> list[str]:
    since = "the first post on" if replay.from_time is None else f"the state of {cell(replay.from_time)} UTC on"
    offsets = (
        f"{partition}: {replay.after.get(partition, -1) + 1:,} to {last:,}"
        for partition, last in sorted(replay.until.items())
    )
    lines = [
        f"  replayed        {replay.posts:,} posts, from {since}",
        f"  offsets         {'; '.join(offsets)}",
        f"  monitors        {replay.monitors_hash}",
    ]
    if replay.program != program:
        lines.append(f"  program         told by streamwatch {printable(replay.program)}, replayed by {program}")
    return lines


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """Return both sides so that a reader sees that they differ."""
    sides = {side: row[side] for side in ("stored", "replayed")}
    texts = {side: repr(value) if isinstance(value, float) else cell(value) for side, value in sides.items()}
    return {side: text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…" for side, text in texts.items()}
