"""Files that the commands read and write: `-` is stdin or stdout, and a file appears whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

STANDARD = Path("-")


@contextmanager
def open_input(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; `-` is stdin."""
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


def size_of(path: Path) -> int | None:
    """Return a file's size in bytes; None where it cannot be known beforehand, as with stdin."""
    return path.stat().st_size if path.is_file() else None


@contextmanager
def open_output(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it takes its name only once the block ends well, and is else removed.

    `-` is stdout; what exists and is no regular file, such as a pipe, is written to directly.
    """
    if path == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as pipe:
            yield pipe
        return
    target = path.resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


class LazyOutput:
    """A file that is made at the first write: for what most runs do not write. What an earlier run left is removed."""

    def __init__(self, path: Path) -> None:
        if path.is_file():
            path.unlink()
        self.path = path
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Write bytes."""
        if self._file is None:
            self._file = self.path.open("wb")
        self._file.write(data)

    def close(self) -> None:
        """Close the file, if one was made."""
        if self._file:
            self._file.close()
