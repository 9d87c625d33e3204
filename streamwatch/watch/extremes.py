"""How rare a height is among a key's own highest of every day: what makes a burst unusual among bursts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamwatch.watch.baseline import Floats, Ints, Memory

HALF_LIFE_BLOCKS = 60.0
"""Rare events need a long memory: age at which a block counts half."""
PRIOR_KEY_BLOCKS = 10.0
"""What is known before anything is counts as so many blocks of all keys together."""
COMMON_MEAN_BLOCKS = 1.0
COMMON_SPREAD_BLOCKS = 3.0
"""What all keys show counts as so many blocks of a key."""
MOST_DEVIATIONS = 7.0
"""A block's highest is learned as no higher than so many scales above the mode: one surge does not blind."""
EXPONENTS = (-690.0, 50.0)
"""Beyond, floating point has no smaller numbers, and larger ones say nothing."""
EULER = 0.5772156649015329
SCALE = np.sqrt(6.0) / np.pi
"""Scale of a Gumbel distribution with variance 1."""


class Prior(NamedTuple):
    """What the highest of a block is held for beforehand, by kind of height."""

    means: Floats
    deviations: Floats


class Extremes(Memory):
    """Block maxima by key with a Gumbel distribution, fitted by moments (Gumbel 1958; Coles 2001, chapter 3).

    Time is cut into blocks, of a day as a rule. A block's highest is learned when the block is over, so a surge does
    not raise its own bar. A key's mean and variance are shrunk to those of all keys, and these to a prior.

    A new record is unusual if it stands out from past records; a height that a key reaches every other day is not,
    however far it is from a Poisson distribution. Peaks over threshold (Siffer et al. 2017, SPOT) is kin.

    Args:
        block_us: Length of a block.
        prior: What is held beforehand.
    """

    def __init__(self, block_us: int, prior: Prior) -> None:
        self._kinds = len(prior.means)
        super().__init__(3 * self._kinds + 1, 0, np.float32)
        self._block_us = block_us
        self._prior = prior

    def expected(self, heights: Floats, keys: Ints) -> Floats:
        """Return how often a block is to be expected to reach such a height, in times a block.

        Args:
            heights: Shape `(kinds, keys)`.
            keys: Which keys these are.
        """
        mode, scale = self._fit(keys)
        times: Floats = np.exp(np.clip((mode - heights) / scale, *EXPONENTS))
        return times

    def turn(self, at_us: int) -> None:
        """Close the block at hand, and learn from it, if it is over."""
        if self.at_us is None:
            self.at_us = at_us
        if at_us - self.at_us >= self._block_us:
            self._close()
            self.at_us = at_us

    def is_record(self, heights: Floats, keys: Ints) -> npt.NDArray[np.bool_]:
        """Say which heights are above all before them in the block at hand."""
        records: npt.NDArray[np.bool_] = heights > self.sums[2 * self._kinds : 3 * self._kinds, keys]
        return records

    def note(self, heights: Floats, keys: Ints) -> None:
        """Take in heights of the block at hand."""
        peaks = self.sums[2 * self._kinds : 3 * self._kinds]
        peaks[:, keys] = np.maximum(peaks[:, keys], heights)

    def _close(self) -> None:
        kinds = self._kinds
        peaks = self.sums[2 * kinds : 3 * kinds].astype(np.float64)
        (seen,) = np.nonzero(peaks.max(axis=0) > 0)
        mode, scale = self._fit(seen)
        learned = np.minimum(peaks[:, seen], mode + MOST_DEVIATIONS * scale)
        self.sums *= np.float32(0.5 ** (1.0 / HALF_LIFE_BLOCKS))
        self.sums[:kinds, seen] += learned
        self.sums[kinds : 2 * kinds, seen] += learned * learned
        self.sums[2 * kinds : 3 * kinds] = 0.0
        self.sums[3 * kinds, seen] += 1.0

    def _fit(self, keys: Ints) -> tuple[Floats, Floats]:
        """Return mode and scale of the highest of a block, shape `(kinds, keys)`."""
        kinds = self._kinds
        mean, deviation = self._common()
        first = self.sums[:kinds, keys].astype(np.float64)
        second = self.sums[kinds : 2 * kinds, keys].astype(np.float64)
        blocks = self.sums[3 * kinds, keys].astype(np.float64)
        own = (first + COMMON_MEAN_BLOCKS * mean) / (blocks + COMMON_MEAN_BLOCKS)
        scatter = np.maximum(second - 2.0 * own * first + blocks * own * own, 0.0)
        variance = (scatter + COMMON_SPREAD_BLOCKS * deviation**2) / (blocks + COMMON_SPREAD_BLOCKS)
        scale = SCALE * np.sqrt(variance * (1.0 + 1.0 / (blocks + COMMON_MEAN_BLOCKS)))
        return own - EULER * scale, scale

    def _common(self) -> tuple[Floats, Floats]:
        """Return mean and deviation over all keys, shape `(kinds, 1)`."""
        kinds = self._kinds
        whole = self.sums.sum(axis=1, dtype=np.float64)
        first, second, blocks = whole[:kinds], whole[kinds : 2 * kinds], whole[3 * kinds]
        means, deviations = self._prior
        known = blocks + PRIOR_KEY_BLOCKS
        mean = (first + PRIOR_KEY_BLOCKS * means) / known
        scatter = np.maximum(second - 2.0 * mean * first + blocks * mean * mean, 0.0)
        variance = (scatter + PRIOR_KEY_BLOCKS * ((means - mean) ** 2 + deviations**2)) / known
        return mean[:, None], np.sqrt(variance)[:, None]
