"""Keys: the groups that are open, numbered, so that their state can stand in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

CODE_BITS = 28
"""Bits of a place that hold the code; the pane takes the others."""
CODE_MASK = (1 << CODE_BITS) - 1


class Codes:
    """Numbers for the names of groups, given as they come in.

    Which is given to whom depends on how rows were cut into micro-batches, so nothing that shows may hang on it. They
    are kept by Polars: a dictionary of Python's takes three times as long for a hundred thousand names.

    >>> codes = Codes(["IBM"])
    >>> codes.of(pl.Series(["AAPL", "IBM", "AAPL"])).tolist(), codes.names(np.array([1])).to_list()
    ([1, 0, 1], ['AAPL'])
    """

    def __init__(self, names: Sequence[str] | pl.Series = ()) -> None:
        self._type = pl.Categorical(pl.Categories.random())
        # Polars forgets the numbers when no series has the type any more.
        self._kept = pl.Series(names, dtype=pl.String).cast(self._type)
        self._known = len(self._kept)

    def __len__(self) -> int:
        return self._known

    def of(self, names: pl.Series) -> Ints:
        """Return the numbers of names, and give new ones theirs."""
        codes: Ints = names.cast(self._type).to_physical().to_numpy().astype(np.int64)
        self._known = max(self._known, int(codes.max(initial=-1)) + 1)
        return codes

    def whole(self) -> list[str]:
        """Return all names, by number."""
        return self.names(np.arange(self._known)).to_list()

    def names(self, codes: Ints) -> pl.Series:
        """Return whose the numbers are."""
        return pl.Series(codes, dtype=pl.UInt32).cat.to(self._type).cast(pl.String)


class Places(NamedTuple):
    """Pane and group in one number, so that one sort puts both in order.

    >>> places = Places(hop_us=10)
    >>> at = places.of(np.array([25]), np.array([7]))
    >>> places.pane_us(at).tolist(), places.code(at).tolist(), int(at[0]) < places.first(30)
    ([20], [7], True)
    """

    hop_us: int

    def of(self, at_us: Ints, codes: Ints) -> Ints:
        """Return the places of instants and codes."""
        return ((at_us // self.hop_us) << CODE_BITS) | codes

    def first(self, at_us: int) -> int:
        """Return the least place of the pane that an instant is in."""
        return (at_us // self.hop_us) << CODE_BITS

    def pane_us(self, places: Ints) -> Ints:
        """Return the starts of the panes."""
        return (places >> CODE_BITS) * self.hop_us

    def code(self, places: Ints) -> Ints:
        """Return the codes."""
        return places & CODE_MASK


def recoded(frame: pl.DataFrame, places: Places, codes: Ints) -> pl.DataFrame:
    """Return a frame with other codes in its column `place`: `codes` has the new one where the old one points."""
    old = frame["place"].to_numpy()
    return frame.with_columns(place=places.of(places.pane_us(old), codes[places.code(old)]))


class Keys:
    """Numbers for groups, given in the order of their panes and names, and when each was last written about.

    >>> keys, codes = Keys(), Codes(["IBM", "Acme", "AAPL"])
    >>> keys.number(np.array([2, 0]), codes, 10).tolist(), keys.names
    ([0, 1], ['AAPL', 'IBM'])
    >>> keys.number(np.array([0]), codes, 20).tolist()
    [1]
    >>> keys.quiet_since(15).tolist(), keys.keep(np.array([1])), keys.names
    ([0], None, ['IBM'])
    """

    def __init__(self, names: Sequence[str] = (), last_us: Sequence[int] = ()) -> None:
        self._set(list(names), np.array(last_us, np.int64))

    def _set(self, names: list[str], last_us: Ints) -> None:
        self.names = names
        self.last_us = last_us
        self._numbers = {name: number for number, name in enumerate(names)}
        self._by_code = np.zeros(0, np.int64)
        self._ranks = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def number(self, codes: Ints, names: Codes, at_us: int) -> Ints:
        """Return the numbers of groups that were written about, and give new ones theirs."""
        missing = len(names) - len(self._by_code)
        if missing > 0:
            self._by_code = np.concatenate([self._by_code, np.full(missing, -1)])
        unknown = codes[self._by_code[codes] < 0]
        if unknown.size:
            self._by_code[unknown] = self._number(names.names(unknown))
        found = self._by_code[codes]
        self.last_us[found] = at_us
        return found

    def _number(self, names: pl.Series) -> Ints:
        for name in names.sort():
            if name not in self._numbers:
                self._numbers[name] = len(self.names)
                self.names.append(name)
        new = np.zeros(len(self.names) - len(self.last_us), np.int64)
        self.last_us = np.concatenate([self.last_us, new])
        return np.fromiter((self._numbers[name] for name in names), np.int64, len(names))

    def find(self, group: str) -> int | None:
        """Return the number of a group, or None."""
        return self._numbers.get(group)

    def by_name(self, numbers: Ints) -> Ints:
        """Return the order that sorts these numbers by their groups' names."""
        if len(self._ranks) != len(self.names):
            self._ranks = np.empty(len(self.names), np.int64)
            self._ranks[pl.Series(self.names, dtype=pl.String).arg_sort().to_numpy()] = np.arange(len(self.names))
        return np.argsort(self._ranks[numbers])

    def quiet_since(self, instant_us: int) -> Ints:
        """Return the numbers of the groups that nobody wrote about since an instant."""
        return np.flatnonzero(self.last_us < instant_us)

    def keep(self, numbers: Ints) -> None:
        """Forget all groups but these; they get new numbers in the same order. Codes may be others from now on."""
        self._set([self.names[number] for number in numbers], self.last_us[numbers])
