"""What the model says of some texts: labels and probabilities as columns, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamwatch.model.heads import TASKS


@dataclass(frozen=True)
class ScoreStats:
    """What a call cost.

    `tokens` are those of the distinct texts, special ones included; `padded_tokens` is what the encoder ran over.
    """

    texts: int = 0
    distinct_texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    batches: int = 0
    tokenise_s: float = 0.0
    infer_s: float = 0.0


@dataclass(frozen=True)
class Scores:
    """Probabilities float32 `(rows, classes)` of each head, rows in the order of the texts."""

    sentiment: NDArray[np.float32]
    topic: NDArray[np.float32]
    intent: NDArray[np.float32]
    model_version: str
    stats: ScoreStats

    def __len__(self) -> int:
        return len(self.sentiment)

    def probabilities(self, task: str) -> NDArray[np.float32]:
        """Return the probabilities of a head, `(rows, classes)`."""
        return {"sentiment": self.sentiment, "topic": self.topic, "intent": self.intent}[task]

    def labels(self, task: str) -> list[str]:
        """Return the most probable label of each row."""
        names = TASKS[task]
        return [names[place] for place in self.probabilities(task).argmax(axis=1).tolist()]

    def columns(self) -> dict[str, pa.Array]:
        """Return the columns that scoring adds to a micro-batch, by name, typed as in `codec.SCORED_SCHEMA`."""
        labels = {task: self._label_column(task) for task in TASKS}
        vectors = {f"{task}_probs": _lists(self.probabilities(task)) for task in TASKS}
        version = pa.array([self.model_version] * len(self), pa.string())
        return {**labels, **vectors, "model_version": version}

    def _label_column(self, task: str) -> pa.Array:
        names = pa.array(TASKS[task], pa.string())
        return names.take(pa.array(self.probabilities(task).argmax(axis=1)))


def _lists(matrix: NDArray[np.float32]) -> pa.Array:
    """Return the rows of a matrix as an Arrow list array, without a Python object for each."""
    rows, width = matrix.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(matrix).reshape(-1), pa.float32()))
