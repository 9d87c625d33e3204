"""The space in which a desk's labels live: an encoder's vectors, seen against those of ordinary posts."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamwatch.desk.alignment import Floats

SHRINKAGE = 1.0
"""How much of an even spread is mixed into that of the background: none would make noise loud, infinitely much only
centres. Vectors of a fine-tuned encoder gain by it, those of a frozen one do better centred. Chosen on a part that no
figure was taken on."""


class Space(NamedTuple):
    """What makes the directions in which ordinary posts differ count less, and those that they lack count more.

    Attributes:
        mean: Of the background, `(hidden,)`.
        basis: Turns a centred vector so that the background is about evenly spread (ZCA whitening with shrinkage,
            Ledoit and Wolf 2004), `(hidden, hidden)`.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]

    @classmethod
    def of(cls, background: NDArray[np.float32], shrinkage: float = SHRINKAGE) -> Space:
        """Return the space of a background, vectors `(posts, hidden)` of posts as they come."""
        rows = _unit(background.astype(np.float64))
        mean = rows.mean(axis=0)
        if math.isinf(shrinkage):
            return cls(mean.astype(np.float32), np.eye(len(mean), dtype=np.float32))
        spread, axes = np.linalg.eigh(np.cov(rows - mean, rowvar=False).reshape(len(mean), -1))
        even = spread.mean() or 1.0
        scale = 1.0 / np.sqrt(np.maximum(spread, 0.0) + shrinkage * even)
        return cls(mean.astype(np.float32), ((axes * scale) @ axes.T).astype(np.float32))

    def place(self, vectors: NDArray[np.float32]) -> Floats:
        """Return where vectors `(rows, hidden)` stand: of length one, `(rows, hidden)`."""
        return _unit((_unit(vectors.astype(np.float64)) - self.mean) @ self.basis)


def _unit(rows: Floats) -> Floats:
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found
