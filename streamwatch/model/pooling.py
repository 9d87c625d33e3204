"""Means over tokens in torch: what a text's heads read, and what the head of its entities reads."""

from __future__ import annotations

from torch import Tensor, arange, cat, einsum


def pooled(hidden: Tensor, own: Tensor, entities: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors of texts `(rows, hidden)` and of entities in them `(entities, 2 * hidden)`.

    A text's is the mean over its own tokens; an entity's the mean over the tokens that name it, beside its text's.

    Args:
        hidden: What the encoder says of each token, `(rows, tokens, hidden)`.
        own: How many of a row's first tokens are the text's own, `(rows,)`.
        entities: For each the row that it stands in, its first token and the one behind its last, `(entities, 3)`.
    """
    places = arange(hidden.shape[1], device=hidden.device)[None, :]
    texts = _mean(hidden, places < own[:, None])
    rows, starts, ends = entities.unbind(1)
    named = (places >= starts[:, None]) & (places < ends[:, None])
    return texts, cat([_mean(hidden[rows], named), texts[rows]], dim=1)


def _mean(hidden: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of those tokens that count, `(rows, hidden)`."""
    shares = counts.to(hidden.dtype) / counts.sum(1, keepdim=True)
    return einsum("rt,rth->rh", shares, hidden)
