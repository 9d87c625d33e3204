"""The records on the streams: posts, labels, windows and alerts.

These classes are the source of truth for the JSON Schemas in `schemas/`; a test holds both equal.
Every record names its schema and version in the field `schema`; it may be left out of a post or a label.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

MAX_TEXT_CHARS = 20_000
"""Longest text of a post, in characters."""

SENTIMENTS = ("negative", "neutral", "positive")
TOPICS = (
    "analyst_update",
    "central_banks",
    "company_product",
    "corporate_debt",
    "currencies",
    "dividend",
    "earnings",
    "energy",
    "financials",
    "general_news",
    "ipo",
    "legal_regulation",
    "macro",
    "markets",
    "mergers_investments",
    "metals_materials",
    "personnel",
    "politics",
    "stock_commentary",
    "stock_movement",
)
INTENTS = ("inform", "express", "question", "suggest", "request", "threaten", "other")
"""Speech acts: what the author does with the post."""

Id = Annotated[str, Meta(min_length=1, max_length=256)]
ShortText = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
LongText = Annotated[str, Meta(max_length=2_048)]
Ticker = Annotated[str, Meta(min_length=1, max_length=16)]
Instant = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""A count or an offset, small enough for readers whose numbers are floats."""


class Post(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A post as a source publishes it: schema `post.v1`."""

    schema: Literal["post.v1"] = "post.v1"
    id: Id
    source: ShortText
    published_at: Instant
    text: Text
    lang: Annotated[str, Meta(min_length=2, max_length=35)] | None = None
    url: LongText | None = None
    author: ShortText | None = None
    tickers: Annotated[list[Ticker], Meta(max_length=64)] = field(default_factory=list)
    reply_to: Id | None = None


class Label(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person says a post is: schema `label.v1`."""

    schema: Literal["label.v1"] = "label.v1"
    post_id: Id
    task: Literal["sentiment", "topic", "intent"]
    gold_label: ShortText
    labeller: ShortText
    labelled_at: Instant
    origin: ShortText


class Window(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One closed window of one monitor and group: schema `window.v1`.

    `window_start` is inclusive, `window_end` exclusive. `measure` is what the monitor watches, `expected` what
    its baseline expected of it, `surprise` is -log10 of the probability of so much or more.
    """

    schema: Literal["window.v1"] = "window.v1"
    monitor: ShortText
    group: ShortText
    window_start: Instant
    window_end: Instant
    count: Count
    negative: Count
    measure: float
    expected: float | None
    surprise: float


class EvidencePost(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A post that drove an alert, masked."""

    id: Id
    source: ShortText
    published_at: Instant
    text: str
    sentiment: ShortText
    negative_prob: float


class Provenance(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an alert was computed from, so that it can be computed again."""

    model_version: str
    monitors_hash: str
    watermark: Instant
    source_offsets: dict[str, Count]


class Alert(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A surge of one monitor and group from onset to end: schema `alert.v1`.

    The fingerprint is made of monitor, group and onset, so an alert that is sent twice is one alert. `onset` is
    the start of the window that raised it; `seen` and `expected` are of the window `[window_start, window_end)`.
    """

    schema: Literal["alert.v1"] = "alert.v1"
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    monitor: ShortText
    group: ShortText
    group_by: ShortText
    severity: ShortText
    status: Literal["firing", "resolved"]
    onset: Instant
    window_start: Instant
    window_end: Instant
    updated_at: Instant
    ended_at: Instant | None
    measure: ShortText
    seen: float
    expected: float
    surprise: float
    count: Count
    negative: Count
    evidence: list[EvidencePost]
    annotations: dict[str, str]
    provenance: Provenance


RECORDS: dict[str, type[Struct]] = {
    "post.v1": Post,
    "label.v1": Label,
    "window.v1": Window,
    "alert.v1": Alert,
}


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a record, as it stands in `schemas/<name>.json`.

    >>> json_schema("post.v1")["required"]
    ['id', 'source', 'published_at', 'text']
    """
    record = RECORDS[name]
    (root,), components = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{name}.json"}
    schema |= components.pop(root["$ref"].rsplit("/", 1)[1])
    if components:
        schema["$defs"] = components
    return schema
