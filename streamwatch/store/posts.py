"""Stored posts in the order in which they were watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import reduce
from operator import or_
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from streamwatch.codec import SCORED_SCHEMA
from streamwatch.store.tables import store_errors

Progress = Callable[[int, int], None]
CHUNK_ROWS = 50_000
STRIDES_PER_CHUNK = 16
TURN_ROWS = 1_000
"""Of a chunk, partitions take turns, so that event time goes on evenly."""


class Span(NamedTuple):
    """The offsets of one partition that a chunk reads, both inclusive."""

    partition: int
    first: int
    last: int


class OrderedPosts:
    """Posts of the table, each source partition in the order of its offsets, partitions as they were appended.

    Two narrow columns are read once for a plan; then a chunk at a time is read and sorted, so memory is bounded
    however long the history is. A row that stands twice is given once.

    Args:
        posts: Rows of the `posts` table, filtered at will.
        chunk_rows: About so many rows are in memory at once.
    """

    def __init__(self, posts: pl.LazyFrame, chunk_rows: int = CHUNK_ROWS) -> None:
        self._posts = posts
        self._stride = max(1, chunk_rows // STRIDES_PER_CHUNK)
        with store_errors("posts"):
            self._plan = _plan(posts, self._stride, chunk_rows)

    @property
    def rows(self) -> int:
        """How many posts there are."""
        return int(self._plan["rows"].sum())

    @property
    def partitions(self) -> frozenset[int]:
        """The source partitions that have posts."""
        return frozenset(self._plan["source_partition"].to_list())

    @property
    def first_at(self) -> datetime | None:
        """The smallest event time; None where there are no posts."""
        found: datetime | None = self._plan["first_at"].min()  # type: ignore[assignment]
        return found

    @property
    def last_at(self) -> datetime | None:
        """The largest event time; None where there are no posts."""
        found: datetime | None = self._plan["last_at"].max()  # type: ignore[assignment]
        return found

    def told(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Yield the micro-batches, and tell after each how many posts are done, and how many there are."""
        done = 0
        for batch in self:
            yield batch
            done += batch.num_rows
            progress(done, self.rows)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield micro-batches of one source partition, offsets rising."""
        for _, chunk in self._plan.group_by("chunk", maintain_order=True):
            spans = chunk.group_by("source_partition").agg(
                (pl.col("stride").min() * self._stride).alias("first"),
                ((pl.col("stride").max() + 1) * self._stride - 1).alias("last"),
            )
            yield from _read(self._posts, [Span(*row) for row in spans.iter_rows()])


def _plan(posts: pl.LazyFrame, stride: int, chunk_rows: int) -> pl.DataFrame:
    """Return every stride of offsets that has posts, with the chunk that it belongs to, chunks in order."""
    found = (
        posts.group_by("source_partition", (pl.col("source_offset") // stride).alias("stride"))
        .agg(
            pl.len().alias("rows"),
            pl.col("appended_at").min(),
            pl.col("published_at").min().alias("first_at"),
            pl.col("published_at").max().alias("last_at"),
        )
        .sort("source_partition", "stride")
        .collect(engine="streaming")
    )
    order = pl.col("appended_at").cum_max().over("source_partition")
    ranked = found.with_columns(order).sort("appended_at", "source_partition", "stride")
    return ranked.with_columns((pl.col("rows").cum_sum() // chunk_rows).alias("chunk"))


def _read(posts: pl.LazyFrame, spans: list[Span]) -> Iterator[pa.RecordBatch]:
    """Yield the micro-batches of one chunk."""
    wanted = (
        (pl.col("source_partition") == span.partition) & pl.col("source_offset").is_between(span.first, span.last)
        for span in spans
    )
    with store_errors("posts"):
        found = posts.filter(reduce(or_, wanted)).collect()
    key = ["source_partition", "source_offset"]
    found = found.select(SCORED_SCHEMA.names).sort(key).unique(key, keep="first", maintain_order=True)
    parts = [_batch(part) for part in found.partition_by("source_partition", maintain_order=True)]
    turns = -(-max((part.num_rows for part in parts), default=0) // TURN_ROWS)
    for turn in range(turns):
        for part in parts:
            first, last = (part.num_rows * at // turns for at in (turn, turn + 1))
            if first < last:
                yield part.slice(first, last - first)


def _batch(rows: pl.DataFrame) -> pa.RecordBatch:
    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(SCORED_SCHEMA)
    return table.combine_chunks().to_batches()[0]
