"""Texts to vectors: tokenise, cut into micro-batches, run the encoder, put back in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.model.batches import cut, distinct, pad
from streamwatch.model.encoder import Encoder, load_encoder
from streamwatch.model.runtime import Runtime, open_runtime
from streamwatch.model.scores import ScoreStats


class Embedded(NamedTuple):
    """Vectors of the distinct texts `(distinct, hidden)`, and where each text's vector stands among them."""

    vectors: NDArray[np.float32]
    places: NDArray[np.intp]
    stats: ScoreStats


class Embedder:
    """An encoder and what runs it.

    Args:
        encoder: Gives the tokens.
        runtime: Gives the vectors.
        max_tokens: Longer texts are cut to so many tokens.
        micro_batch_tokens: Padded tokens that the runtime is given at a time.
    """

    def __init__(self, encoder: Encoder, runtime: Runtime, *, max_tokens: int, micro_batch_tokens: int) -> None:
        self.encoder = encoder
        self.runtime = runtime
        self.max_tokens = max_tokens
        self._micro_batch_tokens = micro_batch_tokens
        probe = encoder.tokenizer.encode([""], max_tokens)
        self.hidden = runtime.embed(pad(probe, cut([len(probe[0])], 1)[0], encoder.tokenizer.pad_id)).shape[1]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit vectors of texts, `(rows, hidden)`."""
        embedded = self.embed_distinct(texts)
        return embedded.vectors[embedded.places]

    def embed_distinct(self, texts: Sequence[str]) -> Embedded:
        """Return the unit vectors of the distinct texts, where each text's stands, and what it cost."""
        started = time.perf_counter()
        unique = distinct(texts)
        token_ids = self.encoder.tokenizer.encode(unique.texts, self.max_tokens)
        tokenised = time.perf_counter()
        lengths = [len(ids) for ids in token_ids]
        batches = cut(lengths, self._micro_batch_tokens)
        vectors = np.empty((len(unique.texts), self.hidden), np.float32)
        for batch in batches:
            vectors[batch.rows] = self.runtime.embed(pad(token_ids, batch, self.encoder.tokenizer.pad_id))
        stats = ScoreStats(
            texts=len(texts),
            distinct_texts=len(unique.texts),
            tokens=sum(lengths),
            padded_tokens=sum(len(batch.rows) * batch.tokens for batch in batches),
            batches=len(batches),
            tokenise_s=tokenised - started,
            infer_s=time.perf_counter() - tokenised,
        )
        return Embedded(vectors, unique.places, stats)


def load_embedder(config: ModelConfig, cache: Path) -> Embedder:
    """Load the encoder that a configuration names, and open its runtime.

    Raises:
        EncoderMissing: The package of the default encoder is not installed.
        ModelError: The encoder is damaged, or the runtime cannot run it.
    """
    encoder = load_encoder(config.base)
    runtime = open_runtime(encoder, config.runtime, threads=config.threads, cache=cache)
    return Embedder(encoder, runtime, max_tokens=config.max_tokens, micro_batch_tokens=config.micro_batch_tokens)
