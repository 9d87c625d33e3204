"""The scorer: texts in, sentiment, topic and intent out. It is all that the rest of streamwatch knows of the model."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.artifacts import default_cache
from streamwatch.model.embedder import Embedder, load_embedder
from streamwatch.model.encoder import DEFAULT_BASE
from streamwatch.model.heads import TASKS, Heads, load_heads, shipped_folder
from streamwatch.model.scores import Scores

VERSION_HASH_DIGITS = 8


class Scorer:
    """An encoder with its three heads.

    A text's scores depend on the text alone: not on its place among the others, nor on who they are.
    """

    def __init__(self, embedder: Embedder, heads: Heads) -> None:
        self._embedder = embedder
        self._heads = heads.heads
        self.version = _version(embedder, heads)

    @classmethod
    def load(cls, config: ModelConfig, cache_dir: Path | None = None) -> Scorer:
        """Load encoder and heads; the first time, the encoder's runtime files are built, which takes seconds.

        Args:
            config: Which encoder, heads and runtime.
            cache_dir: Where built files are kept; none: `config.cache_dir`, else the user's cache folder.

        Raises:
            EncoderMissing: The package of the default encoder is not installed.
            ModelError: Encoder or heads are damaged, or do not belong together.
        """
        heads = load_heads(config.heads or shipped_folder())
        embedder = load_embedder(config, cache_dir or config.cache_dir or default_cache())
        _check_match(heads, embedder, config)
        return cls(embedder, heads)

    def score(self, texts: Sequence[str] | pa.Array) -> Scores:
        """Score texts, `(rows,)`; none gives no rows. Equal texts are scored once."""
        plain: Sequence[str] = texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else texts
        vectors, places, stats = self._embedder.embed_distinct(plain)
        started = time.perf_counter()
        probabilities = {task: self._heads[task].probabilities(vectors)[places] for task in TASKS}
        infer_s = stats.infer_s + time.perf_counter() - started
        return Scores(**probabilities, model_version=self.version, stats=replace(stats, infer_s=infer_s))


def _check_match(heads: Heads, embedder: Embedder, config: ModelConfig) -> None:
    trained, found = heads.manifest.encoder, embedder.encoder
    if trained.sha256 != found.sha256:
        message = (
            f"the heads in {config.heads or 'streamwatch'} were trained on {trained.name} ({trained.sha256[:12]}), "
            f"and model.base is {found.name} ({found.sha256[:12]}): "
            "train heads with `python -m streamwatch.learn.heads --base`, and name their folder in model.heads"
        )
        raise ModelError(message)
    for task, head in heads.heads.items():
        if head.weight.shape[1] != embedder.hidden:
            message = f"the head {task} takes vectors of {head.weight.shape[1]}, the encoder gives {embedder.hidden}"
            raise ModelError(message)


def _version(embedder: Embedder, heads: Heads) -> str:
    """Name encoder, content and precision, such as `e5s-1f3a9c02-int8`: other scores, another version."""
    content = f"{embedder.encoder.sha256} {heads.manifest.tensors_sha256} {embedder.max_tokens}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:VERSION_HASH_DIGITS]
    name = embedder.encoder.name
    short = "e5s" if name == DEFAULT_BASE else re.sub(r"[^a-z0-9]+", "-", name.lower())[-24:].strip("-")
    return f"{short}-{digest}-{embedder.runtime.precision}"
