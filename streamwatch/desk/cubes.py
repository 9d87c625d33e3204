"""Partial sums by five minutes and key, kept by day.

What is asked for a day does not look at a month, and what comes in changes one day. The rows of one entity stand
together, and are looked up. Whole days have their own sums where these are few, for questions about weeks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

BUCKET = timedelta(minutes=5)
BUCKET_US = BUCKET // timedelta(microseconds=1)
POST_DIMENSIONS = ("topic", "intent", "source", "lang")
DIMENSIONS = ("entity", *POST_DIMENSIONS)
"""What posts can be counted by. An entity goes by its ticker, or by its name if it has none."""
SUMS = ("count", "negative", "positive", "p_negative", "p_known")
"""Posts; those of negative and of positive sentiment; sum of the probability of negative, and posts that have one."""
BUCKETS_A_DAY = timedelta(days=1) // BUCKET
MAX_SUMMED = 2
"""By more dimensions hardly two posts of five minutes are alike: they are kept one by one."""
SETTLE_ROWS = 5_000
MAX_FRESH = 16
MAX_LOOKED_UP = 8
"""So many entities are looked up; more are told by going through all."""
Where = tuple[tuple[str, tuple[str, ...]], ...]
_NO_ENTITIES = np.array([], np.uint32)


class Part(NamedTuple):
    """Partial sums of one day.

    Attributes:
        rows: By bucket and dimensions; where one of these is the entity, in the order of the numbers that stand for it.
        entities: These numbers.
        daily: The same sums, those of the whole day in its first bucket; `rows` where that would hardly be less.
    """

    rows: pl.DataFrame
    entities: NDArray[np.uint32]
    daily: pl.DataFrame

    @classmethod
    def of(cls, rows: pl.DataFrame, dimensions: Sequence[str]) -> Part:
        """Return rows with at least some dimensions, summed by these."""
        found = _grouped(rows.lazy(), dimensions).collect()
        entities = found["entity"].to_physical().to_numpy() if "entity" in dimensions else _NO_ENTITIES
        if len(dimensions) > 1 or found.height < SETTLE_ROWS:
            return cls(found, entities, found)
        first = (pl.col("bucket") // BUCKETS_A_DAY * BUCKETS_A_DAY).alias("bucket")
        return cls(found, entities, _grouped(found.lazy().with_columns(first), dimensions).collect())

    def about(self, entities: NDArray[np.uint32]) -> list[pl.DataFrame]:
        """Return the rows of some entities."""
        firsts, lasts = (np.searchsorted(self.entities, entities, side).tolist() for side in ("left", "right"))
        return [self.rows.slice(first, last - first) for first, last in zip(firsts, lasts, strict=True) if first < last]


class Cube(NamedTuple):
    """Partial sums by bucket and some dimensions. It stays as it is; `plus` makes another one.

    Attributes:
        dimensions: In the order of `DIMENSIONS`.
        days: By number of day, a large part and small ones of what came since.
    """

    dimensions: tuple[str, ...]
    days: Mapping[int, Sequence[Part]]

    def plus(self, sums: pl.DataFrame) -> Cube:
        """Return these partial sums with more, which have at least its dimensions."""
        days = dict(self.days)
        for (key,), rows in sums.group_by(pl.col("bucket") // BUCKETS_A_DAY):
            day = cast(int, key)
            days[day] = self._settled([*days.get(day, ()), Part.of(rows, self.dimensions)])
        return Cube(self.dimensions, days)

    def between(self, first: int, last: int, where: Where = (), *, daily: bool = False) -> pl.LazyFrame:
        """Return the partial sums of the buckets `[first, last)`; a bucket and key may stand in several rows.

        Args:
            first: A bucket.
            last: A bucket; nothing where it is not above `first`.
            where: By dimension, the values of which a row must have one.
            daily: What happened in a whole day may all stand in its first bucket.
        """
        days = range(first // BUCKETS_A_DAY, -(-last // BUCKETS_A_DAY))
        whole = range(-(-first // BUCKETS_A_DAY), last // BUCKETS_A_DAY if daily else 0)
        parts = [(day in whole, part) for day, found in self.days.items() if day in days for part in found]
        frames = [part.daily if at_once else part.rows for at_once, part in parts]
        entities = dict(where).get("entity", ())
        if 0 < len(entities) <= MAX_LOOKED_UP:
            codes = pl.Series(entities, dtype=pl.Categorical).to_physical().unique().to_numpy()
            frames = [rows for _, part in parts for rows in part.about(codes)]
        bucket, chosen = pl.col("bucket"), (is_one_of(name, values) for name, values in where)
        return pl.concat([_empty(self.dimensions), *frames]).lazy().filter(bucket >= first, bucket < last, *chosen)

    def _settled(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Return the parts of a day as fewer, if their number or what is new has grown."""
        settled, *fresh = parts
        if sum(part.rows.height for part in fresh) > max(SETTLE_ROWS, settled.rows.height // 8):
            return [self._one(parts)]
        return [settled, self._one(fresh)] if len(fresh) > MAX_FRESH else parts

    def _one(self, parts: Sequence[Part]) -> Part:
        return Part.of(pl.concat([part.rows for part in parts]), self.dimensions)


def is_one_of(name: str, values: Sequence[str]) -> pl.Expr:
    """Return whether a dimension has one of some values; compared as the numbers that stand for them."""
    return pl.col(name).is_in(pl.Series(values, dtype=pl.Categorical).implode())


def totals() -> list[pl.Expr]:
    """Return the sums of partial sums, of any number of posts."""
    return [pl.col(name).cast(pl.Float64 if name == "p_negative" else pl.Int64).sum() for name in SUMS]


def _grouped(rows: pl.LazyFrame, dimensions: Sequence[str]) -> pl.LazyFrame:
    """Return sums by bucket and dimensions, in the order of the numbers that stand for the entities."""
    found = rows.select("bucket", *dimensions, *SUMS)
    if len(dimensions) <= MAX_SUMMED:
        found = found.group_by("bucket", *dimensions).agg(pl.col(name).sum() for name in SUMS)
    return found.sort(pl.col("entity").to_physical()) if "entity" in dimensions else found


def _empty(dimensions: Sequence[str]) -> pl.DataFrame:
    sums: dict[str, type[pl.DataType]] = dict.fromkeys(SUMS, pl.Int32) | {"p_negative": pl.Float64}
    return pl.DataFrame(schema={"bucket": pl.Int32, **{name: pl.Categorical() for name in dimensions}, **sums})
