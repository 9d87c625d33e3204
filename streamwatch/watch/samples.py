"""Samples: some posts of every pane and group, drawn by lot, from which alerts are explained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import polars as pl

from streamwatch.watch.frames import Parts
from streamwatch.watch.instants import NEVER

WINDOW_POSTS = 96
"""Posts of a group that are drawn from one window, as long as its panes are equally busy."""
LEAST_PANE_POSTS = 8
DRAWN_AT_ONCE = 4_096
"""Larger micro-batches are drawn from at once, smaller ones when they are put together: that costs less."""

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "pane": pl.Int64,
    "group": pl.String,
    "lot": pl.Int64,
    "at": pl.Int64,
    "negative": pl.Int64,
    "p_negative": pl.Int64,
    "novelty": pl.Int64,
    "id": pl.String,
    "source": pl.String,
    "author": pl.String,
    "lang": pl.String,
    "intent": pl.String,
    "sentiment": pl.String,
    "text": pl.String,
    "entities": pl.List(pl.String),
    "names": pl.List(pl.String),
}
OF_MENTIONS = [name for name in SCHEMA if name not in ("text", "entities", "names")]


class Sampled(NamedTuple):
    """A post of a sample. `negative` and `p_negative` (millionths) are those of the entity where it has its own."""

    pane: int
    group: str
    lot: int
    at: int
    negative: int
    p_negative: int
    novelty: int | None
    id: str
    source: str
    author: str | None
    lang: str | None
    intent: str | None
    sentiment: str | None
    text: str
    entities: list[str] | None
    names: list[str] | None


def pane_posts(panes: int) -> int:
    """Return how many posts of each group to draw from a pane, when a window has so many panes.

    >>> pane_posts(6), pane_posts(24)
    (16, 8)
    """
    return max(-(-WINDOW_POSTS // panes), LEAST_PANE_POSTS)


class Samples:
    """For each pane and group the posts with the least lots: a uniform sample that can be merged.

    Such a bottom-k sample (Cohen and Kaplan 2007) of a whole is the sample of the samples of its parts, so the way
    posts come in does not show, and memory is bounded for each key. While a pane has fewer posts, it has all.

    Args:
        most: Posts of each pane and group.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._needed_us = NEVER
        self._parts = Parts(pl.DataFrame(schema=SCHEMA), self._draw)

    def _draw(self, posts: pl.DataFrame) -> pl.DataFrame:
        return self._least(posts.filter(pl.col("pane") >= self._needed_us)).select(*SCHEMA)

    def _least(self, posts: pl.DataFrame) -> pl.DataFrame:
        return posts.sort("lot").group_by("pane", "group", maintain_order=True).head(self._most)

    def add(self, mentions: pl.DataFrame, texts: pl.DataFrame) -> None:
        """Add a micro-batch.

        Args:
            mentions: Columns `row` and `OF_MENTIONS`.
            texts: As `groups.read_texts` gives them, for every `row`.
        """
        drawn = self._least(mentions) if mentions.height > DRAWN_AT_ONCE else mentions
        self._parts.add(drawn.select(OF_MENTIONS).hstack(texts[drawn["row"]]))

    def of(self, groups: Collection[str], start_us: int, end_us: int) -> dict[str, list[Sampled]]:
        """Return the posts of some groups in the panes that start in `[start, end)`, by time."""
        in_window = (pl.col("pane") >= start_us) & (pl.col("pane") < end_us)
        found = self._parts.whole().filter(in_window & pl.col("group").is_in(list(groups))).sort("at", "lot")
        by_group: dict[str, list[Sampled]] = {group: [] for group in groups}
        for row in found.iter_rows():
            post = Sampled(*row)
            by_group[post.group].append(post)
        return by_group

    def take(self, until_us: int) -> list[str]:
        """Take out the panes that start before an instant, and return the texts of their posts, by time."""
        whole = self._parts.whole()
        old = pl.col("pane") < until_us
        taken = whole.filter(old)
        if not taken.height:
            return []
        self._parts.replace(whole.filter(~old))
        texts: list[str] = taken.sort("pane", "lot")["text"].to_list()
        return texts

    def forget(self, before_us: int) -> None:
        """Drop the panes that start before an instant, when the parts are next put together."""
        self._needed_us = before_us

    def whole(self) -> pl.DataFrame:
        """Return every post."""
        return self._parts.whole()

    def restore(self, frame: pl.DataFrame) -> None:
        """Put back what `whole` gave."""
        self._parts.replace(frame)


def windows_apart(posts: Sequence[Sampled], start_us: int) -> tuple[list[Sampled], list[Sampled]]:
    """Return the posts of the panes before an instant, and those from it on."""
    return [post for post in posts if post.pane < start_us], [post for post in posts if post.pane >= start_us]
