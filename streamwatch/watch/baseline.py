"""Numbers by key that forget: what the detectors remember."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Memory:
    """Columns of numbers by key, and a few numbers that hold for all keys: all the state of a part of a detector.

    Attributes:
        sums: Shape `(columns, keys)`; a new key starts with zeros.
        totals: What holds for all keys.
        at_us: When it was last changed.

    Args:
        columns: Numbers for each key.
        totals: Numbers for all keys together.
        dtype: Of the columns; 32 bits are enough where they are many.
    """

    def __init__(self, columns: int, totals: int, dtype: npt.DTypeLike = np.float64) -> None:
        self.sums: npt.NDArray[Any] = np.zeros((columns, 0), dtype)
        self.totals: Floats = np.zeros(totals)
        self.at_us: int | None = None

    def grow(self, keys: int) -> None:
        """Make room for keys."""
        missing = keys - self.sums.shape[1]
        if missing > 0:
            zeros = np.zeros((len(self.sums), missing), self.sums.dtype)
            self.sums = np.concatenate([self.sums, zeros], axis=1)

    def keep(self, keys: Ints) -> None:
        """Forget all keys but these."""
        self.sums = np.ascontiguousarray(self.sums[:, keys])

    def hops_since(self, at_us: int, hop_us: int) -> int:
        """Return how many hops passed since it was last changed; 1 the first time."""
        return (at_us - self.at_us) // hop_us if self.at_us is not None else 1


class Decayed(Memory):
    """Exponentially decayed sums of samples by key (exponentially weighted moving moments, Roberts 1959).

    A sample is due every hop, for all keys at once. Hops that brought none count as samples of zeros, in closed
    form, so a silence of months costs as much as one of minutes. `weight` is the decayed number of samples.

    >>> past = Decayed(columns=1, half_life_hops=1)
    >>> past.grow(2)
    >>> past.learn(np.array([[4.0, 2.0]]), at_us=10, hops=1)
    >>> past.learn(np.array([[0.0, 2.0]]), at_us=30, hops=2)
    >>> past.means().round(3).tolist(), past.weight
    ([[0.571, 1.429]], 1.75)
    """

    def __init__(self, columns: int, half_life_hops: float) -> None:
        super().__init__(columns, totals=1)
        self._keep = 0.5 ** (1.0 / half_life_hops)

    @property
    def weight(self) -> float:
        """The decayed number of samples."""
        return float(self.totals[0])

    def learn(self, sample: Floats, at_us: int, hops: int) -> None:
        """Add a sample.

        Args:
            sample: Shape `(columns, keys)`.
            at_us: When.
            hops: How many hops after the last; those between brought zeros.
        """
        factor = self._keep**hops
        self.totals[0] = self.weight * factor + (1.0 - factor) / (1.0 - self._keep)
        self.sums *= factor
        self.sums += sample
        self.at_us = at_us

    def means(self) -> Floats:
        """Return the decayed means, shape `(columns, keys)`; zeros before the first sample."""
        means: Floats = self.sums / self.weight if self.weight else self.sums
        return means
