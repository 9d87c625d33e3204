"""Sums by key that forget: what the detectors remember."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Decayed:
    """Exponentially decayed sums of samples by key (exponentially weighted moving moments, Roberts 1959).

    A sample is due every hop, for all keys at once. Hops that brought none count as samples of zeros, in closed
    form, so a silence of months costs as much as one of minutes. `weight` is the decayed number of samples.

    >>> past = Decayed(columns=1, half_life_hops=1)
    >>> past.grow(2)
    >>> past.learn(np.array([[4.0, 2.0]]), at_us=10, hop_us=10)
    >>> past.learn(np.array([[0.0, 2.0]]), at_us=30, hop_us=10)
    >>> past.means().round(3).tolist(), past.weight
    ([[0.571, 1.429]], 1.75)
    """

    def __init__(self, columns: int, half_life_hops: float) -> None:
        self._keep = 0.5 ** (1.0 / half_life_hops)
        self.weight = 0.0
        self.at_us: int | None = None
        self.sums: Floats = np.zeros((columns, 0))

    def grow(self, keys: int) -> None:
        """Make room for keys, whose samples so far were zeros."""
        missing = keys - self.sums.shape[1]
        if missing > 0:
            self.sums = np.concatenate([self.sums, np.zeros((len(self.sums), missing))], axis=1)

    def keep(self, keys: Ints) -> None:
        """Forget all keys but these."""
        self.sums = np.ascontiguousarray(self.sums[:, keys])

    def learn(self, sample: Floats, at_us: int, hop_us: int) -> None:
        """Add a sample; the hops since the last one brought zeros.

        Args:
            sample: Shape `(columns, keys)`.
            at_us: When, a multiple of the hop after the last sample.
            hop_us: The hop.
        """
        hops = (at_us - self.at_us) // hop_us if self.at_us is not None else 1
        factor = self._keep**hops
        self.weight = self.weight * factor + (1.0 - factor) / (1.0 - self._keep)
        self.sums *= factor
        self.sums += sample
        self.at_us = at_us

    def means(self) -> Floats:
        """Return the decayed means, shape `(columns, keys)`; zeros before the first sample."""
        return self.sums / self.weight if self.weight else self.sums
