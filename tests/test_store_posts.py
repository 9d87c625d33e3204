"""Stored posts come back in the order of their partitions, a chunk at a time."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.codec import SCORED_SCHEMA
from streamwatch.store.posts import OrderedPosts
from streamwatch.store.tables import Tables
from tests.scored_rows import START, Row, scored


def stored(batches: list[pa.RecordBatch]) -> pl.LazyFrame:
    """Return the rows of micro-batches, shuffled as compaction may."""
    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches)))
    return frame.sample(fraction=1.0, shuffle=True, seed=1).lazy()


def offsets(batches: list[pa.RecordBatch]) -> list[tuple[int, int]]:
    return [
        (row["source_partition"], row["source_offset"])
        for batch in batches
        for row in batch.select(["source_partition", "source_offset"]).to_pylist()
    ]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30)), min_size=1, max_size=12), st.integers(1, 60))
def test_each_partition_comes_whole_and_in_order(cuts: list[tuple[int, int]], chunk_rows: int) -> None:
    batches, at = [], dict.fromkeys(range(3), 0)
    for number, (partition, count) in enumerate(cuts):
        batches.append(scored([Row(number)] * count, partition, at[partition]))
        at[partition] += count + 3  # heartbeats and dead letters take offsets too
    found = list(OrderedPosts(stored(batches), chunk_rows))
    for partition in range(3):
        expected = [offset for own, offset in offsets(batches) if own == partition]
        assert [offset for own, offset in offsets(found) if own == partition] == expected
    assert all(len(set(batch.column("source_partition").to_pylist())) == 1 for batch in found)


def test_a_chunk_holds_about_as_many_rows_as_asked_for() -> None:
    batches = [scored([Row(minute)] * 100, minute % 2, 100 * (minute // 2)) for minute in range(20)]
    posts = OrderedPosts(stored(batches), chunk_rows=160)
    found = list(posts)
    assert max(batch.num_rows for batch in found) <= 320
    assert sum(batch.num_rows for batch in found) == posts.rows == 2_000
    starts = [batch.column("published_at")[0].as_py() for batch in found if batch.column("source_partition")[0] == 0]
    assert all(before <= after for before, after in pairwise(starts))


def test_a_row_comes_back_as_it_was_stored_and_once(tmp_path: Path) -> None:
    batch = scored([Row(1, ("AAPL", "IBM"), "negative", entity_sentiments=("negative", "positive")), Row(2, ())])
    tables = Tables(str(tmp_path))
    for version in (1, 2):
        tables.append("posts", pa.Table.from_batches([batch]), {"posts/0": version})
    (found,) = OrderedPosts(tables.scan("posts"))
    assert found.schema == SCORED_SCHEMA
    assert found.to_pylist() == batch.to_pylist()


def test_what_there_is_is_known_before_it_is_read(tmp_path: Path) -> None:
    rows = [Row(minute) for minute in random.Random(1).sample(range(50), 50)]
    posts = OrderedPosts(stored([scored(rows[:20], 2), scored(rows[20:], 5)]))
    assert posts.partitions == {2, 5}
    assert posts.first_at == START
    assert posts.last_at is not None
    assert (posts.last_at - START).total_seconds() == 49 * 60
    nothing = OrderedPosts(Tables(str(tmp_path)).scan("posts"))
    assert (nothing.rows, nothing.first_at, list(nothing)) == (0, None, [])
