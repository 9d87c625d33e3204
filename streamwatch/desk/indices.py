"""Indices: net sentiment of an entity or a basket as a series, like that of a market."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import polars as pl
from msgspec import Struct

from streamwatch.desk.aggregates import EPOCH, Answer, Question, answer
from streamwatch.desk.cubes import BUCKET, totals
from streamwatch.desk.rollups import Rollups

BARS = ("open", "high", "low", "close")


class IndexQuestion(Struct, frozen=True, kw_only=True):
    """Which index, over which time.

    Attributes:
        members: Entities; a post counts once for each of them that it names.
        window: Length of a point of the series.
        start: From this event time on; None: from the members' first post on.
        end: Before this event time; None: to the members' last post.
        bars: With the first, highest, lowest and last net sentiment of the window's five minutes.
    """

    members: tuple[str, ...]
    window: timedelta
    start: datetime | None = None
    end: datetime | None = None
    bars: bool = False

    def aligned(self) -> IndexQuestion:
        """Return the same question with its range moved outwards to whole windows."""
        asked = Question(window=self.window, start=self.start, end=self.end).aligned()
        return msgspec.structs.replace(self, start=asked.start, end=asked.end)


def index_series(rollups: Rollups, question: IndexQuestion) -> Answer:
    """Return the series: `window_start`, `window_end`, `count`, `negative`, `positive`, `value`, and bars if asked for.

    `value` is (positive - negative) / mentions, between -1 and 1. A window without mentions has no row.
    """
    asked = Question(
        measure="net_sentiment",
        window=question.window,
        start=question.start,
        end=question.end,
        where=(("entity", question.members),),
        limit=1_000_000,
    )
    found = answer(rollups, asked)
    if not question.bars:
        return found
    if not found.rows.height:
        return found._replace(rows=found.rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in BARS))
    return found._replace(rows=found.rows.join(_bars(rollups, question, found), on="window_start", how="left"))


def _bars(rollups: Rollups, question: IndexQuestion, found: Answer) -> pl.DataFrame:
    net = (pl.col("positive") - pl.col("negative")) / pl.col("count")
    step = question.window // BUCKET
    first, last = ((edge - EPOCH) // BUCKET for edge in (found.rows["window_start"][0], found.rows["window_end"][-1]))
    start = pl.lit(EPOCH) + (pl.col("bucket") // step) * pl.lit(question.window)
    return (
        rollups.sums(["entity"])
        .between(first, last, (("entity", question.members),))
        .group_by("bucket")
        .agg(totals())
        .sort("bucket")
        .group_by(start.alias("window_start"), maintain_order=True)
        .agg(net.first().alias("open"), net.max().alias("high"), net.min().alias("low"), net.last().alias("close"))
        .collect()
    )
