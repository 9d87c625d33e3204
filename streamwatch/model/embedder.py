"""Texts to vectors: tokenise, cut into micro-batches, run the encoder, put back in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.model.batches import Batch, cut, distinct, pad
from streamwatch.model.encoder import Encoder
from streamwatch.model.runtime import Runtime, open_runtime
from streamwatch.model.scores import ScoreStats
from streamwatch.model.tokenizer import MarkedText


class Entry(NamedTuple):
    """A text, how its entities are spelt in it, and the text that it answers; both texts simplified."""

    text: str
    mentions: tuple[str, ...] = ()
    parent: str = ""


class Embedded(NamedTuple):
    """Vectors of the distinct entries, and where each entry's stand among them.

    Attributes:
        texts: float32 `(distinct, hidden)`.
        places: `(entries,)`, rows of `texts`.
        entities: float32 `(named, 2 * hidden)`.
        entity_places: For each distinct entry and each of its mentions a row of `entities`, or -1 where the text
            does not hold the mention.
        stats: What it cost.
    """

    texts: NDArray[np.float32]
    places: NDArray[np.intp]
    entities: NDArray[np.float32]
    entity_places: list[list[int]]
    stats: ScoreStats


class Embedder:
    """An encoder and what runs it.

    Args:
        encoder: Gives the tokens.
        runtime: Gives the vectors.
        max_tokens: Longer texts are cut to so many tokens.
        context_tokens: So many tokens are read of a text that is answered; 0: none.
        micro_batch_tokens: Padded tokens that the runtime is given at a time.
    """

    def __init__(
        self, encoder: Encoder, runtime: Runtime, *, max_tokens: int, context_tokens: int, micro_batch_tokens: int
    ) -> None:
        self.encoder = encoder
        self.runtime = runtime
        self.max_tokens = max_tokens
        self.context_tokens = context_tokens
        self._micro_batch_tokens = micro_batch_tokens
        probe = pad([MarkedText(encoder.tokenizer.encode([""], max_tokens)[0], ())], Batch(np.zeros(1, np.intp), 4), 0)
        self.hidden = runtime.embed(probe).texts.shape[1]

    def embed(self, entries: Sequence[Entry]) -> Embedded:
        """Return the vectors of texts and of the entities that they name; equal entries are embedded once."""
        started = time.perf_counter()
        unique = distinct(entries)
        marked, entity_places = self._tokenise(unique.keys)
        tokenised = time.perf_counter()
        lengths = [len(text.ids) for text in marked]
        batches = cut(lengths, self._micro_batch_tokens)
        ends = np.cumsum([0, *(len(text.spans) for text in marked)])
        texts = np.empty((len(marked), self.hidden), np.float32)
        entities = np.empty((ends[-1], 2 * self.hidden), np.float32)
        for batch in batches:
            vectors = self.runtime.embed(pad(marked, batch, self.encoder.tokenizer.pad_id))
            texts[batch.rows] = vectors.texts
            if len(vectors.entities):
                entities[np.concatenate([np.arange(ends[row], ends[row + 1]) for row in batch.rows])] = vectors.entities
        stats = ScoreStats(
            texts=len(entries),
            distinct_texts=len(unique.keys),
            tokens=sum(lengths),
            padded_tokens=sum(len(batch.rows) * batch.tokens for batch in batches),
            batches=len(batches),
            tokenise_s=tokenised - started,
            infer_s=time.perf_counter() - tokenised,
        )
        return Embedded(texts, unique.places, entities, entity_places, stats)

    def _tokenise(self, entries: Sequence[Entry]) -> tuple[list[MarkedText], list[list[int]]]:
        """Return each entry's tokens with its named entities, and for each of its mentions its number or -1."""
        texts = [entry.text for entry in entries]
        spans: list[list[tuple[int, int]]] = []
        entity_places: list[list[int]] = []
        number = 0
        for entry, text in zip(entries, texts, strict=True):
            spans.append([])
            entity_places.append([])
            for mention in entry.mentions:
                at = text.find(mention) if mention else -1
                entity_places[-1].append(number if at >= 0 else -1)
                if at >= 0:
                    spans[-1].append((at, at + len(mention)))
                    number += 1
        named = [row for row, found in enumerate(spans) if found]
        plain = [row for row, found in enumerate(spans) if not found]
        tokenizer, most = self.encoder.tokenizer, self.max_tokens
        marked = tokenizer.encode_marked([texts[row] for row in named], [spans[row] for row in named], most)
        unmarked = [MarkedText(ids, ()) for ids in tokenizer.encode([texts[row] for row in plain], most)]
        by_row = dict(zip([*named, *plain], [*marked, *unmarked], strict=True))
        self._add_context(entries, by_row)
        return [by_row[row] for row in range(len(texts))], entity_places

    def _add_context(self, entries: Sequence[Entry], by_row: dict[int, MarkedText]) -> None:
        replies = [row for row, entry in enumerate(entries) if entry.parent] if self.context_tokens else []
        parents = self.encoder.tokenizer.encode([entries[row].parent for row in replies], self.context_tokens)
        for row, ids in zip(replies, parents, strict=True):
            by_row[row] = by_row[row].answering(ids)


def load_embedder(config: ModelConfig, encoder: Encoder, cache: Path) -> Embedder:
    """Open the runtime that a configuration names, over an encoder.

    Raises:
        ModelError: The runtime cannot run this encoder.
    """
    runtime = open_runtime(encoder, config.runtime, threads=config.threads, cache=cache)
    return Embedder(
        encoder,
        runtime,
        max_tokens=config.max_tokens,
        context_tokens=config.context_tokens,
        micro_batch_tokens=config.micro_batch_tokens,
    )
