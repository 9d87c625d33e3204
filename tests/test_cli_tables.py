"""`query`, `alerts` and `windows` over real tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from streamwatch.cli.alert_view import alert_lines
from streamwatch.cli.main import run_command
from streamwatch.records import Alert, CurvePoint, EvidencePost, Provenance, Window
from streamwatch.schema_files import EXAMPLES
from streamwatch.store.rows import RowDecoder, rows_table
from streamwatch.store.tables import Tables

MONDAY = datetime(2015, 8, 24, 13, 30, tzinfo=UTC)


def window(group: str, minutes: int, *, count: int = 20, negative: int = 5) -> Window:
    start = MONDAY + timedelta(minutes=minutes)
    return Window(
        monitor="entity-negative-surge",
        group=group,
        window_start=start,
        window_end=start + timedelta(minutes=30),
        count=count,
        negative=negative,
        measure=float(negative),
        expected=None if minutes == 0 else 1.5,
        surprise=2.0,
    )


def alert(fingerprint: str, *, status: Any = "firing", days: int = 0) -> Alert:
    onset = MONDAY + timedelta(days=days)
    text = "Shares plunge \x1b[31mas everyone sells"
    post = EvidencePost(
        id="p1", source="twitter", published_at=onset, text=text, sentiment="negative", negative_prob=0.98
    )
    return Alert(
        fingerprint=fingerprint,
        monitor="entity-negative-surge",
        group="AAPL",
        group_by="entity",
        severity="critical",
        status=status,
        onset=onset,
        window_start=onset,
        window_end=onset + timedelta(minutes=30),
        updated_at=onset + timedelta(minutes=31),
        ended_at=onset + timedelta(hours=2) if status == "resolved" else None,
        measure="negative_count",
        seen=41.0,
        expected=6.25,
        surprise=9.5,
        count=77,
        negative=41,
        evidence=[post],
        annotations={"summary": "AAPL: 41 negative posts"},
        provenance=Provenance(model_version="m1", monitors_hash="h" * 16, watermark=onset, source_offsets={"0": 9}),
    )


def rows(table: Literal["windows", "alerts"], records: Sequence[Window | Alert]) -> list[dict[str, Any]]:
    decoder = RowDecoder(table)
    return [decoder.decode(msgspec.json.encode(record), version) for version, record in enumerate(records)]


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tables = Tables(str(tmp_path / ".streamwatch" / "tables"))
    windows = [window("AAPL", 0), window("AAPL", 5), window("GOOG", 5), window("AAPL", 5, count=25, negative=9)]
    alerts = [alert("a1" * 8), alert("b2" * 8, status="resolved", days=1), alert("b3" * 8, days=2)]
    tables.append("windows", rows_table("windows", rows("windows", windows)), {})
    tables.append("alerts", rows_table("alerts", rows("alerts", alerts)), {})


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run_command(list(args)) == 0
    return capsys.readouterr().out


def documents(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(printed(capsys, *args, "-o", "json"))
    return rows


def test_windows_shows_the_last_version_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    rows = documents(capsys, "windows")
    assert [(row["group"], row["window_start"][11:16], row["count"]) for row in rows] == [
        ("AAPL", "13:30", 20),
        ("AAPL", "13:35", 25),
        ("GOOG", "13:35", 20),
    ]
    assert rows[0]["expected"] is None


def test_windows_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["group"] for row in documents(capsys, "windows", "--group", "GOOG")] == ["GOOG"]
    assert len(documents(capsys, "windows", "--from", "2015-08-24T13:35", "--to", "2015-08-24T13:36Z")) == 2
    assert len(documents(capsys, "windows", "--from", "2015-08-24T15:35+02:00")) == 2
    assert documents(capsys, "windows", "--monitor", "other") == []
    assert [row["group"] for row in documents(capsys, "windows", "--limit", "1")] == ["GOOG"]
    assert documents(capsys, "windows", "--from", "1d") == []


def test_csv_has_a_header_and_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "windows", "-o", "csv"))))
    assert [row["count"] for row in rows] == ["20", "25", "20"]
    assert rows[0]["window_start"] == "2015-08-24T13:30:00Z"
    assert rows[0]["expected"] == ""


def test_a_table_is_not_cut_where_it_is_read_by_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "alerts").splitlines()
    assert any("a1a1a1a1a1a1a1a1" in line and "entity-negative-surge" in line and "6.25" in line for line in lines)


def test_alerts_can_be_chosen_by_state_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    def found(*args: str) -> list[str]:
        return [row["fingerprint"][:2] for row in documents(capsys, "alerts", *args)]

    assert found() == ["a1", "b2", "b3"]
    assert found("--open") == ["a1", "b3"]
    assert found("--since", "2015-08-25") == ["b2", "b3"]
    assert found("--from", "2015-08-25", "--to", "2015-08-26") == ["b2"]


def test_one_alert_is_shown_with_its_evidence_and_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "alerts", "--show", "a1")
    for shown in ("CRITICAL AAPL", "41 of 77 posts negative", "6.25 expected", "Shares plunge", "negative 0.98"):
        assert shown in text
    assert "\x1b" not in text
    whole = json.loads(printed(capsys, "alerts", "--show", "A1a1", "-o", "json"))
    assert whole["evidence"][0]["id"] == "p1"
    assert whole["provenance"]["source_offsets"] == {"0": 9}


def test_an_alert_says_who_tells_it_how_it_grew_and_what_it_was_computed_from() -> None:
    example = EXAMPLES["alert.v1"]
    assert isinstance(example, Alert)
    curve = [CurvePoint(window_end=MONDAY + timedelta(minutes=m), seen=m / 10, expected=None) for m in (0, 5, 10)]
    lines = alert_lines(msgspec.structs.replace(example, curve=curve, muted_by="nights"))
    shown = {line[2:].split("  ")[0]: line for line in lines}
    assert lines[0] == "PAGE AAPL: negative-surge (firing, corroborated)"
    assert lines[1] == f"  {example.brief.en}"
    for name, text in {
        "seen": "▁▅█  2015-08-24 13:30 to 2015-08-24 13:40",
        "severity": "page: 7 independent voices report it.",
        "told by": "7 independent voices, 4 sources; 12 stories in 41 posts, the largest 9",
        "incident": "AAPL, with 0d4f7a1b92c38e65",
        "muted": "by 'nights': recorded, not posted",
        "posts in": "12h 131  24h 204  3d 466  7d 1,020",
        "phrases": "battery fires (23 posts, 0.4 expected)",
        "also named": "TSM (6 posts, 4 negative)",
        "computed from": "source offsets up to 0: 1,203, 1: 1,187; watermark 2026-01-05 14:45 UTC",
        "fingerprint": "`streamwatch prove 8c1f0a63` checks it",
    }.items():
        assert shown[name].endswith(text), shown[name]
    assert "9 copies  $AAPL halts shipments" in lines[-1]


def test_an_alert_of_an_older_version_leaves_out_what_it_does_not_have() -> None:
    text = "\n".join(alert_lines(alert("a1" * 8)))
    assert "CRITICAL AAPL: entity-negative-surge (firing, unconfirmed)" in text
    assert not any(f"\n  {name}  " in text for name in ("told by", "muted", "incident", "phrases", "posts in"))


def test_a_fingerprint_that_fits_two_alerts_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["alerts", "--show", "b"]) == 1
    assert "2 alerts begin with 'b'" in capsys.readouterr().err


def test_query_answers_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    sql = 'SELECT "group", sum(count) AS posts FROM windows GROUP BY "group" ORDER BY posts DESC'
    assert json.loads(printed(capsys, "query", sql, "-o", "json")) == [
        {"group": "AAPL", "posts": 45},
        {"group": "GOOG", "posts": 20},
    ]
    assert printed(capsys, "query", sql, "-o", "csv") == "group,posts\nAAPL,45\nGOOG,20\n"
    assert "GOOG" in printed(capsys, "query", sql)


def test_query_prints_lists_as_json_inside_csv(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "query", "SELECT evidence FROM alerts LIMIT 1", "-o", "csv")
    assert list(csv.reader(io.StringIO(text))) == [["evidence"], ['["p1"]']]
