"""The scorer: texts in, sentiment, topic and intent out. It is all that the rest of streamwatch knows of the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.artifacts import default_cache
from streamwatch.model.embedder import Embedded, Embedder, Entry, load_embedder
from streamwatch.model.encoder import Encoder, fine_tuned, load_encoder
from streamwatch.model.heads import ENTITY, TASKS
from streamwatch.model.scores import Scores
from streamwatch.model.tokenizer import simplified
from streamwatch.model.trained import Trained, load_trained, shipped_folder

if TYPE_CHECKING:
    import polars as pl


class Scorer:
    """An encoder with its heads.

    A text's scores depend on the text alone: not on its place among the others, nor on who they are.
    """

    def __init__(self, embedder: Embedder, trained: Trained) -> None:
        self._embedder = embedder
        self._heads = trained.heads
        read = (embedder.max_tokens, embedder.context_tokens)
        self.version = trained.manifest.version(read, embedder.runtime.precision)

    @classmethod
    def load(cls, config: ModelConfig | None = None, cache_dir: Path | None = None) -> Scorer:
        """Load a trained model; the first time, the runtime's files are built, which takes seconds.

        Args:
            config: Which encoder, trained model and runtime; none: those that come with streamwatch.
            cache_dir: Where built files are kept; none: `config.cache_dir`, else the user's cache folder.

        Raises:
            EncoderMissing: The package of the default encoder is not installed.
            ModelError: Encoder or model are damaged, or do not belong together.
        """
        config = config or ModelConfig()
        trained, encoder = configured_model(config)
        embedder = load_embedder(config, encoder, cache_dir or config.cache_dir or default_cache())
        check_widths(trained, embedder.hidden)
        return cls(embedder, trained)

    def score(
        self,
        texts: Sequence[str] | pa.Array,
        mentions: Sequence[Sequence[str]] | pa.Array = (),
        parents: Sequence[str | None] | pa.Array = (),
    ) -> pl.DataFrame:
        """Score texts, and return a frame with a row for each, in order; see `predict` and `Scores.frame`."""
        return self.predict(texts, mentions, parents).frame()

    def predict(
        self,
        texts: Sequence[str] | pa.Array,
        mentions: Sequence[Sequence[str]] | pa.Array = (),
        parents: Sequence[str | None] | pa.Array = (),
    ) -> Scores:
        """Score texts, `(rows,)`; none gives no rows. Equal ones are scored once.

        Args:
            texts: The texts.
            mentions: For each text how the entities are spelt in it whose own sentiment is wanted; nothing: none.
            parents: For each text the one that it answers, with which it is read; nothing: none answers any.
        """
        embedded = self._embedder.embed(_entries(texts, mentions, parents))
        started = time.perf_counter()
        found = {task: self._heads[task].probabilities(embedded.texts)[embedded.places] for task in TASKS}
        entities = self._entities(embedded)
        infer_s = embedded.stats.infer_s + time.perf_counter() - started
        return Scores(
            **found, entities=entities, model_version=self.version, stats=replace(embedded.stats, infer_s=infer_s)
        )

    def vectors(
        self, texts: Sequence[str] | pa.Array, parents: Sequence[str | None] | pa.Array = ()
    ) -> NDArray[np.float32]:
        """Return the vectors that the heads on a text see, `(rows, hidden)`; those of another `version` differ."""
        embedded = self._embedder.embed(_entries(texts, (), parents))
        return embedded.texts[embedded.places]

    def _entities(self, embedded: Embedded) -> list[list[NDArray[np.float32]]]:
        """Return the probabilities of each text's mentions; those of the text for one that it does not hold."""
        own = self._heads[ENTITY].probabilities(embedded.entities)
        texts = self._heads["sentiment"].probabilities(embedded.texts)
        of_entry = [
            [own[place] if place >= 0 else texts[entry] for place in places]
            for entry, places in enumerate(embedded.entity_places)
        ]
        return [of_entry[place] for place in embedded.places.tolist()]


def _entries(
    texts: Sequence[str] | pa.Array,
    mentions: Sequence[Sequence[str]] | pa.Array,
    parents: Sequence[str | None] | pa.Array,
) -> list[Entry]:
    plain, named, answered = _values(texts), _values(mentions), _values(parents)
    rows = zip(plain, named or [()] * len(plain), answered or [None] * len(plain), strict=True)
    return [Entry(simplified(text), tuple(spelt), simplified(parent) if parent else "") for text, spelt, parent in rows]


def _values(column: Sequence[Any] | pa.Array) -> Sequence[Any]:
    return column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else column


def configured_model(config: ModelConfig) -> tuple[Trained, Encoder]:
    """Return the trained model that a configuration names, and its encoder, fine-tuned.

    Raises:
        EncoderMissing: The package of the default encoder is not installed.
        ModelError: Encoder or model are damaged, or do not belong together.
    """
    trained, base = load_trained(config.weights or shipped_folder()), load_encoder(config.base)
    _check_match(trained, base, config)
    return trained, fine_tuned(base, trained.differences, trained.manifest.tensors_sha256)


def _check_match(trained: Trained, base: Encoder, config: ModelConfig) -> None:
    of = trained.manifest.encoder
    if of.sha256 != base.sha256:
        message = (
            f"the model in {config.weights or 'streamwatch'} was trained on {of.name} ({of.sha256[:12]}), "
            f"and model.base is {base.name} ({base.sha256[:12]}): "
            "train one with `python -m streamwatch.learn.train --base`, and name its folder in model.weights"
        )
        raise ModelError(message)


def check_widths(trained: Trained, hidden: int) -> None:
    """Check that a model's heads take what its encoder gives, vectors of `hidden`.

    Raises:
        ModelError: They do not.
    """
    for name, head in trained.heads.items():
        wanted = 2 * hidden if name == ENTITY else hidden
        if head.weight.shape[1] != wanted:
            message = f"the head {name} takes vectors of {head.weight.shape[1]}, the encoder gives {wanted}"
            raise ModelError(message)
