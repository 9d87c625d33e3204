"""Rows that come again are dropped, whatever the cuts."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.offsets import AppliedOffsets


def batch(partition: int, offsets: list[int]) -> pa.RecordBatch:
    columns = {
        "source_partition": pa.array([partition] * len(offsets), pa.int32()),
        "source_offset": pa.array(offsets, pa.int64()),
    }
    return pa.record_batch(columns)


def offsets_of(rows: pa.RecordBatch) -> list[int]:
    found: list[int] = rows.column("source_offset").to_pylist()
    return found


def test_partitions_are_followed_apart() -> None:
    applied = AppliedOffsets()
    assert offsets_of(applied.fresh(batch(0, [5, 6]))) == [5, 6]
    assert offsets_of(applied.fresh(batch(1, [5, 6]))) == [5, 6]
    assert applied.last == {0: 6, 1: 6}


def test_gaps_in_offsets_are_no_loss() -> None:
    applied = AppliedOffsets({0: 4})
    assert offsets_of(applied.fresh(batch(0, [2, 4, 9, 12]))) == [9, 12]
    assert offsets_of(applied.fresh(batch(0, [12, 20]))) == [20]


def test_an_empty_batch_changes_nothing() -> None:
    applied = AppliedOffsets({0: 4})
    assert applied.fresh(batch(0, [])).num_rows == 0
    assert applied.last == {0: 4}


def test_what_is_given_is_not_changed() -> None:
    given_offsets = {0: 4}
    AppliedOffsets(given_offsets).fresh(batch(0, [9]))
    assert given_offsets == {0: 4}


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=60, unique=True).map(sorted),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=20),
)
def test_any_cuts_and_repeats_give_every_row_once_in_order(offsets: list[int], cuts: list[tuple[int, int]]) -> None:
    applied = AppliedOffsets()
    seen: list[int] = []
    sent = 0
    for back, rows in [*cuts, (0, len(offsets))]:
        start = max(0, sent - back)
        sent = max(sent, min(len(offsets), start + rows))
        seen += offsets_of(applied.fresh(batch(0, offsets[start : start + rows])))
    assert seen == offsets
