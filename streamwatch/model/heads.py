"""Linear heads: sentiment, topic and intent over a text's vector, sentiment over an entity's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamwatch.records import INTENTS, SENTIMENTS, TOPICS

TASKS = {"sentiment": SENTIMENTS, "topic": TOPICS, "intent": INTENTS}
"""The heads on a text and their labels, in the order of their probabilities."""
ENTITY = "entity"
HEADS = {**TASKS, ENTITY: SENTIMENTS}
"""Every head: those on a text, and the sentiment about an entity in it."""


class Head(NamedTuple):
    """A linear classifier: `vectors @ weight.T + bias` are its logits."""

    weight: NDArray[np.float32]  # (classes, hidden)
    bias: NDArray[np.float32]  # (classes,)

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities `(rows, classes)` of vectors `(rows, hidden)`.

        It is computed in float64, so that how BLAS cuts a matrix does not show in the float32 that comes out.

        >>> Head(np.eye(2, dtype=np.float32), np.zeros(2, np.float32)).probabilities(np.zeros((1, 2), np.float32))
        array([[0.5, 0.5]], dtype=float32)
        """
        logits = vectors.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares
