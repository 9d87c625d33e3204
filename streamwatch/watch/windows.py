"""Hopping windows out of closed panes.

A window is `[end - length, end)` with `end` a multiple of the hop, so a row stands in exactly `length / hop` of
them. The sums of the current window are kept by key: the pane that enters is added, the pane that leaves is taken
off, so a hop costs what its two panes hold, whatever the length. All sums are whole numbers, and exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamwatch.watch.distinct import Tally
from streamwatch.watch.groups import SUMS
from streamwatch.watch.instants import NEVER

Ints = npt.NDArray[np.int64]


class Pane(NamedTuple):
    """A closed pane: its start, the keys that were written about, and their sums, shape `(sums, keys)`.

    `tallies` holds what measures of distinct things need beside sums.
    """

    start_us: int
    keys: Ints
    sums: Ints
    tallies: Mapping[str, Tally] = {}

    def renumbered(self, new: Ints) -> Pane:
        """Return it with new numbers of keys: `new` has them where the old ones point."""
        tallies = {name: tally._replace(keys=new[tally.keys]) for name, tally in self.tallies.items()}
        return self._replace(keys=new[self.keys], tallies=tallies)


class ClosedPanes:
    """The panes that some window still needs, oldest first."""

    def __init__(self, panes: Sequence[Pane] = ()) -> None:
        self.panes = list(panes)

    def add(self, pane: Pane) -> None:
        """Add the next pane."""
        self.panes.append(pane)

    def between(self, from_us: int, until_us: int) -> list[Pane]:
        """Return the panes that start in `[from, until)`."""
        first = bisect_left(self.panes, from_us, key=_start)
        return self.panes[first : bisect_left(self.panes, until_us, lo=first, key=_start)]

    def forget(self, before_us: int) -> None:
        """Drop the panes that start before an instant."""
        del self.panes[: bisect_left(self.panes, before_us, key=_start)]

    def keep(self, keys: Ints, known: int) -> None:
        """Take over the new numbers of the keys that stay; the others are in no pane.

        Args:
            keys: The old numbers that stay.
            known: How many keys there were.
        """
        new = np.full(known, -1, np.int64)
        new[keys] = np.arange(len(keys))
        self.panes = [pane.renumbered(new) for pane in self.panes]


def _start(pane: Pane) -> int:
    return pane.start_us


class Sliding:
    """The sums of one window by key, as it hops.

    >>> window, panes, ones = Sliding(length_us=10), ClosedPanes(), np.ones((5, 1), np.int64)
    >>> panes.add(Pane(0, np.array([0]), ones))
    >>> panes.add(Pane(5, np.array([1]), ones))
    >>> window.grow(2)
    >>> [window.move(end, panes)[0].tolist() for end in (5, 10, 15)]
    [[1, 0], [1, 1], [0, 1]]

    Args:
        length_us: Length of the window.
        since_us: Panes that start before are left out.
    """

    def __init__(self, length_us: int, since_us: int = NEVER) -> None:
        self._length_us = length_us
        self._since_us = since_us
        self.end_us = NEVER
        self.sums: Ints = np.zeros((len(SUMS), 0), np.int64)

    def grow(self, keys: int) -> None:
        """Make room for keys."""
        missing = keys - self.sums.shape[1]
        if missing > 0:
            self.sums = np.concatenate([self.sums, np.zeros((len(SUMS), missing), np.int64)], axis=1)

    def keep(self, keys: Ints) -> None:
        """Forget all keys but these."""
        self.sums = np.ascontiguousarray(self.sums[:, keys])

    def move(self, end_us: int, panes: ClosedPanes) -> Ints:
        """Let the window end at an instant and return its sums, shape `(sums, keys)`.

        Args:
            end_us: A multiple of the hop, after the last.
            panes: The closed panes, at least those since the window's last start.
        """
        length, since = self._length_us, self._since_us
        for pane in panes.between(max(self.end_us, since), end_us):
            self.sums[:, pane.keys] += pane.sums
        for pane in panes.between(max(self.end_us - length, since), end_us - length):
            self.sums[:, pane.keys] -= pane.sums
        self.end_us = end_us
        return self.sums

    def restore(self, end_us: int, keys: int, panes: ClosedPanes) -> None:
        """Take the sums of the window that ended at an instant from its panes."""
        self.grow(keys)
        for pane in panes.between(max(end_us - self._length_us, self._since_us), end_us):
            self.sums[:, pane.keys] += pane.sums
        self.end_us = end_us
