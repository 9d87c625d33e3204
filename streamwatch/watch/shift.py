"""Slow shifts: levels that stay a little too high for hours, and feeds that begin to come in bursts."""

from __future__ import annotations

import numpy as np

from streamwatch.watch.baseline import Floats, Memory
from streamwatch.watch.detector import Pace
from streamwatch.watch.instants import HOUR_US

LEVEL_US = HOUR_US
LEVEL_WINDOWS = 2
"""A shift of the level is looked for over an hour, and at least so many windows."""
JUMPS_US = 6 * HOUR_US
JUMPS_WINDOWS = 12
MOST_RESIDUAL = 3.0
"""Residuals are clipped to so many standard deviations, so that what shows is how long, not how high."""
MOST_JUMP = 5.0
TYPICAL_LEVEL = 4.0
LEVEL_DEVIATION = 3.0
"""The highest of a day beforehand, and its deviation, in standard deviations if windows did not hang together."""
LEVEL_POWER = 1.5
"""An average's tail falls faster than that of single windows, whose surprise falls exponentially: with its square if
windows did not hang together at all. This power makes its highest of a day as rare as extremes.py takes them for."""
TYPICAL_JUMPS = 1.2
JUMPS_DEVIATION = 0.35


class Shifts(Memory):
    """Two control charts over the standardised residuals of every key.

    The first averages them exponentially (EWMA chart, Roberts 1959; robust by clipping as in Lucas and Crosier 1982):
    it sees the day on which everybody talks twice as much. The second averages the squares of upward jumps (EWMS
    chart, MacGregor and Harris 1993): it sees many small bursts of which none is remarkable.

    >>> shifts, busy = Shifts(Pace(hop_us=3_600_000_000, panes=1, half_life_hops=168.0)), np.array([0.0, 2.0])
    >>> shifts.grow(2)
    >>> for hour in range(12):
    ...     heights = shifts.update(busy, hour * 3_600_000_000)
    >>> heights.round(2).tolist()
    [[0.0, 2.83], [0.0, 0.36]]
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__(3, 0, np.float32)
        self._pace = pace
        self._level = 1.0 / pace.hops(LEVEL_US, LEVEL_WINDOWS)
        self._jumps = 1.0 / pace.hops(JUMPS_US, JUMPS_WINDOWS)

    def update(self, residual: Floats, at_us: int) -> Floats:
        """Add the residuals of the windows that end at an instant; return level and jumps, shape `(2, keys)`."""
        hops = self.hops_since(at_us, self._pace.hop_us)
        level, recent, jumps = self.sums
        jump = np.clip(residual - recent, 0.0, MOST_JUMP)
        for chart, weight, sample in (
            (level, self._level, np.clip(residual, -MOST_RESIDUAL, MOST_RESIDUAL)),
            (recent, 1.0 / self._pace.panes, residual),
            (jumps, self._jumps, jump * jump),
        ):
            chart *= np.float32((1.0 - weight) ** hops)
            chart += weight * sample
        self.at_us = at_us
        heights: Floats = np.stack([np.maximum(level, 0.0) ** LEVEL_POWER, np.sqrt(jumps)]).astype(np.float64)
        return heights

    def prior(self) -> tuple[Floats, Floats]:
        """Return mean and deviation of the highest level and jumps of a day, before anything is known."""
        by_chance = 1.0 / np.sqrt(2.0 / self._level - 1.0)
        level = TYPICAL_LEVEL * by_chance
        deviation = LEVEL_POWER * level ** (LEVEL_POWER - 1.0) * LEVEL_DEVIATION * by_chance
        return np.array([level**LEVEL_POWER, TYPICAL_JUMPS]), np.array([deviation, JUMPS_DEVIATION])
