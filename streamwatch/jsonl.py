"""JSON Lines, read line by line with a limit, so that no file is too large and no line can fill the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from streamwatch.errors import BadRecord

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longest line that is read. A longer one is a bad line, and only its beginning is kept."""

_BOM = b"\xef\xbb\xbf"
_SAMPLE_BYTES = 2_000
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Line(NamedTuple):
    """A line with its number, from 1, without its end. `truncated`: it was too long, and this is its beginning."""

    number: int
    data: bytes
    truncated: bool = False


class BadLine(NamedTuple):
    """A line that cannot be used: its number, why, and its beginning."""

    number: int
    reason: str
    data: bytes


def read_lines(file: BinaryIO, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    r"""Yield the lines of a file that are not blank.

    Args:
        file: Open for reading, at its beginning.
        max_bytes: Longest line, in bytes with its end; of a longer one only so much comes, marked `truncated`.

    >>> import io
    >>> list(read_lines(io.BytesIO(b'{"a": 1}\n\n{"b": 2}')))
    [Line(number=1, data=b'{"a": 1}', truncated=False), Line(number=3, data=b'{"b": 2}', truncated=False)]
    """
    number = 0
    while data := file.readline(max_bytes):
        number += 1
        whole = data.endswith(b"\n") or len(data) < max_bytes
        if not whole:
            _skip_rest(file, max_bytes)
        if number == 1:
            data = data.removeprefix(_BOM)
        data = data.strip()
        if data:
            yield Line(number, data if whole else data[:_SAMPLE_BYTES], not whole)


def _skip_rest(file: BinaryIO, max_bytes: int) -> None:
    while rest := file.readline(max_bytes):
        if rest.endswith(b"\n"):
            return


def parse_object(line: Line) -> dict[str, msgspec.Raw]:
    """Return the members of a line's JSON object, in order, each as the JSON text that stands there.

    Raises:
        BadRecord: The line is too long, no UTF-8, or no JSON object.

    >>> bytes(parse_object(Line(1, b'{"price": 1.10}'))["price"])
    b'1.10'
    """
    if line.truncated:
        message = f"longer than {MAX_LINE_BYTES:,} bytes"
        raise BadRecord(message)
    try:
        line.data.decode()
        return _OBJECT.decode(line.data)
    except UnicodeDecodeError as error:
        message = f"invalid UTF-8 at byte {error.start}"
        raise BadRecord(message) from error
    except msgspec.ValidationError as error:
        message = "not a JSON object"
        raise BadRecord(message) from error
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"not JSON: {error}"
        raise BadRecord(message) from error


def sample(data: bytes) -> str:
    """Return the beginning of a bad line as text, for a person to find the mistake."""
    return data[:_SAMPLE_BYTES].decode(errors="replace")
