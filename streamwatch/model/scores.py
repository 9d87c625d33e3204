"""What the model says of some texts: labels and probabilities as columns, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamwatch.model.heads import TASKS
from streamwatch.records import SENTIMENTS

if TYPE_CHECKING:
    import polars as pl


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
    """Probabilities float32 `(rows, classes)` of each head, rows in the order of the texts.

    `entities` holds for each row, and each mention that was asked for, the sentiment's probabilities `(3,)`.
    """

    sentiment: NDArray[np.float32]
    topic: NDArray[np.float32]
    intent: NDArray[np.float32]
    entities: list[list[NDArray[np.float32]]]
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
        return {**labels, **vectors, "entity_probs": self._entity_column(), "model_version": version}

    def frame(self) -> pl.DataFrame:
        """Return the scores as a frame with a row for each text, in order; the columns are those of the table `posts`.

        `sentiment`, `topic` and `intent` are labels; `sentiment_probs` and its like are lists in the order of the
        labels in `records.py`; `entities` holds sentiment and probabilities of each mention that was asked for.
        """
        import polars as pl

        columns = self.columns()
        found = columns.pop("entity_probs")
        probabilities = np.asarray(found.values.values).reshape(-1, len(SENTIMENTS))
        labels = pa.array(SENTIMENTS, pa.string()).take(pa.array(probabilities.argmax(axis=1)))
        entities = pa.StructArray.from_arrays([labels, found.values], ["sentiment", "sentiment_probs"])
        version = columns.pop("model_version")
        columns |= {"entities": pa.ListArray.from_arrays(found.offsets, entities), "model_version": version}
        return pl.DataFrame(pa.table(columns))

    def _entity_column(self) -> pa.Array:
        """Return for each row the list of its mentions' probabilities."""
        flat = [vector for row in self.entities for vector in row]
        ends = np.cumsum([0, *(len(row) for row in self.entities)]).astype(np.int32)
        vectors = _lists(np.array(flat, np.float32).reshape(-1, len(SENTIMENTS)))
        return pa.ListArray.from_arrays(pa.array(ends), vectors)

    def _label_column(self, task: str) -> pa.Array:
        names = pa.array(TASKS[task], pa.string())
        return names.take(pa.array(self.probabilities(task).argmax(axis=1)))


def _lists(matrix: NDArray[np.float32]) -> pa.Array:
    """Return the rows of a matrix as an Arrow list array, without a Python object for each."""
    rows, width = matrix.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(matrix).reshape(-1), pa.float32()))
