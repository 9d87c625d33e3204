"""The tables: what is appended stands there once, transactions say how far, and tidying changes no row."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from streamwatch.codec import SCORED_SCHEMA, encode_batch
from streamwatch.config import StoreConfig
from streamwatch.errors import StoreError
from streamwatch.store.archive import Archive
from streamwatch.store.schema import TABLES
from streamwatch.store.tables import Tables, transaction_id

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Sent(NamedTuple):
    """A message as a poll gives it."""

    value: bytes
    offset: int
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def posts(offsets: Sequence[int], partition: int = 0) -> pa.Table:
    rows = [
        {
            "id": f"{partition}-{offset}",
            "source": "wire",
            "published_at": NOON,
            "text": "text",
            "appended_at": NOON,
            "source_partition": partition,
            "source_offset": offset,
        }
        for offset in offsets
    ]
    return pa.Table.from_pylist(rows, schema=SCORED_SCHEMA)


def windows(counts: Sequence[int]) -> pa.Table:
    rows = [
        {
            "monitor": "m",
            "group": "AAPL",
            "window_start": NOON,
            "window_end": NOON,
            "count": count,
            "negative": 0,
            "measure": 0.5,
            "surprise": 0.0,
            "version": version,
        }
        for version, count in enumerate(counts)
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["windows"].schema)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(str(tmp_path / "store"))


def test_before_anything_is_written_tables_are_empty_with_their_columns(tables: Tables) -> None:
    for name, spec in TABLES.items():
        frame = tables.scan(name).collect()
        assert frame.columns == spec.schema.names
        assert frame.is_empty()
        assert tables.rows(name) == 0
        assert tables.transactions(name) == {}
        tables.tidy(name)


def test_columns_have_the_same_types_before_and_after_the_first_row(tables: Tables) -> None:
    before = tables.scan("windows").collect_schema()
    tables.append("windows", windows([1]), {"windows/0": 0})
    assert tables.scan("windows").collect_schema() == before
    assert before["window_start"] == pl.Datetime("us", "UTC")


def test_transactions_say_how_far_every_partition_reached(tables: Tables, tmp_path: Path) -> None:
    tables.append("posts", posts([3, 4]), {"posts/0": 4})
    tables.append("posts", posts([0, 9], partition=7), {"posts/7": 9})
    tables.append("posts", posts([5]), {"posts/0": 5})
    found = Tables(str(tmp_path / "store")).transactions("posts")
    assert found == {"posts/0": 5, "posts/7": 9, "posts/partitions": 8}


@pytest.mark.parametrize("version", [3, 4])
def test_a_transaction_at_or_below_is_refused(tables: Tables, version: int) -> None:
    tables.append("posts", posts([3, 4]), {"posts/0": 4})
    with pytest.raises(StoreError, match="posts already holds posts/0 up to 4"):
        tables.append("posts", posts([version]), {"posts/0": version})
    assert tables.rows("posts") == 2


def test_a_second_writer_with_an_old_view_is_refused(tables: Tables, tmp_path: Path) -> None:
    other = Tables(str(tmp_path / "store"))
    tables.append("posts", posts([0]), {"posts/0": 0})
    other.append("posts", posts([1]), {"posts/0": 1})
    with pytest.raises(StoreError, match="another process writes"):
        tables.append("posts", posts([1]), {"posts/0": 1})
    assert tables.rows("posts") == 2


def test_a_second_writer_that_is_several_commits_ahead_is_seen(tables: Tables, tmp_path: Path) -> None:
    tables.append("posts", posts([0]), {"posts/0": 0})
    other = Tables(str(tmp_path / "store"))
    other.append("posts", posts([1, 2]), {"posts/0": 2})
    for offset in range(5):
        other.append("posts", posts([offset], partition=1), {"posts/1": offset})
    with pytest.raises(StoreError, match="posts/0 up to 2, asked to add 2"):
        tables.append("posts", posts([1, 2]), {"posts/0": 2})


def test_writers_of_different_partitions_do_not_disturb_each_other(tables: Tables, tmp_path: Path) -> None:
    tables.append("posts", posts([0], partition=3), {"posts/3": 0})
    failures: list[Exception] = []

    def write(partition: int) -> None:
        mine = Tables(str(tmp_path / "store"))
        try:
            for offset in range(8):
                mine.append("posts", posts([offset], partition), {transaction_id("posts", partition): offset})
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(partition,)) for partition in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert tables.rows("posts") == 25
    assert {tables.transactions("posts")[f"posts/{partition}"] for partition in range(3)} == {7}


def test_a_table_with_another_column_is_refused_by_name(tables: Tables, tmp_path: Path) -> None:
    other = posts([0]).rename_columns([name if name != "novelty" else "newness" for name in SCORED_SCHEMA.names])
    write_deltalake(tmp_path / "store" / "posts", other)
    with pytest.raises(StoreError, match="table posts: column novelty is absent, expected"):
        tables.rows("posts")


def test_a_table_with_another_type_is_refused_by_name(tables: Tables, tmp_path: Path) -> None:
    place = SCORED_SCHEMA.get_field_index("source_offset")
    other = posts([0]).set_column(
        place, pa.field("source_offset", pa.int32(), nullable=False), pa.array([0], pa.int32())
    )
    write_deltalake(tmp_path / "store" / "posts", other)
    with pytest.raises(StoreError, match="column source_offset is .*integer.*expected .*long"):
        tables.append("posts", posts([1]), {"posts/0": 1})


def test_rows_without_what_must_be_there_are_refused(tables: Tables) -> None:
    text = SCORED_SCHEMA.get_field_index("text")
    rows = posts([0]).set_column(text, "text", pa.array([None], pa.string()))
    with pytest.raises(StoreError, match="table posts"):
        tables.append("posts", rows, {"posts/0": 0})
    assert tables.transactions("posts").get("posts/0") is None


def test_an_unknown_table_is_named(tables: Tables) -> None:
    with pytest.raises(StoreError, match="no table 'tweets': there are posts, windows, alerts, labels"):
        tables.scan("tweets")


def test_of_windows_the_last_version_counts(tables: Tables) -> None:
    tables.append("windows", windows([1, 2, 9, 4]), {"windows/0": 3})
    assert tables.rows("windows") == 4
    assert tables.latest("windows").select("count", "version").collect().rows() == [(4, 3)]


def test_tidying_keeps_rows_and_transactions_and_drops_files(tables: Tables, tmp_path: Path) -> None:
    for offset in range(12):
        tables.append("posts", posts([offset]), {"posts/0": offset})
    folder = tmp_path / "store" / "posts"
    assert len(list(folder.glob("*.parquet"))) == 12
    tables.tidy("posts", vacuum_after_h=0)
    assert len(list(folder.glob("*.parquet"))) == 1
    assert tables.scan("posts").select("source_offset").collect()["source_offset"].sort().to_list() == list(range(12))
    assert tables.transactions("posts") == {"posts/0": 11, "posts/partitions": 1}
    tables.append("posts", posts([12]), {"posts/0": 12})
    with pytest.raises(StoreError, match="already holds"):
        tables.append("posts", posts([12]), {"posts/0": 12})


def test_a_reader_of_an_old_version_goes_on_while_tables_are_tidied(tables: Tables) -> None:
    for offset in range(5):
        tables.append("posts", posts([offset]), {"posts/0": offset})
    reader = tables.scan("posts").select(pl.len())
    tables.tidy("posts", vacuum_after_h=1)
    assert reader.collect().item() == 5


def test_a_failed_tidying_is_logged_and_the_stage_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(Tables(str(tmp_path)), StoreConfig(compact_every_commits=2))
    for offset in range(2):
        batch = posts([offset]).combine_chunks().to_batches()[0]
        archive.add("scored", 0, [Sent(encode_batch(batch), offset)])
        archive.flush()
    next((tmp_path / "posts").glob("*.parquet")).unlink()
    with caplog.at_level(logging.WARNING):
        assert archive.tidy() == ["posts"]
    assert "table not tidied" in caplog.text
    assert archive.tidy() == []


def test_a_url_may_end_in_a_slash(tmp_path: Path) -> None:
    Tables(f"{tmp_path}/").append("posts", posts([0]), {"posts/0": 0})
    assert DeltaTable(tmp_path / "posts").count() == 1


def test_labels_of_an_earlier_version_are_read_and_written_on(tables: Tables, tmp_path: Path) -> None:
    rows = [
        {
            "post_id": post,
            "task": "sentiment",
            "gold_label": "negative",
            "labeller": "ann",
            "labelled_at": NOON,
            "origin": "dashboard",
            "version": version,
        }
        for version, post in enumerate(["p0", "p1"])
    ]
    schema = TABLES["labels"].schema
    earlier = pa.Table.from_pylist(rows[:1], schema=schema.remove(schema.get_field_index("entity")))
    write_deltalake(str(tmp_path / "store" / "labels"), earlier)
    assert tables.scan("labels").collect().rows(named=True) == [rows[0] | {"entity": None}]
    about = rows[1] | {"task": "entity", "entity": "AAPL"}
    tables.append("labels", pa.Table.from_pylist([about], schema=schema), {transaction_id("labels", 0): 1})
    found = tables.scan("labels").sort("version").collect()
    assert found["entity"].to_list() == [None, "AAPL"]
    assert tables.query("SELECT post_id FROM labels WHERE entity = 'AAPL'").item() == "p1"
