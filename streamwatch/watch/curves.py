"""Curves: what the last windows of every group showed, and what was expected of them."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from streamwatch.records import CurvePoint
from streamwatch.watch.instants import from_us
from streamwatch.watch.keys import Ints

MOST_POINTS = 12

Singles = npt.NDArray[np.float32]


class Judged(NamedTuple):
    """The windows of all groups that ended at one instant; `expected` is not a number where nothing was known."""

    end_us: int
    keys: Ints
    seen: Singles
    expected: Singles


class Curves:
    """The last windows of one monitor, one for each hop. Windows without posts are not in it.

    >>> curves = Curves(hop_us=10)
    >>> curves.add(10, np.array([0, 1]), np.array([3.0, 4.0]), np.array([2.5, np.nan]))
    >>> curves.add(20, np.array([1]), np.array([9.0]), np.array([4.0]))
    >>> [(point.seen, point.expected) for point in curves.of(1)]
    [(4.0, None), (9.0, 4.0)]

    Args:
        hop_us: Time between two windows.
    """

    def __init__(self, hop_us: int) -> None:
        self._span_us = MOST_POINTS * hop_us
        self._judged: deque[Judged] = deque()

    def add(self, end_us: int, keys: Ints, seen: npt.ArrayLike, expected: npt.ArrayLike) -> None:
        """Add the windows that end at an instant."""
        while self._judged and self._judged[0].end_us <= end_us - self._span_us:
            self._judged.popleft()
        self._judged.append(Judged(end_us, keys, np.asarray(seen, np.float32), np.asarray(expected, np.float32)))

    def of(self, key: int | None) -> list[CurvePoint]:
        """Return the curve of a group."""
        return [
            CurvePoint(
                window_end=from_us(judged.end_us),
                seen=_rounded(judged.seen[place]),
                expected=None if np.isnan(judged.expected[place]) else _rounded(judged.expected[place]),
            )
            for judged in self._judged
            for place in np.flatnonzero(judged.keys == key)[:1]
        ]

    def keep(self, keys: Ints, known: int) -> None:
        """Forget all keys but these.

        Args:
            keys: The old numbers that stay; they get new ones in the same order.
            known: How many keys there were.
        """
        new = np.full(known, -1, np.int64)
        new[keys] = np.arange(len(keys))
        for place, judged in enumerate(self._judged):
            numbers = new[judged.keys]
            stay = numbers >= 0
            self._judged[place] = Judged(judged.end_us, numbers[stay], judged.seen[stay], judged.expected[stay])

    def whole(self) -> pl.DataFrame:
        """Return every point of every curve."""
        parts = [
            pl.DataFrame(
                {
                    "end": np.full(len(judged.keys), judged.end_us),
                    "key": judged.keys,
                    "seen": judged.seen,
                    "expected": judged.expected,
                }
            )
            for judged in self._judged
        ]
        schema = {"end": pl.Int64, "key": pl.Int64, "seen": pl.Float32, "expected": pl.Float32}
        return pl.concat([pl.DataFrame(schema=schema), *parts])

    def restore(self, frame: pl.DataFrame) -> None:
        """Put back what `whole` gave."""
        for (end_us,), part in frame.group_by("end", maintain_order=True):
            columns = (part[name].to_numpy() for name in ("key", "seen", "expected"))
            self._judged.append(Judged(int(str(end_us)), *columns))


def _rounded(value: np.float32) -> float:
    return float(f"{value:.6g}")
