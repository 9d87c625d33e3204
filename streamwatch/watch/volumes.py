"""Volumes: how many posts each group had in the last 12 and 24 hours, 3 and 7 days."""

from __future__ import annotations

import numpy as np
import polars as pl

from streamwatch.watch.instants import HOUR_US, NEVER
from streamwatch.watch.keys import Ints

SPANS = {"12h": (1, 12), "24h": (1, 24), "3d": (6, 12), "7d": (6, 28)}
"""What is counted: in steps of so many hours, and so many steps."""


class Steps:
    """Counts by key in the last steps of time; memory is the same for each key, however much it is written about.

    Args:
        step_us: Length of a step.
        most: How many steps are remembered, the current one included.
    """

    def __init__(self, step_us: int, most: int) -> None:
        self.step_us = step_us
        self.most = most
        self.last = NEVER
        self.counts = np.zeros((most, 0), np.int32)

    def add(self, at_us: int, keys: Ints, counts: Ints) -> None:
        """Count posts of an instant; instants never go back by a step."""
        step = at_us // self.step_us
        for passed in range(max(self.last + 1, step - self.most + 1), step + 1):
            self.counts[passed % self.most] = 0
        self.last = max(step, self.last)
        self.counts[step % self.most, keys] += counts.astype(np.int32)

    def of(self, key: int, steps: int, end_us: int) -> int:
        """Return the posts of a key in the step before an instant and so many in all before it."""
        until = (end_us - 1) // self.step_us
        wanted = range(max(until - steps, self.last - self.most) + 1, min(until, self.last) + 1)
        return int(sum(self.counts[step % self.most, key] for step in wanted))


class Volumes:
    """The posts of every group over the spans that news analytics count in.

    Steps are clock hours, and for days six of them; the current one counts as far as it has come. So `12h` is
    between eleven and twelve hours, and `7d` between six and three quarters and seven days.

    >>> volumes = Volumes()
    >>> volumes.grow(1)
    >>> for hour in (0, 13, 30):
    ...     volumes.add(hour * HOUR_US, np.array([0]), np.array([5]))
    >>> volumes.of(0, 31 * HOUR_US)
    {'12h': 5, '24h': 10, '3d': 15, '7d': 15}
    """

    def __init__(self) -> None:
        self._steps = {hours: Steps(hours * HOUR_US, _most(hours)) for hours, _ in SPANS.values()}

    def grow(self, keys: int) -> None:
        """Make room for keys."""
        for steps in self._steps.values():
            missing = keys - steps.counts.shape[1]
            if missing > 0:
                steps.counts = np.concatenate([steps.counts, np.zeros((steps.most, missing), np.int32)], axis=1)

    def keep(self, keys: Ints) -> None:
        """Forget all keys but these."""
        for steps in self._steps.values():
            steps.counts = np.ascontiguousarray(steps.counts[:, keys])

    def add(self, start_us: int, keys: Ints, counts: Ints) -> None:
        """Add a closed pane."""
        for steps in self._steps.values():
            steps.add(start_us, keys, counts)

    def of(self, key: int, end_us: int) -> dict[str, int]:
        """Return the counts of a group up to an instant."""
        return {name: self._steps[hours].of(key, many, end_us) for name, (hours, many) in SPANS.items()}

    def whole(self) -> pl.DataFrame:
        """Return every count that is not zero, and for each kind of step (key -1) where its time stands."""
        parts = []
        for hours, steps in self._steps.items():
            slot, key = np.nonzero(steps.counts)
            count = steps.counts[slot, key].astype(np.int64)
            columns = {"slot": np.append(slot, 0), "key": np.append(key, -1), "count": np.append(count, steps.last)}
            parts.append(pl.DataFrame({"hours": np.full(len(slot) + 1, hours), **columns}))
        return pl.concat(parts)

    def restore(self, frame: pl.DataFrame, keys: int) -> None:
        """Put back what `whole` gave, for so many keys."""
        self.grow(keys)
        for hours, steps in self._steps.items():
            mine = frame.filter(pl.col("hours") == hours)
            counts = mine.filter(pl.col("key") >= 0)
            steps.last = int(mine.filter(pl.col("key") < 0)["count"][0])
            steps.counts[counts["slot"].to_numpy(), counts["key"].to_numpy()] = counts["count"].to_numpy()


def _most(hours: int) -> int:
    return max(many for length, many in SPANS.values() if length == hours)
