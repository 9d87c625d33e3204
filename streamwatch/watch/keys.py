"""Keys: the groups that are open, numbered, so that their state can stand in arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Keys:
    """Numbers for groups, given in the order in which they come, and when each was last written about.

    >>> keys = Keys()
    >>> keys.number(["AAPL", "IBM"], 10).tolist(), keys.number(["IBM"], 20).tolist()
    ([0, 1], [1])
    >>> keys.quiet_since(15).tolist(), keys.keep(np.array([1])), keys.names
    ([0], None, ['IBM'])
    """

    def __init__(self, names: Sequence[str] = (), last_us: Sequence[int] = ()) -> None:
        self._set(list(names), np.array(last_us, np.int64))

    def _set(self, names: list[str], last_us: Ints) -> None:
        self.names = names
        self.last_us = last_us
        self._numbers = {name: number for number, name in enumerate(names)}
        self._ranks = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def number(self, groups: Sequence[str], at_us: int) -> Ints:
        """Return the numbers of groups that were written about, and give new ones theirs."""
        numbers = self._numbers
        new = [group for group in groups if group not in numbers]
        for group in new:
            numbers[group] = len(self.names)
            self.names.append(group)
        if new:
            self.last_us = np.concatenate([self.last_us, np.zeros(len(new), np.int64)])
        found = np.fromiter((numbers[group] for group in groups), np.int64, len(groups))
        self.last_us[found] = at_us
        return found

    def find(self, group: str) -> int | None:
        """Return the number of a group, or None."""
        return self._numbers.get(group)

    def by_name(self, numbers: Ints) -> Ints:
        """Return the order that sorts these numbers by their groups' names."""
        if len(self._ranks) != len(self.names):
            self._ranks = np.empty(len(self.names), np.int64)
            self._ranks[sorted(range(len(self.names)), key=self.names.__getitem__)] = np.arange(len(self.names))
        return np.argsort(self._ranks[numbers])

    def quiet_since(self, instant_us: int) -> Ints:
        """Return the numbers of the groups that nobody wrote about since an instant."""
        return np.flatnonzero(self.last_us < instant_us)

    def keep(self, numbers: Ints) -> None:
        """Forget all groups but these; they get new numbers in the same order."""
        self._set([self.names[number] for number in numbers], self.last_us[numbers])
