"""A single count series through the detector of counts: which rows open an alert."""

from __future__ import annotations

import statistics
from typing import NamedTuple

import numpy as np

from streamwatch.watch.combined import BLOCK_WINDOWS
from streamwatch.watch.counts import CountDetector
from streamwatch.watch.detector import COUNT, Ints, Observed, Pace
from streamwatch.watch.groups import SUMS
from streamwatch.watch.instants import DAY_US

STEP_ROWS = 10
"""The step is the median distance of so many rows; until then there is no verdict."""
HALF_LIFE_US = 7 * DAY_US
HALF_LIFE_WINDOWS = 100
BLOCKS_AN_ALARM = 14
"""An alert opens at what is to be expected once in two weeks."""
HOLDS_A_BLOCK = 8
"""An alert ends when for an eighth of a block nothing came that is not to be expected once a block."""
ONE = np.zeros(1, np.int64)


class Row(NamedTuple):
    """A row of a series: when, in microseconds, and how many."""

    at_us: int
    value: int


class Point(NamedTuple):
    """What is said of a row; `expected` is None as long as too little is known."""

    expected: float | None
    surprise: float
    opens: bool


NOTHING = Point(None, 0.0, opens=False)


class Series:
    """The alerts of a count series, row by row; none looks ahead.

    An alert opens on one row, holds while the rows stay surprising, and ends after a calm time: a surge is one alert.
    There is none in the first block, of a day or of 24 rows where rows are rarer. A row that is missing is unknown,
    not zero.

    >>> series, quiet = Series(), np.random.default_rng(1).poisson(20, 24 * 7)
    >>> surge = [*quiet, *quiet[:6] + 200, *quiet[:6]]
    >>> points = [series.add(Row(row * 3_600_000_000, int(count))) for row, count in enumerate(surge)]
    >>> [row for row, point in enumerate(points) if point.opens]
    [168]
    """

    def __init__(self) -> None:
        self.step_us: int | None = None
        self._first: list[Row] = []
        self._track: _Track | None = None

    def add(self, row: Row) -> Point:
        """Return what is said of the next row; of the first rows, while the step is unknown, nothing."""
        if self._track is not None:
            return self._track.step(row)
        self._first.append(row)
        if len(self._first) == STEP_ROWS:
            instants = [first.at_us for first in self._first]
            self.step_us = int(statistics.median(np.diff(instants).tolist()))
            self._track = _Track(self.step_us)
            for first in self._first:
                self._track.step(first)
        return NOTHING


class _Track:
    """The detector at work on a series whose step is known, and the alert that is open."""

    def __init__(self, step_us: int) -> None:
        pace = Pace(step_us, 1, 1.0, silence_is_zero=False)
        half_life = float(pace.hops(HALF_LIFE_US, HALF_LIFE_WINDOWS))
        block = pace.hops(DAY_US, BLOCK_WINDOWS)
        self._detector = CountDetector(COUNT, pace._replace(half_life_hops=half_life))
        self._step_us = step_us
        self._block = block
        self._hold = max(block // HOLDS_A_BLOCK, 1)
        self._earlier: Ints | None = None
        self._rows = 0
        self._calm: int | None = None

    def step(self, row: Row) -> Point:
        window = np.zeros((len(SUMS), 1), np.int64)
        window[COUNT] = row.value
        verdict = self._detector.update(Observed(window, self._earlier, ONE), row.at_us + self._step_us)
        self._earlier = window
        self._rows += 1
        if not verdict.ready:
            return NOTHING
        surprise = float(verdict.surprise[0])
        return Point(float(verdict.expected[0]), surprise, self._opens(surprise))

    def _opens(self, surprise: float) -> bool:
        calm = surprise < np.log10(self._block)
        if self._calm is not None:
            self._calm = self._calm + 1 if calm else 0
            if self._calm > self._hold:
                self._calm = None
            return False
        if self._rows <= self._block or surprise < np.log10(self._block * BLOCKS_AN_ALARM):
            return False
        self._calm = 0
        return True
