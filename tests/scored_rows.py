"""Scored rows for the tests of the watch: micro-batches as SCORE sends them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa

from streamwatch.codec import SCORED_SCHEMA
from streamwatch.watch.monitors import Monitors, parse_monitors

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PROBS = {"negative": [0.8, 0.1, 0.1], "neutral": [0.1, 0.8, 0.1], "positive": [0.1, 0.1, 0.8]}


class Row(NamedTuple):
    """A post, told by what the watch looks at; `minute` counts from `START`."""

    minute: float
    entities: tuple[str, ...] = ("AAPL",)
    sentiment: str = "neutral"
    source: str = "wire"
    topic: str = "earnings"
    lang: str = "en"
    p_negative: float | None = None
    novelty: int | None = None
    text: str = "a post"
    entity_sentiments: tuple[str, ...] = ()
    """Of the entities, in order; without them they have the post's."""
    author: str | None = None
    intent: str = "inform"


def scored(rows: Sequence[Row], partition: int = 0, first_offset: int = 0) -> pa.RecordBatch:
    """Return rows as a scored micro-batch of one source partition."""
    return pa.RecordBatch.from_pylist(
        [_record(row, partition, first_offset + index) for index, row in enumerate(rows)], schema=SCORED_SCHEMA
    )


def _record(row: Row, partition: int, offset: int) -> dict[str, object]:
    at = START + timedelta(minutes=row.minute)
    probs = PROBS[row.sentiment] if row.p_negative is None else [row.p_negative, 1 - row.p_negative, 0.0]
    return {
        "id": f"{partition}-{offset}",
        "source": row.source,
        "author": row.author,
        "lang": row.lang,
        "published_at": at,
        "text": row.text,
        "tickers": [],
        "appended_at": at,
        "source_partition": partition,
        "source_offset": offset,
        "entities": [
            {
                "name": name,
                "ticker": name,
                "sentiment": own,
                "sentiment_probs": PROBS[own] if row.entity_sentiments else probs,
            }
            for name, own in zip(
                row.entities, row.entity_sentiments or [row.sentiment] * len(row.entities), strict=True
            )
        ],
        "novelty": other_words(partition, offset) if row.novelty is None else row.novelty,
        "sentiment": row.sentiment,
        "topic": row.topic,
        "intent": row.intent,
        "sentiment_probs": probs,
        "topic_probs": [],
        "intent_probs": [],
        "model_version": "m1",
        "scored_at": at,
    }


def other_words(partition: int, offset: int) -> int:
    """Return a hash that is near to no other, as that of a post in words of its own."""
    return int.from_bytes(hashlib.blake2b(f"{partition} {offset}".encode(), digest_size=8).digest(), "big", signed=True)


def monitors(**settings: str) -> Monitors:
    """Return one monitor: an hour's window every ten minutes over entities, changed by settings in TOML."""
    values = {
        "name": '"test"',
        "group_by": '"entity"',
        "window": '"60m"',
        "hop": '"10m"',
        "measure": '"volume"',
        "false_alarms": '"1 an hour"',
        **settings,
    }
    lines = (f"{'for' if key == 'holds_for' else key} = {value}" for key, value in values.items())
    return parse_monitors("\n".join(["[[monitor]]", *lines]), "monitors.toml")
