"""`streamwatch dead-letters`: what could not be handled, and a second chance for it."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import emit, emit_record, note
from streamwatch.errors import BrokerError
from streamwatch.jsonl import sample

if TYPE_CHECKING:
    from streamwatch.ingest.deadletters import StoredDeadLetter

LIST_EXAMPLE = 'Example: streamwatch dead-letters list --reason "not JSON" --limit 20'
REPLAY_EXAMPLE = 'Example: streamwatch dead-letters replay --reason "is in the future" --yes'
COLUMNS = ("time", "stage", "stream", "partition", "offset", "reason", "bytes", "content")
CONTENT_CHARS = 60

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Only letters whose reason contains this.")]


def list_command(
    *,
    reason: Reason = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the last ones.")] = 50,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """List messages that were set aside: where they stood, why, and how they begin."""
    from streamwatch.ingest.connection import connect
    from streamwatch.ingest.deadletters import read_dead_letters

    letters = read_dead_letters(connect(read_config(config_file)))
    chosen = (stored for stored in letters if reason in stored.letter.reason)
    shown = [_row(stored, output) for stored in deque(chosen, maxlen=limit)]
    emit(shown, COLUMNS, output)
    if output is Format.table and not shown:
        note("no dead letters")


def replay_command(
    *,
    reason: Reason = "",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, the oldest first.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Send messages back to the stream they came from, once what was wrong is mended."""
    from streamwatch.ingest.connection import connect
    from streamwatch.ingest.deadletters import replay_dead_letters

    connection = connect(read_config(config_file))
    planned = replay_dead_letters(connection, reason=reason, limit=limit, dry_run=True)
    if planned.sent and not yes:
        _confirm(planned.sent)
    done = replay_dead_letters(connection, reason=reason, limit=planned.sent) if planned.sent else planned
    emit_record({"sent_back": done.sent, "too_long_to_send_back": done.truncated}, output)


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        message = f"{count:,} messages would go back to their streams: add --yes to send them"
        raise BrokerError(message)
    typer.confirm(f"Send {count:,} messages back to their streams?", abort=True, err=True)


def _row(stored: StoredDeadLetter, output: Format) -> dict[str, Any]:
    letter = stored.letter
    content = sample(letter.value)
    return {
        "time": stored.time,
        "stage": stored.stage,
        "stream": letter.stream,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "bytes": stored.original_bytes,
        "content": content[:CONTENT_CHARS] if output is Format.table else content,
    }


def build_app() -> typer.Typer:
    """Return the group of commands."""
    app = typer.Typer(no_args_is_help=True, help="List what could not be handled; resend it.")
    app.command("list", epilog=LIST_EXAMPLE)(list_command)
    app.command("replay", epilog=REPLAY_EXAMPLE)(replay_command)
    return app
