"""Where a live subscriber stands in a stream: the id of the last event it got, for each partition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from streamwatch.errors import BadRecord

_ENTRY = re.compile(r"(\d{1,9})-(\d{1,18}|n)(?:-(\d{1,18}))?", re.ASCII)


class Reached(NamedTuple):
    """What was given of one partition, inclusive: its offset, and of `scored` the source offset of its last row."""

    offset: int
    source_offset: int = -1


def write_position(reached: Mapping[int, Reached]) -> str:
    """Return a position as the id of an event.

    >>> write_position({0: Reached(120, 5031), 1: Reached(-1)})
    '0-120-5031.1-n'
    """
    return ".".join(f"{partition}-{_entry(reached[partition])}" for partition in sorted(reached))


def read_position(text: str) -> dict[int, Reached]:
    """Return the position that an id names.

    Raises:
        BadRecord: It is none of ours.

    >>> read_position("0-120-5031.1-n")
    {0: Reached(offset=120, source_offset=5031), 1: Reached(offset=-1, source_offset=-1)}
    """
    reached: dict[int, Reached] = {}
    for entry in text.split("."):
        match = _ENTRY.fullmatch(entry)
        if not match or len(text) > 10_000:
            message = f"event id {text[:80]!r} is none that this desk gave; leave it out to begin with what comes next"
            raise BadRecord(message)
        partition, offset, source_offset = match.groups()
        reached[int(partition)] = Reached(-1 if offset == "n" else int(offset), int(source_offset or -1))
    return reached


def _entry(reached: Reached) -> str:
    offset = "n" if reached.offset < 0 else str(reached.offset)
    return offset if reached.source_offset < 0 else f"{offset}-{reached.source_offset}"
