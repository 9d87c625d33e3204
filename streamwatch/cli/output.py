"""What commands print: data on stdout, as a table, JSON or CSV; everything else on stderr."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from streamwatch.cli.options import Format

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Row = Mapping[str, Any]

_UNLIMITED_COLUMNS = 4_000
_BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_CONTROL = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\N{REPLACEMENT CHARACTER}") | {
    0x09: " ",
    0x0A: " ",
    0x0D: " ",
}


def emit(rows: Sequence[Row], columns: Sequence[str], output: Format) -> None:
    """Print rows on stdout.

    Args:
        rows: The rows; a missing column is empty.
        columns: Which columns, in order; JSON has these alone as well.
        output: As a table, as one JSON array, or as CSV with a header.
    """
    picked = [{name: row.get(name) for name in columns} for row in rows]
    if output is Format.json:
        emit_json(picked)
    elif output is Format.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_csv_cell(value) for value in row.values()] for row in picked)
    else:
        _emit_table(picked, columns)


def emit_record(record: Row, output: Format) -> None:
    """Print one thing: as lines of name and value, as one JSON object, or as CSV with one row."""
    if output is Format.json:
        emit_json(record)
    elif output is Format.csv:
        emit([record], list(record), output)
    else:
        width = max(map(len, record), default=0)
        for name, value in record.items():
            sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {cell(value)}\n")


def emit_json(document: object) -> None:
    """Print one JSON document on stdout; instants are ISO 8601 in UTC, and what JSON cannot say is null."""
    data = msgspec.json.encode(document, enc_hook=str)
    if sys.stdout.isatty():
        data = msgspec.json.format(data, indent=2)
    sys.stdout.write(data.decode() + "\n")


def note(text: str) -> None:
    """Say something to the person at the terminal, on stderr."""
    sys.stderr.write(f"{printable(text)}\n")


def stderr_console() -> Console:
    """Return rich's console for progress and screens, on stderr."""
    from rich.console import Console

    return Console(stderr=True)


def progress_bar(*columns: str) -> Progress:
    """Return a progress bar on stderr; where stderr is no terminal it stays silent.

    Args:
        columns: Texts after the bar; a task's fields may stand in them as `{task.fields[name]}`.
    """
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = stderr_console()
    texts = [TextColumn(text) for text in columns]
    parts = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), *texts]
    return Progress(*parts, TimeElapsedColumn(), console=console, disable=not console.is_terminal, transient=True)


def printable(text: str) -> str:
    r"""Return a text that cannot move the cursor, colour the terminal or turn its direction.

    >>> printable("a\x1b[31mb\u202ec\nd")
    'a�[31mbc d'
    """
    return text.translate(_BIDI).translate(_CONTROL)


def cell(value: object) -> str:
    """Return a value as people read it.

    >>> cell(datetime(2015, 8, 24, 13, 30, tzinfo=UTC)), cell(0.123456), cell(None), cell(["a", "b"])
    ('2015-08-24 13:30', '0.1235', '-', 'a, b')
    """
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return _short_instant(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {cell(item)}" for name, item in value.items())
    return printable(str(value))


def _short_instant(instant: datetime) -> str:
    shown = instant.astimezone(UTC) if instant.tzinfo else instant
    return shown.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def _csv_cell(value: object) -> object:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, datetime | float):
        return msgspec.to_builtins(value)
    return msgspec.json.encode(value, enc_hook=str).decode()


def _emit_table(rows: Iterable[Row], columns: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _UNLIMITED_COLUMNS)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    shown = list(rows)
    for name in columns:
        numbers = any(isinstance(row[name], int | float) for row in shown)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in shown:
        table.add_row(*(Text(cell(value)) for value in row.values()))
    console.print(table)
