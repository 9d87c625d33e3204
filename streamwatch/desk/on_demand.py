"""Scores on demand: texts of a caller, masked, with their entities, through the same scorer as the stream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from streamwatch.codec import PostDecoder, with_scores
from streamwatch.desk.intake import Received
from streamwatch.desk.search import shown_post
from streamwatch.ingest.enrich import Enricher
from streamwatch.ingest.entities import Gazetteer
from streamwatch.records import Post

Score = Callable[[pa.RecordBatch], Awaitable[pa.RecordBatch]]
"""Takes the columns `text`, `mentions` and `parent`, and returns those that the model adds."""
SHOWN = (
    "text",
    "entities",
    "sentiment",
    "topic",
    "intent",
    "sentiment_probs",
    "topic_probs",
    "intent_probs",
    "model_version",
)


class AskedText(NamedTuple):
    """A text, and the one that it answers."""

    text: str
    parent: str | None = None


class OnDemand:
    """Scores texts that a caller sends.

    Args:
        score: The scorer.
    """

    def __init__(self, score: Score) -> None:
        self._score = score
        self._enricher: Enricher | None = None

    async def scores(self, texts: Sequence[AskedText]) -> list[dict[str, Any]]:
        """Return each text masked, with its entities, labels and probabilities by label."""
        batch = await asyncio.to_thread(self._enriched, texts)
        parents = pa.array([asked.parent for asked in texts], pa.string())
        asked = pa.record_batch({"text": batch["text"], "mentions": batch["mentions"], "parent": parents})
        columns = await self._score(asked)
        by_name = dict(zip(columns.schema.names, columns.columns, strict=True))
        scored = with_scores(batch, by_name, datetime.now(UTC))
        shown = [shown_post(row) for row in scored.to_pylist()]
        return [{name: post[name] for name in SHOWN} for post in shown]

    def _enriched(self, texts: Sequence[AskedText]) -> pa.RecordBatch:
        # There are no authors here, so their key is any.
        self._enricher = self._enricher or Enricher(Gazetteer.load(), secrets.token_bytes(16))
        at = datetime(2000, 1, 1, tzinfo=UTC)
        posts = [Post(id=str(i), source="desk", published_at=at, text=asked.text) for i, asked in enumerate(texts)]
        messages = [Received(msgspec.json.encode(post), place) for place, post in enumerate(posts)]
        return self._enricher.enrich(PostDecoder(0.0).decode("desk", 0, messages, datetime.now(UTC)).batch)
