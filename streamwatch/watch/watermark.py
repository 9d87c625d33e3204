"""Watermarks: how far event time has come, by source partition and for the stage."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from streamwatch.watch.instants import NEVER

Ints = npt.NDArray[np.int64]


class Watermarks:
    """How far event time has come.

    The watermark of a source partition is the largest event time seen in it less the allowed lateness, or what a
    heartbeat promised. The stage's is the smallest over the partitions that are not idle. Neither goes back.

    Partitions that were assigned and gave nothing yet hold the stage back until they are idle. A partition that
    was never assigned counts from its first row.

    >>> marks = Watermarks(allowed_lateness_us=10)
    >>> marks.assign([0, 1])
    >>> marks.before_rows(0, np.array([100, 130, 90])).tolist()
    [-4611686018427387904, 90, 120]
    >>> marks.advance() is None  # partition 1 may still bring anything
    True
    >>> marks.advance(idle={1})
    120
    """

    def __init__(self, allowed_lateness_us: int) -> None:
        self._lateness_us = allowed_lateness_us
        self.by_partition: dict[int, int] = {}
        self.stage: int | None = None

    def assign(self, partitions: Collection[int]) -> None:
        """Wait for these partitions too, though nothing came from them yet."""
        for partition in sorted(partitions):
            self.by_partition.setdefault(partition, NEVER)

    def before_rows(self, partition: int, times_us: Ints) -> Ints:
        """Return the watermark just before each row of a partition, and take the rows into account.

        It is a prefix maximum, so it does not depend on how the rows were cut into micro-batches.

        Args:
            partition: The source partition.
            times_us: Event times of its next rows, in the partition's order; at least one.
        """
        before = self.by_partition.get(partition, NEVER)
        reached = np.maximum.accumulate(np.append(before, times_us - self._lateness_us))
        self.by_partition[partition] = int(reached[-1])
        return reached[:-1]

    def heartbeat(self, partition: int, instant_us: int) -> None:
        """Note that no row before this instant follows in a partition."""
        self.by_partition[partition] = max(self.by_partition.get(partition, NEVER), instant_us)

    def furthest(self) -> int:
        """Return an instant at or after every event time seen."""
        return max(self.by_partition.values(), default=NEVER) + self._lateness_us

    def advance(self, idle: Collection[int] = (), idle_time_us: int | None = None) -> int | None:
        """Move the stage's watermark on and return it; None while nothing is known.

        Args:
            idle: Partitions that hold nothing back.
            idle_time_us: When all partitions are idle, the time up to which they brought all they had, give or
                take the allowed lateness.
        """
        active = [mark for partition, mark in self.by_partition.items() if partition not in idle]
        if active:
            reached = min(active)
        else:
            reached = max(self.by_partition.values(), default=NEVER)
            if idle_time_us is not None and self.by_partition:
                reached = max(reached, idle_time_us - self._lateness_us)
        if reached > NEVER and (self.stage is None or reached > self.stage):
            self.stage = reached
        return self.stage
