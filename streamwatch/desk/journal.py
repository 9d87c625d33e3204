"""Files of the desk that only its own user may read: written whole or not at all, or line after line."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from streamwatch.errors import StoreError

PRIVATE = 0o600
T = TypeVar("T")


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read; on disk when this returns, and as before when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    number = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


class Journal(Generic[T]):
    """Records appended to a file of JSON lines, and read as it grows. Several processes may append.

    A line is written by one call, so lines never mix; a last line without an end was cut off by a crash, and does not
    count.

    Args:
        path: The file; it and its folder are made at the first record.
        kind: What a line holds.
    """

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._json = msgspec.json.Decoder(kind)
        self._lock = threading.Lock()
        self._records: list[T] = []
        self._read_bytes = 0

    def append(self, record: T) -> None:
        """Write a record; on disk when this returns."""
        line = msgspec.json.encode(record) + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE)
        with os.fdopen(number, "r+b", buffering=0) as file:
            if _is_cut_off(file.fileno()):
                line = b"\n" + line
            file.write(line)
            os.fsync(file.fileno())

    def records(self) -> list[T]:
        """Return every record, oldest first.

        Raises:
            StoreError: A line is not what this journal holds.
        """
        with self._lock:
            if self.path.exists():
                self._read_on()
            return list(self._records)

    def _read_on(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._records += [record for line in whole.splitlines() if (record := self._decoded(line)) is not None]
        self._read_bytes += len(whole)

    def _decoded(self, line: bytes) -> T | None:
        try:
            return self._json.decode(line)
        except msgspec.ValidationError as error:
            message = f"{self.path}: a line is not as it should be: {error}"
            raise StoreError(message) from error
        except msgspec.DecodeError:  # cut off by a crash, or blank
            return None


def _is_cut_off(number: int) -> bool:
    size = os.fstat(number).st_size
    return size > 0 and os.pread(number, 1, size - 1) != b"\n"
