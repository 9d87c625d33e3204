"""Partial sums of the stored posts by five minutes and key: what aggregates are answered from.

They are exact: whole counts, and sums of probabilities. New rows are added as they are stored, so the cost follows
what is new, and an answer's cost follows the number of keys in its range of time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from streamwatch.desk.cubes import BUCKET_US, BUCKETS_A_DAY, DIMENSIONS, POST_DIMENSIONS, SUMS, Cube, Where

POST_COLUMNS = ["published_at", "sentiment", "sentiment_probs", "entities", *POST_DIMENSIONS]
"""The columns of a post that are read."""
MAX_DERIVED_DIMENSIONS = 2
COMMON: tuple[tuple[str, ...], ...] = ((), *((name,) for name in DIMENSIONS))
"""The sets of dimensions that are summed from the start; others from the first question on."""


class Sums(NamedTuple):
    """Partial sums as of one version of the table.

    Attributes:
        version: Of the table.
        cube: Has the dimensions that are wanted, and perhaps others.
        wanted: Dimensions none of which may be null.
    """

    version: int
    cube: Cube
    wanted: tuple[str, ...]

    def between(self, first: int, last: int, where: Where = (), *, daily: bool = False) -> pl.LazyFrame:
        """Return partial sums, as `Cube.between`."""
        rows = self.cube.between(first, last, where, daily=daily)
        return rows.filter(pl.col(name).is_not_null() for name in self.wanted) if self.wanted else rows

    def reach(self) -> tuple[int, int] | None:
        """Return the first and the last bucket that have posts; None without posts."""
        first = self._least(sorted(self.cube.days), pl.col("bucket").min())
        last = self._least(sorted(self.cube.days, reverse=True), pl.col("bucket").max())
        return None if first is None or last is None else (first, last)

    def _least(self, days: Sequence[int], which: pl.Expr) -> int | None:
        for day in days:
            found: int | None = (
                self.between(day * BUCKETS_A_DAY, (day + 1) * BUCKETS_A_DAY).select(which).collect().item()
            )
            if found is not None:
                return found
        return None


class _Known(NamedTuple):
    version: int
    cubes: Mapping[tuple[str, ...], Cube]


class Rollups:
    """The partial sums of all posts, for the sets of dimensions that are asked for.

    A question about entities is answered from mentions: a post counts once for each of its entities, with the
    verdict on that entity. Every other question counts posts. A post without a value of a dimension that is asked
    for takes no part.

    Who asks never waits for what is added: cubes stay as they are, and new ones take their place at once.
    Entities beside another dimension are answered from the mentions themselves: hardly two in five minutes are alike
    in both, so that their sums would take the same memory again and be no faster.
    """

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._known = _Known(
            -1, {dimensions: Cube(dimensions, {}) for dimensions in (*COMMON, POST_DIMENSIONS, DIMENSIONS)}
        )

    @property
    def version(self) -> int:
        """Of the table, as it is summed."""
        return self._known.version

    def add(self, parts: Iterable[pl.DataFrame], version: int) -> None:
        """Add rows of `posts`, with the `POST_COLUMNS`; from then on all sums are as of this version."""
        with self._changing:
            cubes = self._known.cubes
            for part in parts:
                posts, mentions = post_sums(part), mention_sums(part)
                cubes = {known: cube.plus(mentions if "entity" in known else posts) for known, cube in cubes.items()}
            self._known = _Known(version, cubes)

    def sums(self, dimensions: Sequence[str]) -> Sums:
        """Return partial sums that have some dimensions, none of them null, and perhaps others."""
        wanted = tuple(name for name in DIMENSIONS if name in dimensions)
        whole = DIMENSIONS if "entity" in wanted else POST_DIMENSIONS
        kept = wanted if len(wanted) <= (1 if "entity" in wanted else MAX_DERIVED_DIMENSIONS) else whole
        known = self._known if kept in self._known.cubes else self._derive(kept)
        return Sums(known.version, known.cubes[kept], wanted)

    def _derive(self, dimensions: tuple[str, ...]) -> _Known:
        """Sum by some dimensions of posts, from now on."""
        with self._changing:
            version, cubes = self._known
            if dimensions not in cubes:
                cube = Cube(dimensions, {})
                for parts in cubes[POST_DIMENSIONS].days.values():
                    cube = cube.plus(pl.concat([part.rows for part in parts]))
                self._known = _Known(version, {**cubes, dimensions: cube})
            return self._known


def post_sums(posts: pl.DataFrame) -> pl.DataFrame:
    """Return the partial sums of posts by bucket and `POST_DIMENSIONS`, a row a post."""
    return posts.select(_bucket(), *_keys(POST_DIMENSIONS), *_verdict())


def mention_sums(posts: pl.DataFrame) -> pl.DataFrame:
    """Return the partial sums of mentions by bucket and `DIMENSIONS`, a row a mention.

    An entity counts once in a post.
    """
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
    found = pl.concat([mentions(rows.filter(count == 1)), several]).filter(pl.col("entity").is_not_null())
    return found.select("bucket", "entity", *POST_DIMENSIONS, *_verdict()).collect()


def _bucket() -> pl.Expr:
    return (pl.col("published_at").dt.epoch("us") // BUCKET_US).cast(pl.Int32).alias("bucket")


def _keys(dimensions: Sequence[str]) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Categorical) for name in dimensions]


def _verdict() -> list[pl.Expr]:
    negative = pl.col("sentiment_probs").list.get(0, null_on_oob=True).cast(pl.Float64)
    return [
        pl.lit(1, pl.Int32).alias("count"),
        *((pl.col("sentiment") == name).fill_null(value=False).cast(pl.Int32).alias(name) for name in SUMS[1:3]),
        negative.fill_null(0.0).alias("p_negative"),
        negative.is_not_null().cast(pl.Int32).alias("p_known"),
    ]
