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
Corroboration = Literal["unconfirmed", "corroborated", "retracted"]
"""One voice or one copied story; independent voices; independent voices that deny it."""


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
    """What a person says a post is: schema `label.v1`.

    Of the task `entity`, `gold_label` is the sentiment about `entity`: the ticker under which the post has it, or its
    name where it has none. The other tasks have no `entity`.
    """

    schema: Literal["label.v1"] = "label.v1"
    post_id: Id
    task: Literal["sentiment", "topic", "intent", "entity"]
    gold_label: ShortText
    labeller: ShortText
    labelled_at: Instant
    origin: ShortText
    entity: ShortText | None = None

    def __post_init__(self) -> None:
        if (self.task == "entity") != (self.entity is not None):
            message = f"task {self.task} {'without' if self.entity is None else 'with'} `entity`"
            raise ValueError(message)
        if self.task in ("sentiment", "entity") and self.gold_label not in SENTIMENTS:
            message = f"{self.task} {self.gold_label!r}: expected {', '.join(SENTIMENTS)}"
            raise ValueError(message)


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
    author: str | None = None
    lang: str | None = None
    cluster: str = ""
    """Near copies share it."""
    copies: Count = 1
    """How many posts of the sample say the same, this one included."""


class Phrase(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Words that a group's posts hold more often than was to be expected, and how sure that is (a z-score)."""

    phrase: ShortText
    posts: Count
    expected: float
    z: float


class CurvePoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one window showed, and what was expected of it."""

    window_end: Instant
    seen: float
    expected: float | None


class EntityCount(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many posts of the sample speak of an entity, and how many of them are negative."""

    entity: ShortText
    posts: Count
    negative: Count


class Spread(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who says it, and whether they say it of their own: counts over a sample of the window's driving posts.

    Attributes:
        sampled: Posts looked at: all of them, or as many as a uniform sample holds.
        stories: Clusters of near copies among them.
        largest_story: Posts of the largest cluster.
        sources: Distinct sources.
        voices: Independent voices: distinct authors (sources, where none is known) of the stories' first posts.
        novel: The posts counted by novelty: of the copies of one story the n-th counts 1/n.
        denials: Independent voices that take the story back.
    """

    sampled: Count = 0
    stories: Count = 0
    largest_story: Count = 0
    sources: Count = 0
    voices: Count = 0
    novel: float = 0.0
    denials: Count = 0


class Brief(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An alert in two or three sentences, in English and Chinese. They say nothing that its fields do not."""

    en: str = ""
    zh: str = ""


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

    `corroboration` says whether independent voices report it, and `reasons` why it has its severity. `volumes`
    counts the group's posts of the last `12h`, `24h`, `3d` and `7d`; `curve` has the last windows. Alerts of one
    `incident` (an entity and its topics) belong together, and name each other by fingerprint in `related`.
    `muted_by` names the mute under which an alert is recorded and not posted.
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
    corroboration: Corroboration = "unconfirmed"
    reasons: list[str] = field(default_factory=list)
    spread: Spread = field(default_factory=Spread)
    phrases: list[Phrase] = field(default_factory=list)
    curve: list[CurvePoint] = field(default_factory=list)
    entities: list[EntityCount] = field(default_factory=list)
    volumes: dict[str, Count] = field(default_factory=dict)
    brief: Brief = field(default_factory=Brief)
    incident: str = ""
    related: list[str] = field(default_factory=list)
    muted_by: str | None = None


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
