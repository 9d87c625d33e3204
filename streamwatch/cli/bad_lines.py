"""What a command does with bad lines: say the first of them, set all of them aside, go on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from streamwatch.cli.files import STANDARD, LazyOutput
from streamwatch.cli.output import note
from streamwatch.errors import BadRecord
from streamwatch.jsonl import BadLine, sample

SHOWN = 10


class BadLines:
    """Report bad lines on stderr, the first of them each, and write them to a file for the person to mend.

    Args:
        source: Where the lines come from.
        path: Where they are set aside; None: nowhere.
        strict: Whether the first one ends the command.
    """

    def __init__(self, source: Path, path: Path | None, *, strict: bool) -> None:
        self.path = path
        self.count = 0
        self._source = "stdin" if source == STANDARD else str(source)
        self._strict = strict
        self._file = LazyOutput(path) if path else None

    def add(self, bad: Iterable[BadLine]) -> None:
        """Report and set aside.

        Raises:
            BadRecord: A line is bad, and `strict` is set.
        """
        for line in bad:
            text = f"{self._source}:{line.number}: {line.reason}"
            if self._strict:
                raise BadRecord(text + "; mend the line, or run without --strict")
            self.count += 1
            if self.count <= SHOWN or self._file is None:
                note(text)
            elif self.count == SHOWN + 1:
                note(f"more bad lines are in {self.path}")
            if self._file:
                entry = {"file": self._source, "line": line.number, "error": line.reason, "content": sample(line.data)}
                self._file.write(msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        """Close the file, if there were any."""
        if self._file:
            self._file.close()
