"""ARCHIVE's half of the invariant: whatever comes again, however it is cut, wherever it dies, rows stand once."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.codec import SCORED_SCHEMA, encode_batch, heartbeat_header
from streamwatch.config import StoreConfig
from streamwatch.errors import StoreError
from streamwatch.records import Alert, EvidencePost, Label, Provenance, Window
from streamwatch.store.archive import Archive
from streamwatch.store.tables import Tables
from streamwatch.streams import Kind

START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


class Sent(NamedTuple):
    """A message as a poll gives it."""

    value: bytes | None
    offset: int
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def scored(partition: int, offsets: Sequence[int]) -> bytes:
    rows = [
        {
            "id": f"{partition}-{offset}",
            "source": "wire",
            "published_at": START + timedelta(seconds=offset),
            "text": f"text {offset}",
            "tickers": ["AAPL"],
            "appended_at": START,
            "source_partition": partition,
            "source_offset": offset,
            "entities": [{"name": "Apple", "ticker": "AAPL", "sentiment": "negative"}],
            "novelty": 1,
            "sentiment": "negative",
            "sentiment_probs": [0.8, 0.1, 0.1],
        }
        for offset in offsets
    ]
    return encode_batch(pa.RecordBatch.from_pylist(rows, schema=SCORED_SCHEMA))


def window(minute: int, count: int = 1) -> Window:
    start = START + timedelta(minutes=minute)
    return Window(
        monitor="negative-surge",
        group="AAPL",
        window_start=start,
        window_end=start + timedelta(minutes=5),
        count=count,
        negative=0,
        measure=0.0,
        expected=None,
        surprise=0.0,
    )


def alert(status: str = "firing", fingerprint: str = "0123456789abcdef") -> Alert:
    post = EvidencePost(
        id="1-7", source="wire", published_at=START, text="苹果 bad", sentiment="negative", negative_prob=0.9
    )
    provenance = Provenance(model_version="m1", monitors_hash="h", watermark=START, source_offsets={"0": 7, "3": 9})
    return msgspec.convert(
        {
            "fingerprint": fingerprint,
            "monitor": "negative-surge",
            "group": "AAPL",
            "group_by": "entity",
            "severity": "page",
            "status": status,
            "onset": START,
            "window_start": START,
            "window_end": START + timedelta(minutes=5),
            "updated_at": START + timedelta(minutes=5),
            "ended_at": START + timedelta(minutes=9) if status == "resolved" else None,
            "measure": "negative_share",
            "seen": 0.9,
            "expected": 0.2,
            "surprise": 12.5,
            "count": 40,
            "negative": 36,
            "evidence": [post],
            "annotations": {"summary": "Apple"},
            "provenance": provenance,
        },
        Alert,
    )


def label(post_id: str) -> Label:
    return Label(
        post_id=post_id, task="sentiment", gold_label="neutral", labeller="ann", labelled_at=START, origin="dashboard"
    )


def json(record: msgspec.Struct) -> bytes:
    return msgspec.json.encode(record)


def new_archive(folder: Path) -> Archive:
    return Archive(Tables(str(folder)), StoreConfig())


def test_posts_that_scored_sends_twice_stand_once(tmp_path: Path) -> None:
    archive = new_archive(tmp_path)
    assert archive.add("scored", 0, [Sent(scored(0, [0, 1, 2]), 0), Sent(scored(0, [1, 2, 3]), 1)]) == []
    assert archive.rows_buffered == 4
    assert archive.flush() == {"posts": 4}
    again = new_archive(tmp_path)
    again.add("scored", 0, [Sent(scored(0, [2, 3, 4]), 2), Sent(scored(0, []), 3, headers=heartbeat_header(START))])
    assert again.flush() == {"posts": 1}
    assert again.applied() == {0: 4}
    offsets = Tables(str(tmp_path)).scan("posts").collect()["source_offset"]
    assert sorted(offsets) == [0, 1, 2, 3, 4]


def test_a_row_comes_back_as_it_was_sent(tmp_path: Path) -> None:
    archive = new_archive(tmp_path)
    value = scored(3, [10])
    archive.add("scored", 3, [Sent(value, 0)])
    archive.flush()
    with pa.ipc.open_stream(value) as reader:
        sent = reader.read_all().to_pylist()
    assert Tables(str(tmp_path)).scan("posts").collect().to_arrow().to_pylist() == sent


def test_windows_and_alerts_keep_versions_and_the_last_counts(tmp_path: Path) -> None:
    archive = new_archive(tmp_path)
    windows = [Sent(json(window(0, 1)), 5), Sent(json(window(1, 2)), 6), Sent(json(window(0, 3)), 7)]
    alerts = [Sent(json(alert()), 2), Sent(json(alert("resolved")), 3)]
    archive.add("windows", 0, windows)
    archive.add("alerts", 0, alerts)
    archive.add("labels", 0, [Sent(json(label("1-7")), 0)])
    assert archive.flush() == {"windows": 3, "alerts": 2, "labels": 1}
    tables = Tables(str(tmp_path))
    assert tables.rows("windows") == 3
    assert tables.query("SELECT count, version FROM windows ORDER BY window_start").rows() == [(3, 7), (2, 6)]
    (row,) = tables.query("SELECT * FROM alerts").to_dicts()
    assert row["status"] == "resolved"
    assert row["evidence"] == ["1-7"]
    assert row["provenance"]["source_offsets"] == [{"partition": "0", "offset": 7}, {"partition": "3", "offset": 9}]
    assert msgspec.json.decode(row["record"], type=Alert) == alert("resolved")
    assert tables.query("SELECT post_id, gold_label FROM labels").rows() == [("1-7", "neutral")]


def test_what_cannot_be_read_is_handed_back_with_its_place(tmp_path: Path) -> None:
    archive = Archive(Tables(str(tmp_path)), StoreConfig(), prefix="t1")
    bad = archive.add("scored", 1, [Sent(b"\xff", 4), Sent(None, 5), Sent(scored(1, [0]), 6)])
    bad += archive.add("windows", 0, [Sent(b"{", 7), Sent(json(alert()), 8), Sent(json(window(0)), 9)])
    assert [(letter.stream, letter.partition, letter.offset) for letter in bad] == [
        ("t1.scored", 1, 4),
        ("t1.scored", 1, 5),
        ("t1.windows", 0, 7),
        ("t1.windows", 0, 8),
    ]
    assert bad[0].value == b"\xff"
    assert "not window.v1" in bad[3].reason
    assert archive.flush() == {"posts": 1, "windows": 1}


def test_heartbeats_on_scored_are_no_rows_and_no_dead_letters(tmp_path: Path) -> None:
    archive = new_archive(tmp_path)
    headers = heartbeat_header(START)
    assert archive.add("scored", 0, [Sent(None, 0, headers=headers), Sent(scored(0, []), 1, headers=headers)]) == []
    (letter,) = archive.add("scored", 0, [Sent(None, 2, headers=[("heartbeat", b"soon")])])
    assert letter.reason == "no value"
    assert archive.rows_buffered == 0


def test_bad_messages_come_again_after_a_crash_even_between_archived_ones(tmp_path: Path) -> None:
    messages = [Sent(json(window(0)), 0), Sent(b"{", 1), Sent(json(window(1)), 2)]
    first = new_archive(tmp_path)
    assert len(first.add("windows", 0, messages)) == 1
    first.flush()
    second = new_archive(tmp_path)
    assert [letter.offset for letter in second.add("windows", 0, messages)] == [1]
    assert second.rows_buffered == 0


def test_flush_is_due_by_rows_and_by_time(tmp_path: Path) -> None:
    archive = Archive(Tables(str(tmp_path)), StoreConfig(flush_rows=3, flush_after_s=2.0))
    assert not archive.due(0.0)
    archive.add("scored", 0, [Sent(scored(0, [0, 1]), 0)])
    assert not archive.due(10.0)
    assert not archive.due(11.9)
    assert archive.due(12.0)
    archive.flush()
    assert not archive.due(20.0)
    archive.add("scored", 0, [Sent(scored(0, [2, 3, 4]), 1)])
    assert archive.due(20.0)


def test_a_flush_is_due_for_messages_without_new_rows_too(tmp_path: Path) -> None:
    archive = Archive(Tables(str(tmp_path)), StoreConfig(flush_after_s=1.0))
    archive.add("scored", 0, [])
    assert not archive.due(5.0)
    archive.add("scored", 0, [Sent(None, 0, headers=heartbeat_header(START))])
    assert not archive.due(6.0)
    assert archive.due(7.0)
    assert archive.flush() == {}
    assert not archive.due(9.0)


def test_a_second_writer_is_refused_and_nothing_doubled(tmp_path: Path) -> None:
    first, second = new_archive(tmp_path), new_archive(tmp_path)
    for archive in (first, second):
        archive.add("scored", 0, [Sent(scored(0, [0, 1]), 0)])
    first.flush()
    with pytest.raises(StoreError, match="already holds posts/0 up to 1"):
        second.flush()
    assert Tables(str(tmp_path)).rows("posts") == 2


class Died(Exception):
    """The process died here."""


def test_an_archive_that_was_overtaken_is_refused_though_it_is_ahead(tmp_path: Path) -> None:
    cut_off, other = new_archive(tmp_path), new_archive(tmp_path)
    cut_off.add("scored", 0, [Sent(scored(0, range(10)), 0)])
    other.add("scored", 0, [Sent(scored(0, range(6)), 0)])
    other.flush()
    with pytest.raises(StoreError, match="another process writes"):
        cut_off.flush()
    assert Tables(str(tmp_path)).rows("posts") == 6


class DyingTables(Tables):
    """Tables of a process that dies after some commits."""

    def __init__(self, url: str, commits: int) -> None:
        super().__init__(url)
        self.left = commits

    def append(
        self,
        table: str,
        data: pa.Table,
        transactions: Mapping[str, int],
        *,
        expected: Mapping[str, int] | None = None,
    ) -> None:
        if self.left == 0:
            raise Died
        self.left -= 1
        super().append(table, data, transactions, expected=expected)


@pytest.mark.parametrize("commits", range(5))
def test_a_crash_between_any_two_commits_of_a_flush_loses_and_doubles_nothing(tmp_path: Path, commits: int) -> None:
    sent: dict[Kind, list[Sent]] = {
        "scored": [Sent(scored(0, range(5)), 0)],
        "windows": [Sent(json(window(minute)), minute) for minute in range(4)],
        "alerts": [Sent(json(alert()), 0)],
        "labels": [Sent(json(label("1")), 0)],
    }
    dying = Archive(DyingTables(str(tmp_path), commits), StoreConfig())
    for kind, messages in sent.items():
        dying.add(kind, 0, messages)
    if commits < 4:
        with pytest.raises(Died):
            dying.flush()
    else:
        dying.flush()
    after = new_archive(tmp_path)
    for kind, messages in sent.items():
        after.add(kind, 0, messages)
    after.flush()
    tables = Tables(str(tmp_path))
    rows = {table: tables.rows(table) for table in ("posts", "windows", "alerts", "labels")}
    assert rows == {"posts": 5, "windows": 4, "alerts": 1, "labels": 1}


class Life(NamedTuple):
    """What ARCHIVE reads of one partition before it dies: batches of so many rows, the first ones known already."""

    batches: list[int]
    known_rows: int


lives = st.builds(Life, st.lists(st.integers(0, 6), max_size=4), st.integers(0, 9))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(lives, lives, st.booleans()), min_size=1, max_size=4))
def test_any_crashes_and_cuts_give_every_row_once(history: list[tuple[Life, Life, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(folder)
        archived = {0: 0, 1: 0}
        for first, second, flushes in history:
            archive = new_archive(Path(folder))
            reached = {partition: archive.applied().get(partition, -1) + 1 for partition in (0, 1)}
            assert reached == archived
            for partition, life in enumerate((first, second)):
                offset = max(0, reached[partition] - life.known_rows)
                for rows in life.batches:
                    archive.add("scored", partition, [Sent(scored(partition, range(offset, offset + rows)), 0)])
                    offset += rows
                if flushes:
                    archived[partition] = max(archived[partition], offset)
            if flushes:
                archive.flush()
        found = tables.scan("posts").select("source_partition", "source_offset").collect().rows()
        assert sorted(found) == [(partition, offset) for partition in (0, 1) for offset in range(archived[partition])]
