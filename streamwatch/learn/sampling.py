"""Which texts a training step sees: sets by temperature, texts of like length together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from streamwatch.learn.examples import Example
from streamwatch.learn.network import Tokens
from streamwatch.model.tokenizer import TextTokenizer

SORTED_BATCHES = 40
"""Texts are sorted by length within so many batches: enough for little padding, few enough to stay random."""


def set_shares(sizes: Sequence[int], temperature: float) -> list[float]:
    """Return the share of each set among the texts drawn: its size to the power of `1 / temperature`.

    1 draws in proportion, larger values raise small sets (Arivazhagan et al. 2019, https://arxiv.org/abs/1907.05019).

    >>> set_shares([900, 100], 1.0), set_shares([900, 100], 2.0)
    ([0.9, 0.1], [0.75, 0.25])
    """
    raised = np.array(sizes, float) ** (1 / temperature)
    return [float(share) for share in raised / raised.sum()]


def draw_epoch(examples: Sequence[Example], temperature: float, draw: np.random.Generator) -> list[int]:
    """Return the places of an epoch's texts: as many as there are, each set by its share, none of it twice too often.

    A set that is raised goes round: each of its texts comes once before the first comes again.
    """
    by_set: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        by_set[example.set].append(place)
    sizes = [len(places) for places in by_set.values()]
    chosen: list[int] = []
    for places, share in zip(by_set.values(), set_shares(sizes, temperature), strict=True):
        wanted = round(share * len(examples))
        rounds = [draw.permutation(places) for _ in range(-(-wanted // len(places)))]
        chosen += np.concatenate(rounds)[:wanted].tolist() if rounds else []
    return [chosen[place] for place in draw.permutation(len(chosen))]


def cut_epoch(lengths: Sequence[int], size: int, draw: np.random.Generator) -> list[list[int]]:
    """Cut an epoch's texts into batches of `size` of like length, in random order; the rest that fills none is left."""
    batches: list[list[int]] = []
    stride = size * SORTED_BATCHES
    for start in range(0, len(lengths), stride):
        pool = sorted(range(start, min(start + stride, len(lengths))), key=lambda place: lengths[place])
        batches += [pool[at : at + size] for at in range(0, len(pool) - size + 1, size)]
    return [batches[place] for place in draw.permutation(len(batches))]


def lay_out(tokenizer: TextTokenizer, examples: Sequence[Example], max_tokens: int, context_tokens: int) -> Tokens:
    """Tokenise texts with their entities and what they answer, and pad them to the longest.

    An entity behind the last token that is kept is read off the last one.
    """
    marked = tokenizer.encode_marked(
        [example.text for example in examples],
        [[(span.start, span.end) for span in example.spans] for example in examples],
        max_tokens,
    )
    parents = tokenizer.encode([example.parent for example in examples], context_tokens)
    marked = [
        text.answering(parent) if example.parent else text
        for text, example, parent in zip(marked, examples, parents, strict=True)
    ]
    lengths = np.array([len(text.ids) for text in marked], np.int64)
    ids = np.full((len(marked), int(lengths.max())), tokenizer.pad_id, np.int64)
    for row, text in zip(ids, marked, strict=True):
        row[: len(text.ids)] = text.ids
    own = np.array([text.own for text in marked], np.int64)
    entities = [(row, *span) for row, text in enumerate(marked) for span in text.spans]
    named = np.array(entities, np.int64).reshape(-1, 3)
    return Tokens(*(torch.from_numpy(array) for array in (ids, lengths, own, named)))


def sorted_batches(examples: Sequence[Example], size: int) -> Iterator[list[int]]:
    """Yield the places of texts of like length, all of them, the shortest first: to measure on."""
    order = sorted(range(len(examples)), key=lambda place: examples[place].length)
    for start in range(0, len(order), size):
        yield order[start : start + size]
