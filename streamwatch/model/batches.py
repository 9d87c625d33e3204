"""Micro-batches by token budget: equal texts once, sorted by length, cut, and put back in order.

The rows of a batch all have the same padded length, and a text's padded length follows from its own length alone.
So the arithmetic for a text has the same shapes whatever its neighbours are, and so has its result.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamwatch.model.tokenizer import MarkedText

LENGTH_STEP_TOKENS = 4
"""Texts are padded to the next multiple of this: longer steps pad more, shorter ones make more batches."""


Key = TypeVar("Key", bound=Hashable)


class Distinct(NamedTuple, Generic[Key]):
    """Keys without repeats: `keys[places[i]]` is the i-th of the original ones."""

    keys: list[Key]
    places: NDArray[np.intp]


class Batch(NamedTuple):
    """Rows that are scored together, padded to `tokens` each."""

    rows: NDArray[np.intp]
    tokens: int


class Padded(NamedTuple):
    """A batch as the encoder takes it.

    Ids `(rows, tokens)`, how many of them are read `(rows,)`, how many of these are the text's own `(rows,)`, and for
    each entity its row, its first token and the one behind its last, `(entities, 3)`, in the order of the rows.
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    own: NDArray[np.int64]
    entities: NDArray[np.int64]


def distinct(keys: Iterable[Key]) -> Distinct[Key]:
    """Return each key once, in order of first appearance, and where each original one stands among them.

    >>> distinct(["buy", "sell", "buy"])
    Distinct(keys=['buy', 'sell'], places=array([0, 1, 0]))
    """
    first: dict[Key, int] = {}
    places = [first.setdefault(key, len(first)) for key in keys]
    return Distinct(list(first), np.array(places, np.intp))


def padded_tokens(length: int) -> int:
    """Return the padded length of a text of `length` tokens.

    >>> [padded_tokens(length) for length in (1, 4, 5)]
    [4, 4, 8]
    """
    return -(-length // LENGTH_STEP_TOKENS) * LENGTH_STEP_TOKENS


def cut(lengths: Sequence[int], budget_tokens: int) -> list[Batch]:
    """Cut texts into batches of one padded length each, of at most `budget_tokens` padded tokens.

    A text longer than the budget makes a batch of its own. Long batches come first.

    >>> [(batch.rows.tolist(), batch.tokens) for batch in cut([3, 9, 4, 2], 8)]
    [([1], 12), ([0, 2], 4), ([3], 4)]
    """
    padded = np.array([padded_tokens(length) for length in lengths], np.intp)
    batches = []
    for tokens in np.unique(padded)[::-1].tolist():
        rows = np.flatnonzero(padded == tokens)
        size = max(1, budget_tokens // tokens)
        batches += [Batch(rows[start : start + size], tokens) for start in range(0, len(rows), size)]
    return batches


def pad(texts: Sequence[MarkedText], batch: Batch, pad_id: int) -> Padded:
    """Lay a batch's token ids out as one matrix.

    >>> texts = [MarkedText(np.array([7, 8]), ((0, 2),)), MarkedText(np.array([9]), ())]
    >>> batch = pad(texts, Batch(np.array([1, 0]), 3), 1)
    >>> batch.ids.tolist(), batch.entities.tolist()
    ([[9, 1, 1], [7, 8, 1]], [[1, 0, 2]])
    """
    ids = np.full((len(batch.rows), batch.tokens), pad_id, np.int64)
    rows = [texts[row] for row in batch.rows.tolist()]
    for target, source in zip(ids, rows, strict=True):
        target[: len(source.ids)] = source.ids
    entities = [(place, *span) for place, row in enumerate(rows) for span in row.spans]
    lengths = np.array([len(row.ids) for row in rows], np.int64)
    own = np.array([row.own for row in rows], np.int64)
    return Padded(ids, lengths, own, np.array(entities, np.int64).reshape(-1, 3))
