"""Read a count series, `timestamp,value`, row by row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

from streamwatch.errors import BadRecord
from streamwatch.jsonl import Line, read_lines
from streamwatch.watch.instants import to_us
from streamwatch.watch.series import Row

COLUMNS = ("timestamp", "value")
SHOWN_CHARS = 40
MOST = 2**53


class ReadRow(NamedTuple):
    """A row as it stands in the file: its line, the timestamp's text, and what it says, or why it cannot be used."""

    number: int
    text: str
    row: Row | None
    reason: str = ""


def read_series(file: BinaryIO, place: str) -> Iterator[ReadRow]:
    r"""Yield the rows of a series; blank lines are none.

    Args:
        file: Open for reading.
        place: The file's name, for errors.

    Raises:
        BadRecord: There is no header with the columns `timestamp` and `value`.

    >>> import io
    >>> file = io.BytesIO(b"timestamp,value\n2015-02-26 21:42:53,7\n2015-02-26 21:47:53,x\n")
    >>> rows = list(read_series(file, "a.csv"))
    >>> rows[0].row, rows[1].reason
    (Row(at_us=1424986973000000, value=7), "`value`: found 'x', expected a count, 0 or more")
    """
    lines = read_lines(file)
    header = next(lines, None)
    names = [name.strip().lower() for name in _cells(header)] if header else []
    if any(name not in names for name in COLUMNS):
        found = f"the line {_shown(header)}" if header else "no line"
        message = f"{place}:{header.number if header else 1}: found {found}, expected the header timestamp,value"
        raise BadRecord(message)
    at, value = (names.index(name) for name in COLUMNS)
    last: int | None = None
    for line in lines:
        found_row = _read(line, at, value, last)
        last = found_row.row.at_us if found_row.row else last
        yield found_row


def _read(line: Line, at: int, value: int, last_us: int | None) -> ReadRow:
    text = ""
    try:
        cells = _cells(line)
        text = cells[at].strip() if at < len(cells) else ""
        if len(cells) <= max(at, value):
            message = f"found {len(cells)} cells, expected {max(at, value) + 1}"
            raise BadRecord(message)
        row = Row(_instant(text), _count(cells[value].strip()))
        if last_us is not None and row.at_us <= last_us:
            message = f"`timestamp`: found '{text}', expected one after the row before"
            raise BadRecord(message)
    except BadRecord as error:
        return ReadRow(line.number, text, None, str(error))
    return ReadRow(line.number, text, row)


def _instant(text: str) -> int:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"`timestamp`: found {_cut(text)!r}, expected a time such as 2015-02-26 21:42:53"
        raise BadRecord(message) from error
    return to_us(instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant)


def _count(text: str) -> int:
    try:
        count = float(text)
    except ValueError:
        count = math.nan
    if not 0 <= count <= MOST:
        message = f"`value`: found {_cut(text)!r}, expected a count, 0 or more"
        raise BadRecord(message)
    return round(count)


def _cells(line: Line) -> list[str]:
    try:
        return next(csv.reader([line.data.decode()]))
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"found {_shown(line)}, expected CSV in UTF-8"
        raise BadRecord(message) from error


def _shown(line: Line) -> str:
    return repr(_cut(line.data.decode(errors="replace")))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
