"""Micro-batches by token budget: equal texts once, sorted by length, cut, and put back in order.

The rows of a batch all have the same padded length, and a text's padded length follows from its own length alone.
So the arithmetic for a text has the same shapes whatever its neighbours are, and so has its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LENGTH_STEP_TOKENS = 4
"""Texts are padded to the next multiple of this: longer steps pad more, shorter ones make more batches."""


class Distinct(NamedTuple):
    """Texts without repeats: `texts[places[i]]` is the i-th of the original ones."""

    texts: list[str]
    places: NDArray[np.intp]


class Batch(NamedTuple):
    """Rows that are scored together, padded to `tokens` each."""

    rows: NDArray[np.intp]
    tokens: int


class Padded(NamedTuple):
    """A batch as the encoder takes it: ids `(rows, tokens)` and the lengths `(rows,)` that count."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]


def distinct(texts: Iterable[str]) -> Distinct:
    """Return each text once, in order of first appearance, and where each original one stands among them.

    >>> distinct(["buy", "sell", "buy"])
    Distinct(texts=['buy', 'sell'], places=array([0, 1, 0]))
    """
    first: dict[str, int] = {}
    places = [first.setdefault(text, len(first)) for text in texts]
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


def pad(token_ids: Sequence[NDArray[np.int64]], batch: Batch, pad_id: int) -> Padded:
    """Lay a batch's token ids out as one matrix.

    >>> pad([np.array([7, 8]), np.array([9])], Batch(np.array([1, 0]), 3), 1).ids.tolist()
    [[9, 1, 1], [7, 8, 1]]
    """
    ids = np.full((len(batch.rows), batch.tokens), pad_id, np.int64)
    rows = [token_ids[row] for row in batch.rows.tolist()]
    for target, source in zip(ids, rows, strict=True):
        target[: len(source)] = source
    return Padded(ids, np.array([len(row) for row in rows], np.int64))
