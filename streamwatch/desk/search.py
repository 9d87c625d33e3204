"""Search in the stored posts, the newest first, a page at a time.

A page goes on where the one before ended: by event time, source partition and offset, which no two posts share. Posts
that are stored meanwhile move nothing, so no post is given twice and none that was there is left out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec import Struct

from streamwatch.errors import BadRecord
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS
from streamwatch.store.follower import TableFollower
from streamwatch.store.tables import store_errors
from streamwatch.watch.instants import from_us, to_us

FIRST_SLICE_ROWS = 20_000
SLICE_GROWTH = 4
MAX_SEARCHED_ROWS = 2_000_000
"""After about so many posts a page ends, however few it found; its cursor goes on from there."""
ORDER = ("published_at", "source_partition", "source_offset")
STAT_MARGIN = timedelta(milliseconds=1)
"""Delta keeps the times of a file in milliseconds, cut off."""
VECTORS = {"sentiment_probs": SENTIMENTS, "topic_probs": TOPICS, "intent_probs": INTENTS}


class Place(NamedTuple):
    """Where a post stands in the order of pages; the next page has what is below."""

    at_us: int
    partition: int
    offset: int

    def cursor(self) -> str:
        """Return this place as an opaque word."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(tuple(self))).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> Place:
        """Return the place that a cursor names.

        Raises:
            BadRecord: It is none of ours.

        >>> Place.read(Place(1_767_600_000_000_000, 2, 17).cursor())
        Place(at_us=1767600000000000, partition=2, offset=17)
        """
        try:
            data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            place = cls(*msgspec.msgpack.decode(data, type=tuple[int, int, int]))
            from_us(place.at_us)
            _check_fits(place)
        except (binascii.Error, ValueError, msgspec.DecodeError, OverflowError) as error:
            message = f"cursor {cursor[:80]!r} is none that this desk gave; leave it out to begin with the newest post"
            raise BadRecord(message) from error
        return place


def _check_fits(place: Place) -> None:
    if not (-1 <= place.partition < 2**31 and -1 <= place.offset < 2**63):
        message = "no partition or offset"
        raise ValueError(message)


class Filters(Struct, frozen=True, kw_only=True):
    """Which posts; of a field's values a post must have one, and every field that has values must fit.

    Attributes:
        entity: Tickers, or names of entities that have none.
        entity_sentiment: The verdict on one of these entities (on any, where none is named).
        text: Words that all stand in the text, in any case.
        ids: Posts by id.
        start: From this event time on, inclusive.
        end: Before this event time.
    """

    entity: tuple[str, ...] = ()
    entity_sentiment: tuple[str, ...] = ()
    topic: tuple[str, ...] = ()
    intent: tuple[str, ...] = ()
    sentiment: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    lang: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    text: str = ""
    start: datetime | None = None
    end: datetime | None = None

    def expressions(self) -> list[pl.Expr]:
        """Return what a row must fulfil."""
        named = {name: getattr(self, name) for name in ("topic", "intent", "sentiment", "source", "lang")}
        found = [pl.col(name).is_in(list(values)) for name, values in named.items() if values]
        if self.ids:
            found.append(pl.col("id").is_in(list(self.ids)))
        if self.entity or self.entity_sentiment:
            found.append(self._mentions())
        text = pl.col("text").str.to_lowercase()
        found += [text.str.contains(word, literal=True) for word in self.text.lower().split()]
        if self.start:
            found.append(pl.col("published_at") >= self.start)
        if self.end:
            found.append(pl.col("published_at") < self.end)
        return found

    def _mentions(self) -> pl.Expr:
        field = pl.element().struct.field
        ticker = field("ticker")
        fits = []
        if self.entity:
            fits.append(pl.when(ticker != "").then(ticker).otherwise(field("name")).is_in(list(self.entity)))
        if self.entity_sentiment:
            fits.append(field("sentiment").is_in(list(self.entity_sentiment)))
        return pl.col("entities").list.eval(reduce(and_, fits)).list.any().fill_null(value=False)


class Page(NamedTuple):
    """Some posts, newest first, and the cursor of the next page; None at the end."""

    posts: list[dict[str, Any]]
    next_cursor: str | None


class PostSearch:
    """Search in the table `posts`.

    Args:
        posts: The table, as far as it was followed.
    """

    def __init__(self, posts: TableFollower) -> None:
        self._posts = posts

    def page(self, filters: Filters, limit: int, after: Place | None = None) -> Page:
        """Return the next posts that fit.

        A page may hold fewer than `limit` posts and still have a next one: when little of what was searched fits.
        """
        found: list[pl.DataFrame] = []
        rows = searched = 0
        for low, high, slice_rows in self._slices(filters, after):
            found.append(self._newest(filters, after, low, high, limit + 1 - rows))
            rows += found[-1].height
            searched += slice_rows
            if rows > limit:
                return _page(found, limit)
            if searched >= MAX_SEARCHED_ROWS and low is not None:
                return Page(_page(found, limit).posts, Place(to_us(low), -1, -1).cursor())
        return _page(found, limit)

    def _slices(self, filters: Filters, after: Place | None) -> Iterator[tuple[datetime | None, datetime | None, int]]:
        """Yield stretches of event time `[low, high)`, newest first, each of several times the posts before."""
        files = self._posts.files
        high = filters.end
        if after is not None:
            # The place before all posts of an instant has no partition.
            top = from_us(after.at_us) + timedelta(microseconds=after.partition >= 0)
            high = top if high is None else min(high, top)
        if files.is_empty():
            return
        if high is not None:
            files = files.filter(pl.col("first_at") < high)
        if filters.start is not None:
            files = files.filter(pl.col("last_at") >= filters.start - STAT_MARGIN)
        wanted, passed = FIRST_SLICE_ROWS, 0
        for first_at, rows in files.sort("first_at", descending=True).select("first_at", "rows").iter_rows():
            passed += rows
            if passed >= wanted and (high is None or first_at < high):
                yield first_at, high, passed
                high, wanted, passed = first_at, wanted * SLICE_GROWTH, 0
        yield None, high, passed

    def _newest(
        self, filters: Filters, after: Place | None, low: datetime | None, high: datetime | None, limit: int
    ) -> pl.DataFrame:
        at = pl.col("published_at")
        files, wanted = self._posts.files, filters.expressions()
        if low is not None:
            files, wanted = files.filter(pl.col("last_at") >= low - STAT_MARGIN), [*wanted, at >= low]
        if high is not None:
            files, wanted = files.filter(pl.col("first_at") < high), [*wanted, at < high]
        if after is not None:
            wanted.append(_below(after))
        rows = self._posts.scan(files["uri"].to_list())
        with store_errors("posts"):
            return rows.filter(*wanted).sort(ORDER, descending=True).head(limit).collect()


def _below(after: Place) -> pl.Expr:
    at, partition, offset = pl.col("published_at").dt.epoch("us"), pl.col(ORDER[1]), pl.col(ORDER[2])
    same_time = at == after.at_us
    return (
        (at < after.at_us)
        | (same_time & (partition < after.partition))
        | (same_time & (partition == after.partition) & (offset < after.offset))
    )


def _page(found: list[pl.DataFrame], limit: int) -> Page:
    if not found:
        return Page([], None)
    rows = pl.concat(found)
    posts = [shown_post(row) for row in rows.head(limit).to_dicts()]
    if rows.height <= limit:
        return Page(posts, None)
    last = rows.row(limit - 1, named=True)
    return Page(posts, Place(to_us(last["published_at"]), *(last[name] for name in ORDER[1:])).cursor())


def shown_post(row: dict[str, Any]) -> dict[str, Any]:
    """Return a stored post as the desk shows it: each vector of probabilities by its labels."""
    vectors = {name: row.pop(name) or [] for name in VECTORS}
    for name, labels in VECTORS.items():
        row[name] = {label: round(p, 6) for label, p in zip(labels, vectors[name], strict=False)}
    for entity in row["entities"] or []:
        probs = entity.pop("sentiment_probs", None) or []
        entity["sentiment_probs"] = {label: round(p, 6) for label, p in zip(SENTIMENTS, probs, strict=False)}
    return row
