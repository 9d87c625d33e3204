"""A feed as a source of posts: ask for it, read it, and say what came of it."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from streamwatch.errors import FeedError
from streamwatch.feeds.backoff import failure_wait, next_wait
from streamwatch.feeds.fetching import Fetched, fetch
from streamwatch.feeds.posts import posts_of
from streamwatch.feeds.reading import read_apart
from streamwatch.feeds.report import FeedReport
from streamwatch.feeds.subscriptions import FetchRules, Subscription
from streamwatch.ingest.post_source import Polled
from streamwatch.records import Post

GONE = 410


class FeedCursor(Struct, frozen=True, omit_defaults=True):
    """What is kept of a feed from one visit to the next.

    Attributes:
        url: Of which address the rest is.
        etag: The version that was read last, as its server calls it.
        last_modified: The same, as a date.
        digest: A hash of what was read last, for servers that name no version.
        failures: How often in a row it has failed.
        not_before: It is left alone until then.
    """

    url: str = ""
    etag: str = ""
    last_modified: str = ""
    digest: str = ""
    failures: int = 0
    not_before: datetime | None = None


class Visit(NamedTuple):
    """What a visit to a feed gave."""

    polled: Polled
    report: FeedReport


class FeedSource:
    """One feed; a `PostSource`.

    Args:
        feed: The feed.
        rules: How to fetch it.
        rng: The jitter's.
    """

    def __init__(self, feed: Subscription, rules: FetchRules, rng: random.Random | None = None) -> None:
        self.feed = feed
        self._rules = rules
        self._rng = rng or random.Random()

    @property
    def name(self) -> str:
        """The feed's name."""
        return self.feed.name

    def poll(self, cursor: str) -> Polled:
        """Return what the feed holds, unless it is as it was.

        Raises:
            FeedError: It cannot be fetched or read.
        """
        polled, report = self.visit(cursor)
        if report.outcome == "failed":
            raise FeedError(report.found, report.advice, status=report.status)
        return polled

    def not_before(self, cursor: str) -> datetime:
        """Return until when the feed is left alone; the past, if it is not."""
        return self._read_cursor(cursor).not_before or datetime.min.replace(tzinfo=UTC)

    def visit(self, cursor: str) -> Visit:
        """Ask for the feed once, whatever comes of it."""
        before, started, now = self._read_cursor(cursor), time.monotonic(), datetime.now(UTC)
        try:
            fetched = fetch(
                self.feed.url,
                self._rules,
                private=self.feed.private,
                etag=before.etag,
                last_modified=before.last_modified,
            )
            visit = self._read(fetched, before, now)
        except FeedError as error:
            visit = self._failed(error, before, now)
        return visit._replace(report=replace(visit.report, seconds=round(time.monotonic() - started, 3)))

    def waiting(self, cursor: str) -> Visit:
        """Return the visit of a feed that is left alone for now."""
        report = FeedReport(
            feed=self.name,
            outcome="waiting",
            next_at=self.not_before(cursor),
            failures=self._read_cursor(cursor).failures,
        )
        return Visit(Polled([], cursor), report)

    def _read(self, fetched: Fetched, before: FeedCursor, now: datetime) -> Visit:
        after = FeedCursor(
            url=self.feed.url,
            etag=fetched.etag,
            last_modified=fetched.last_modified,
            digest=hashlib.sha256(fetched.body or b"").hexdigest()[:32],
        )
        report = FeedReport(
            feed=self.name,
            outcome="read",
            next_at=now + next_wait(self.feed.interval, self._rng),
            status=fetched.status,
            bytes=len(fetched.body or b""),
        )
        warnings = [f"has moved to {fetched.moved_to} for good: change its url"] if fetched.moved_to else []
        if fetched.body is None or after.digest == before.digest:
            kept = replace(before if fetched.body is None else after, failures=0, not_before=None)
            return _visit([], kept, report, outcome="unchanged", warnings=warnings)
        document = read_apart(fetched.body, fetched.content_type)
        posts, old, odd = posts_of(document, self.feed, now)
        warnings += document.warnings + odd
        return _visit(posts, after, report, entries=len(document.entries), old=old, warnings=warnings)

    def _failed(self, error: FeedError, before: FeedCursor, now: datetime) -> Visit:
        failures = before.failures + 1
        wait = failure_wait(
            self.feed.interval,
            failures,
            self._rng,
            retry_after_s=error.retry_after_s,
            gone=error.status == GONE,
        )
        report = FeedReport(
            feed=self.name,
            outcome="failed",
            next_at=now + wait,
            status=error.status,
            found=error.found,
            advice=error.advice,
            failures=failures,
        )
        return _visit([], replace(before, url=self.feed.url, failures=failures, not_before=now + wait), report)

    def _read_cursor(self, cursor: str) -> FeedCursor:
        """Return what is kept of the feed; nothing, if its address was changed in the file."""
        found = msgspec.json.decode(cursor, type=FeedCursor) if cursor else FeedCursor()
        return found if found.url == self.feed.url else FeedCursor()


def _visit(posts: Sequence[Post], cursor: FeedCursor, report: FeedReport, **changes: object) -> Visit:
    return Visit(Polled(posts, msgspec.json.encode(cursor).decode()), replace(report, **changes))
