"""What came of asking for a feed once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

Outcome = Literal["read", "unchanged", "failed", "waiting"]


class FeedReport(Struct, frozen=True, kw_only=True):
    """One visit to a feed.

    Attributes:
        feed: The feed's name.
        outcome: `read`; `unchanged` since the last visit; `failed`; `waiting`, and not asked, since it failed before
            or asked to be left alone.
        status: The HTTP status, where there was an answer.
        entries: Entries that were read.
        posts: Posts that were sent: the new ones.
        repeated: Posts that were sent before.
        old: Entries older than the feed's `max_age`.
        found: What was found, of a feed that failed.
        advice: What to do about it.
        warnings: What is wrong with it and was put up with.
        failures: How often in a row it has failed.
        bytes: How long it was.
        seconds: How long it took.
        next_at: When it is asked again at the earliest.
    """

    feed: str
    outcome: Outcome
    next_at: datetime
    status: int | None = None
    entries: int = 0
    posts: int = 0
    repeated: int = 0
    old: int = 0
    found: str = ""
    advice: str = ""
    warnings: list[str] = []
    failures: int = 0
    bytes: int = 0
    seconds: float = 0.0
