"""Aggregates of the stored posts: counts, shares and averages by group and window, beside the period before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec
import polars as pl
from msgspec import Struct

from streamwatch.desk.cubes import BUCKET, BUCKET_US, BUCKETS_A_DAY, SUMS, Where, totals
from streamwatch.desk.rollups import Rollups, Sums

Measure = Literal["count", "negative_count", "negative_share", "mean_negative", "net_sentiment"]
MEASURES: tuple[Measure, ...] = ("count", "negative_count", "negative_share", "mean_negative", "net_sentiment")
"""Posts; negative posts; their share; mean probability of negative; (positive - negative) / posts."""
Order = Literal["group", "value", "-value", "count", "-count", "change", "-change"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Question(Struct, frozen=True, kw_only=True):
    """What is asked.

    Attributes:
        group_by: Dimensions; none: all posts together.
        measure: Which figure.
        start: From this event time on, inclusive; None: from the first post on.
        end: Before this event time; None: to the end of the last post's window.
        window: One row for each such stretch of time, from whole multiples of it since 1970 on; None: one row in all.
            `start` and `end` are moved outwards to whole windows; without windows, to whole five minutes.
        compare: Beside each row, the one as long before as the range is long.
        where: By dimension, the values of which a post must have one.
        order: By which column; `-` begins with the largest.
        limit: At most so many rows.
        least: Only rows of at least so many posts.
    """

    group_by: tuple[str, ...] = ()
    measure: Measure = "count"
    start: datetime | None = None
    end: datetime | None = None
    window: timedelta | None = None
    compare: bool = False
    where: Where = ()
    order: Order = "group"
    limit: int = 1_000
    least: int = 0

    def aligned(self) -> Question:
        """Return the same question with its range moved outwards to whole windows, or five minutes."""
        step = self.window or BUCKET
        start = None if self.start is None else EPOCH + (self.start - EPOCH) // step * step
        end = None if self.end is None else EPOCH - (EPOCH - self.end) // step * step
        return msgspec.structs.replace(self, start=start, end=end)

    @property
    def dimensions(self) -> set[str]:
        """Every dimension that it names."""
        return {*self.group_by, *(name for name, _ in self.where)}


class Answer(NamedTuple):
    """The rows, of which version of the table they are, and the range that they are of; None where nothing is."""

    rows: pl.DataFrame
    version: int
    start: datetime | None
    end: datetime | None


def answer(rollups: Rollups, question: Question) -> Answer:
    """Answer a question.

    The columns are the dimensions of `group_by`, `window_start` and `window_end` (exclusive) with windows, the
    counts `count`, `negative` and `positive`, and `value`; with `compare` also `previous_count`, `previous` and
    `change`, the difference of both values. A window or group without posts has no row.
    """
    sums = rollups.sums(sorted(question.dimensions))
    reach = _range(question, sums)
    first, last = reach or (0, 0)
    rows = _measured(sums, question, (first, last))
    if question.compare:
        rows = _beside(rows, _measured(sums, question, (2 * first - last, first)), question)
    shown = _shown(rows, question, first).collect()
    if reach is None:
        return Answer(shown, sums.version, question.start, question.end)
    return Answer(shown, sums.version, _instant(first), _instant(last))


def _range(question: Question, sums: Sums) -> tuple[int, int] | None:
    """Return the buckets `[first, last)` that are asked for, whole windows; None when there is nothing."""
    known = (0, 0) if question.start and question.end else sums.reach()
    if known is None:
        return None
    step = _buckets(question.window) if question.window else 1
    first = known[0] if question.start is None else (question.start - EPOCH) // BUCKET
    last = known[1] + 1 if question.end is None else -((EPOCH - question.end) // BUCKET)
    first, last = first // step * step, -(-last // step) * step
    return (first, last) if first < last else None


def _measured(sums: Sums, question: Question, reach: tuple[int, int]) -> pl.LazyFrame:
    """Return the sums of each group and window of a range, with `value`; windows are numbered from its begin."""
    first, last = reach
    step = _buckets(question.window) if question.window else max(last - first, 1)
    window = ((pl.col("bucket") - first) // step).alias("window")
    daily = question.window is None or step % BUCKETS_A_DAY == 0
    found = sums.between(first, last, question.where, daily=daily).group_by(*question.group_by, window).agg(totals())
    return found.filter(pl.col("count") > 0).with_columns(_value(question.measure).alias("value"))


def _value(measure: Measure) -> pl.Expr:
    count, negative = pl.col("count"), pl.col("negative")
    values: dict[Measure, pl.Expr] = {
        "count": count.cast(pl.Float64),
        "negative_count": negative.cast(pl.Float64),
        "negative_share": negative / count,
        "mean_negative": pl.when(pl.col("p_known") > 0).then(pl.col("p_negative") / pl.col("p_known")),
        "net_sentiment": (pl.col("positive") - negative) / count,
    }
    return values[measure]


def _beside(rows: pl.LazyFrame, before: pl.LazyFrame, question: Question) -> pl.LazyFrame:
    keys = [*question.group_by, "window"]
    previous = before.select(*keys, pl.col("count").alias("previous_count"), pl.col("value").alias("previous"))
    joined = rows.join(previous, on=keys, how="left")
    return joined.with_columns(
        pl.col("previous_count").fill_null(0), (pl.col("value") - pl.col("previous")).alias("change")
    )


def _shown(rows: pl.LazyFrame, question: Question, first: int) -> pl.LazyFrame:
    columns: list[pl.Expr] = [pl.col(name).cast(pl.String) for name in question.group_by]
    if question.window:
        start = pl.lit(_instant(first)) + pl.col("window") * pl.lit(question.window)
        columns += [start.alias("window_start"), (start + question.window).alias("window_end")]
    compared = ["previous_count", "previous", "change"] if question.compare else []
    shown = rows.filter(pl.col("count") >= question.least).select(
        *columns, *SUMS[:3], "value", *(name for name in compared)
    )
    by_name = [*(["window_start"] if question.window else []), *question.group_by]
    if question.order == "group":
        ordered = shown.sort(by_name) if by_name else shown
    else:
        column = question.order.removeprefix("-")
        falling = question.order.startswith("-")
        ordered = shown.sort([column, *by_name], descending=[falling, *([False] * len(by_name))], nulls_last=True)
    return ordered.head(question.limit)


def _buckets(length: timedelta) -> int:
    return length // BUCKET


def _instant(bucket: int) -> datetime:
    return EPOCH + timedelta(microseconds=bucket * BUCKET_US)
