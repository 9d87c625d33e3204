"""The watch's history beside the tables: monitors files by their hash, starting points, floors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple, TypeVar

import msgspec

from streamwatch.errors import StoreError
from streamwatch.store.checkpoints import Checkpoints
from streamwatch.watch.history import Floor, StartingPoint, read_monitors, write_monitors
from streamwatch.watch.instants import from_us, to_us
from streamwatch.watch.monitors import Monitors

FOLDER = "_history"
POINTS_KEPT = 120
T = TypeVar("T")


class PointName(NamedTuple):
    """What the name of a starting point says of it."""

    file: str
    number: int
    event_time: datetime | None
    monitors_hash: str


class History:
    """What a proof needs besides the tables, under `<url>/_history/`.

    Args:
        url: Root of the store, the same as for the tables.
        prefix: Of the streams; others may have their history in the same store.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._files = Checkpoints(url, folder=FOLDER)
        self._start = f"start-{prefix}-"
        self._point_name = re.compile(rf"{re.escape(self._start)}(\d+)\.(\d*)\.([0-9a-f]{{16}})")
        self._floors = f"floors-{prefix}"

    def keep_monitors(self, monitors: Monitors) -> None:
        """Keep what a monitors file says, once."""
        name = f"monitors-{monitors.hash}.json"
        if self._files.read(name) is None:
            self._files.write(name, write_monitors(monitors))

    def monitors(self, monitors_hash: str) -> Monitors:
        """Return the monitors that had a hash.

        Raises:
            StoreError: They were not kept, or are not what they were.
        """
        data = self._files.read(f"monitors-{monitors_hash}.json")
        if data is None:
            message = f"the monitors file with the hash {monitors_hash} was not kept in {FOLDER} of this store"
            raise StoreError(message)
        return read_monitors(data, monitors_hash)

    def points(self) -> list[PointName]:
        """Return the starting points, oldest first."""
        found = (self._point_name.fullmatch(name) for name in self._files.names())
        return sorted((_parsed(match) for match in found if match), key=lambda point: point.number)

    def read(self, point: PointName) -> StartingPoint:
        """Return a starting point.

        Raises:
            StoreError: It cannot be read.
        """
        return _decode(self._files.read(point.file) or b"", StartingPoint, point.file)

    def start(
        self, monitors_hash: str, onset: datetime, until: Mapping[int, int], *, first: bool
    ) -> StartingPoint | None:
        """Return where the replay of an alert begins; None where there is no such starting point.

        It is the newest at which nothing of the alert's first window was seen, or, if other monitors were in force
        there, the one at which the alert's came into force.

        Args:
            monitors_hash: Of the alert.
            onset: Of the alert.
            until: The last source offset of each partition to be replayed.
            first: Take the oldest of which the monitors and the state go on to that one.
        """
        points = self.points()
        for index in reversed(range(len(points))):
            if self._is_before(points[index], onset, until):
                chosen = [at for at in range(index, len(points)) if points[at].monitors_hash == monitors_hash]
                return self.read(points[_first(points, chosen[0]) if first else chosen[0]]) if chosen else None
        return None

    def _is_before(self, point: PointName, onset: datetime, until: Mapping[int, int]) -> bool:
        if point.event_time is not None:
            return point.event_time <= onset
        applied = self.read(point).applied
        return all(applied.get(partition, -1) < offset for partition, offset in until.items())

    def add(self, point: StartingPoint) -> None:
        """Keep a starting point, and forget old ones; those with which a monitors file came into force stay."""
        points = self.points()
        number = points[-1].number + 1 if points else 0
        at_us = "" if point.event_time is None else to_us(point.event_time)
        name = f"{self._start}{number:08d}.{at_us}.{point.monitors_hash}"
        self._files.write(name, msgspec.msgpack.encode(point))
        for before, old in pairwise(points[: -POINTS_KEPT + 1]):
            if old.event_time is not None and before.monitors_hash == old.monitors_hash:
                self._files.delete(old.file)

    def floors(self) -> list[Floor]:
        """Return what made posts late that their partition alone does not."""
        data = self._files.read(self._floors)
        return [] if data is None else _decode(data, list[Floor], self._floors)

    def keep_floors(self, floors: list[Floor]) -> None:
        """Keep the floors, in the place of those before."""
        self._files.write(self._floors, msgspec.msgpack.encode(floors))


def _first(points: Sequence[PointName], index: int) -> int:
    """Return the starting point at which the run of the watch that one belongs to began."""
    while index and points[index].event_time and points[index - 1].monitors_hash == points[index].monitors_hash:
        index -= 1
    return index


def _parsed(name: re.Match[str]) -> PointName:
    number, at_us, monitors_hash = name.groups()
    return PointName(name.string, int(number), from_us(int(at_us)) if at_us else None, monitors_hash)


def _decode(data: bytes, kind: type[T], name: str) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.DecodeError as error:
        message = f"{FOLDER}/{name} cannot be read: {error}"
        raise StoreError(message) from error
