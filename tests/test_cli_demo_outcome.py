from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from streamwatch.cli.demo_outcome import Outcome, caught_after, outcome_lines, read_outcome
from streamwatch.codec import SCORED_SCHEMA
from streamwatch.ingest.marketday import MarketDay, ScriptedEvent
from streamwatch.records import Alert, Provenance
from streamwatch.store.rows import RowDecoder, rows_table
from streamwatch.store.tables import Tables

START = datetime(2026, 1, 5, 13, 10, tzinfo=UTC)
CRISIS = ScriptedEvent("Tesla", "TSLA", START, START + timedelta(minutes=90))
DECOY = ScriptedEvent("Apple", "AAPL", START - timedelta(hours=3), START - timedelta(hours=2))
DAY = MarketDay(iter(()), CRISIS, DECOY)


def alert(group: str, end_min: float, *, measure: str = "negative_count", fingerprint: str = "a" * 16) -> Alert:
    end = START + timedelta(minutes=end_min)
    return Alert(
        fingerprint=fingerprint,
        monitor="entity-negative-surge",
        group=group,
        group_by="entity",
        severity="critical",
        status="firing",
        onset=end - timedelta(minutes=30),
        window_start=end - timedelta(minutes=30),
        window_end=end,
        updated_at=end,
        ended_at=None,
        measure=measure,
        seen=9,
        expected=1,
        surprise=8,
        count=20,
        negative=9,
        evidence=[],
        annotations={},
        provenance=Provenance(model_version="m", monitors_hash="h", watermark=end, source_offsets={}),
    )


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(str(tmp_path))


def add_alerts(tables: Tables, *alerts: Alert) -> None:
    decoder = RowDecoder("alerts")
    rows = [decoder.decode(msgspec.json.encode(one), version) for version, one in enumerate(alerts)]
    tables.append("alerts", rows_table("alerts", rows), {})


def add_posts(tables: Tables, *ids: str) -> None:
    required: dict[str, Any] = {
        "source": "s",
        "text": "t",
        "published_at": START,
        "appended_at": START,
        "source_partition": 0,
        "sentiment": "neutral",
    }
    rows = [required | {"id": name, "source_offset": offset} for offset, name in enumerate(ids)]
    tables.append("posts", pa.Table.from_pylist(rows, schema=SCORED_SCHEMA), {})


@pytest.mark.parametrize(
    ("alerts", "minutes"),
    [
        ([], None),
        ([alert("TSLA", 15)], 15),
        ([alert("TSLA|earnings", 10), alert("TSLA", 15, fingerprint="b" * 16)], 10),
        ([alert("TSLA", 20), alert("TSLA", 35)], 20),
        ([alert("AAPL", 15)], None),
        ([alert("TSLA", 15, measure="volume")], None),
        ([alert("TSLA", -5), alert("TSLA", 15)], None),
        ([alert("TSLA", 95)], None),
    ],
    ids=["none", "one", "pair", "versions", "another", "volume", "open before", "too late"],
)
def test_the_crisis_is_caught_when_an_alert_that_began_in_it_names_its_company(
    tables: Tables, alerts: list[Alert], minutes: float | None
) -> None:
    if alerts:
        add_alerts(tables, *alerts)
    after = caught_after(tables.scan("alerts"), CRISIS)
    assert after == (None if minutes is None else timedelta(minutes=minutes))


def outcome(tables: Tables, posts_in: int) -> Outcome:
    return read_outcome(tables, DAY, posts_in=posts_in, seconds=10, peak_bytes=2**30)


def test_a_good_day_has_no_faults(tables: Tables) -> None:
    add_posts(tables, "a", "b")
    add_alerts(tables, alert("TSLA", 15))
    good = outcome(tables, posts_in=2)
    assert good.faults() == []
    assert (good.caught_after_min, good.peak_memory_mib, good.posts_per_s) == (15, 1024, 0.2)
    assert "crisis    TSLA from 13:10: caught after 15 minutes" in outcome_lines(good)


def test_what_is_missing_or_twice_or_not_caught_is_a_fault(tables: Tables) -> None:
    add_posts(tables, "a", "b", "b")
    assert outcome(tables, posts_in=3).faults() == [
        "1 posts are not in the table",
        "1 rows are in the table twice",
        "the crisis of TSLA was not caught",
    ]


def test_a_day_that_left_nothing_is_a_fault(tables: Tables) -> None:
    assert outcome(tables, posts_in=5).faults()[0] == "5 posts are not in the table"
