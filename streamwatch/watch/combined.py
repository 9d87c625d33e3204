"""One calibrated surprise out of several: of a burst, of a level that shifted, of a feed that turned jumpy."""

from __future__ import annotations

import numpy as np

from streamwatch.watch.baseline import Floats, Ints, Memory
from streamwatch.watch.detector import Pace
from streamwatch.watch.extremes import Extremes, Prior
from streamwatch.watch.instants import DAY_US
from streamwatch.watch.shift import Shifts

BLOCK_WINDOWS = 24
"""A block is a day, and at least so many windows."""
STRETCH = 12.0
"""Surprise beyond about so much is told apart by its logarithm: the tails of talk are those of a power law."""
TYPICAL_MARGIN = 1.0
BURST_DEVIATION = 1.5
"""The highest surprise of a block, beforehand: above what chance alone would give by so much, and its deviation."""


class Combined:
    """Calibrate what the model of a measure says by what a key's own history has shown.

    Up to what comes once a block by chance, the model's surprise holds. Beyond, where no model of talk is right,
    the highest of every block decide (extreme value mixture, Scarrott and MacDonald 2012): how often a block is to
    be expected in which a burst, a shift of the level or the jumps are as high as now. The least of the three counts
    three times (Bonferroni's bound on the minimum of several p-values).

    Only windows above what was expected surprise. A chart of the shifts moves slowly: of it only what is its highest so
    far in the block counts, not all the windows in which it is still high.

    Args:
        pace: Hop, window and half-life.
    """

    def __init__(self, pace: Pace) -> None:
        block_hops = pace.hops(DAY_US, BLOCK_WINDOWS)
        self._once_a_block = np.log10(pace.independent(block_hops))
        self._shifts = Shifts(pace)
        means, deviations = self._shifts.prior()
        burst = _stretched(np.array([self._once_a_block + TYPICAL_MARGIN]))
        prior = Prior(np.concatenate([burst, means]), np.concatenate([[BURST_DEVIATION], deviations]))
        self._extremes = Extremes(block_hops * pace.hop_us, prior)
        self.memories: tuple[Memory, ...] = (self._shifts, self._extremes)

    def judge(self, surprise: Floats, residual: Floats, keys: Ints, at_us: int) -> Floats:
        """Return the calibrated surprise of the judged keys, -log10 of the share of windows that have as much.

        Args:
            surprise: What the model says of the judged keys; 0 where no more was seen than expected.
            residual: Of all keys, standardised: how far the window is above or below what was expected.
            keys: The judged keys.
            at_us: End of the window.
        """
        for memory in self.memories:
            memory.grow(len(residual))
        self._extremes.turn(at_us)
        shifts = self._shifts.update(residual, at_us)[:, keys]
        heights = np.where(surprise > 0, np.concatenate([_stretched(surprise)[None], shifts]), 0.0)
        counts = self._extremes.is_record(heights, keys)
        counts[0] = True
        times = np.where(counts, self._extremes.expected(heights, keys), np.inf).min(axis=0) * len(heights)
        self._extremes.note(heights, keys)
        tail = self._once_a_block - np.log10(times)
        calibrated: Floats = np.where(times < 1.0, tail, np.minimum(surprise, self._once_a_block))
        return calibrated


def _stretched(surprise: Floats) -> Floats:
    stretched: Floats = STRETCH * np.log1p(surprise / STRETCH)
    return stretched
