"""Partial sums of the stored posts by five minutes and key: what aggregates are answered from.

They are exact: whole counts, and sums of probabilities. New rows are added as they are stored, so the cost follows
what is new, and an answer's cost follows the number of keys, never the number of posts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import polars as pl

BUCKET = timedelta(minutes=5)
BUCKET_US = BUCKET // timedelta(microseconds=1)
POST_DIMENSIONS = ("topic", "intent", "source", "lang")
DIMENSIONS = ("entity", *POST_DIMENSIONS)
"""What posts can be counted by. An entity goes by its ticker, or by its name if it has none."""
SUMS = ("count", "negative", "positive", "p_negative", "p_known")
"""Posts; those of negative and of positive sentiment; sum of the probability of negative, and posts that have one."""
POST_COLUMNS = ["published_at", "sentiment", "sentiment_probs", "entities", *POST_DIMENSIONS]
"""The columns of a post that are read."""
MAX_DERIVED_DIMENSIONS = 2
COMMON: tuple[tuple[str, ...], ...] = ((), *((name,) for name in DIMENSIONS), ("entity", "topic"))
"""The sets of dimensions that are summed from the start; others from the first question on."""
SETTLE_ROWS = 50_000
MAX_FRESH = 32


class Cube:
    """Partial sums by bucket and some dimensions: one large frame, and small ones of what came since.

    Args:
        dimensions: In the order of `DIMENSIONS`.
    """

    def __init__(self, dimensions: tuple[str, ...]) -> None:
        self.dimensions = dimensions
        self._settled = pl.DataFrame(schema=_schema(dimensions))
        self._fresh: list[pl.DataFrame] = []

    def add(self, sums: pl.DataFrame) -> None:
        """Add partial sums with at least this cube's dimensions."""
        self._fresh.append(_grouped(sums.lazy(), self.dimensions).collect())
        if len(self._fresh) > MAX_FRESH:
            self._fresh = [_grouped(pl.concat(self._fresh).lazy(), self.dimensions).collect()]
        if sum(part.height for part in self._fresh) > max(SETTLE_ROWS, self._settled.height // 8):
            self._settled = _grouped(self.rows(), self.dimensions).sort("bucket").collect()
            self._fresh = []

    def rows(self) -> pl.LazyFrame:
        """Return the partial sums; a bucket and key may stand in several rows."""
        return pl.concat([self._settled, *self._fresh]).lazy()


class Sums(NamedTuple):
    """Partial sums as of one version of the table."""

    version: int
    rows: pl.LazyFrame


class Rollups:
    """The partial sums of all posts, for every set of dimensions that is asked for.

    A question about entities is answered from mentions: a post counts once for each of its entities, with the
    verdict on that entity. Every other question counts posts. A post without a value of a dimension that is asked
    for takes no part.
    """

    def __init__(self) -> None:
        self.version = -1
        self._lock = threading.Lock()
        self._posts = Cube(POST_DIMENSIONS)
        self._mentions = Cube(DIMENSIONS)
        self._derived = {dimensions: Cube(dimensions) for dimensions in COMMON}

    def add(self, parts: Iterable[pl.DataFrame], version: int) -> None:
        """Add rows of `posts`, with the `POST_COLUMNS`; from then on all sums are as of this version."""
        sums = [(post_sums(part), mention_sums(part)) for part in parts]
        with self._lock:
            if sums:
                posts, mentions = (pl.concat(found) for found in zip(*sums, strict=True))
                self._posts.add(posts)
                self._mentions.add(mentions)
                for dimensions, cube in self._derived.items():
                    cube.add(mentions if "entity" in dimensions else posts)
            self.version = version

    def sums(self, dimensions: Sequence[str]) -> Sums:
        """Return partial sums that have some dimensions, none of them null, and perhaps others."""
        wanted = tuple(name for name in DIMENSIONS if name in dimensions)
        with self._lock:
            rows = self._cube(wanted).rows()
            version = self.version
        return Sums(version, rows.filter(pl.col(name).is_not_null() for name in wanted) if wanted else rows)

    def _cube(self, dimensions: tuple[str, ...]) -> Cube:
        whole = self._mentions if "entity" in dimensions else self._posts
        if len(dimensions) > MAX_DERIVED_DIMENSIONS:
            return whole
        if dimensions not in self._derived:
            cube = Cube(dimensions)
            cube.add(whole.rows().collect())
            self._derived[dimensions] = cube
        return self._derived[dimensions]


def post_sums(posts: pl.DataFrame) -> pl.DataFrame:
    """Return the partial sums of posts by bucket and `POST_DIMENSIONS`."""
    return _grouped(posts.lazy().select(_bucket(), *_keys(POST_DIMENSIONS), *_verdict()), POST_DIMENSIONS).collect()


def mention_sums(posts: pl.DataFrame) -> pl.DataFrame:
    """Return the partial sums of mentions by bucket and `DIMENSIONS`; an entity counts once in a post."""
    entity = pl.col("entities").struct
    ticker, name = entity.field("ticker"), entity.field("name")
    rows = posts.lazy().with_row_index("row").select("row", _bucket(), *_keys(POST_DIMENSIONS), "entities")

    def mentions(some: pl.LazyFrame) -> pl.LazyFrame:
        return some.explode("entities").select(
            "row",
            "bucket",
            *POST_DIMENSIONS,
            pl.when(ticker != "").then(ticker).otherwise(name).cast(pl.Categorical).alias("entity"),
            entity.field("sentiment"),
            entity.field("sentiment_probs"),
        )

    # To look for repetitions is most of the work, and most posts have one entity.
    count = pl.col("entities").list.len()
    several = mentions(rows.filter(count > 1)).unique(["row", "entity"], keep="first")
    found = pl.concat([mentions(rows.filter(count == 1)), several])
    return _grouped(found.select("bucket", "entity", *POST_DIMENSIONS, *_verdict()), DIMENSIONS).collect()


def _bucket() -> pl.Expr:
    return (pl.col("published_at").dt.epoch("us") // BUCKET_US).cast(pl.Int32).alias("bucket")


def _keys(dimensions: Sequence[str]) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Categorical) for name in dimensions]


def _verdict() -> list[pl.Expr]:
    negative = pl.col("sentiment_probs").list.get(0, null_on_oob=True).cast(pl.Float64)
    return [
        pl.lit(1, pl.Int64).alias("count"),
        *((pl.col("sentiment") == name).fill_null(value=False).cast(pl.Int64).alias(name) for name in SUMS[1:3]),
        negative.fill_null(0.0).alias("p_negative"),
        negative.is_not_null().cast(pl.Int64).alias("p_known"),
    ]


def _grouped(rows: pl.LazyFrame, dimensions: Sequence[str]) -> pl.LazyFrame:
    return rows.group_by("bucket", *dimensions).agg(pl.col(name).sum() for name in SUMS)


def _schema(dimensions: Sequence[str]) -> Mapping[str, pl.DataType | type[pl.DataType]]:
    sums: dict[str, type[pl.DataType]] = dict.fromkeys(SUMS, pl.Int64) | {"p_negative": pl.Float64}
    return {"bucket": pl.Int32, **{name: pl.Categorical() for name in dimensions}, **sums}
