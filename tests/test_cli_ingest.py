"""What `streamwatch ingest` says, without a broker."""

from __future__ import annotations

import csv
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from streamwatch.cli.ingest_reports import COLUMNS, FeedReports, print_reports
from streamwatch.cli.main import run_command
from streamwatch.cli.options import Format
from streamwatch.feeds.report import FeedReport

NEXT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
WELL = FeedReport(feed="wire", outcome="read", next_at=NEXT, posts=2, repeated=1, warnings=["odd"])
DOWN = FeedReport(feed="wire", outcome="failed", next_at=NEXT, found="HTTP 500", advice="wait", failures=1)


def test_a_wrong_file_stops_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "feeds.toml"
    file.write_text('[[feed]]\nname = "x"\nurl = "file:///etc/passwd"\n', encoding="utf-8")
    assert run_command(["ingest", str(file)]) == 2
    assert f"{file}: feed[0].url: found 'file:///etc/passwd'" in capsys.readouterr().err
    file.write_text('[[feed]]\nname = "x"\nurl = "https://example.com"\n', encoding="utf-8")
    assert run_command(["ingest", str(file), "-o", "csv"]) == 2
    assert "csv needs --once" in capsys.readouterr().err


def test_logs_say_what_is_new(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reports = FeedReports()
    quiet = FeedReport(feed="wire", outcome="unchanged", next_at=NEXT)
    for report in (WELL, quiet, WELL, DOWN, quiet):
        reports.add(report)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    sent = ("INFO", "posts sent")
    assert said == [sent, ("WARNING", "feed is odd"), sent, ("WARNING", "feed failed"), ("INFO", "feed is well again")]


def test_figures_count_posts_and_failures() -> None:
    reports = FeedReports()
    assert reports.status()["healthy"]
    reports.add(WELL)
    reports.add(DOWN)
    text = generate_latest(reports.metrics.registry).decode()
    assert 'streamwatch_ingest_posts_total{feed="wire"} 2.0' in text
    assert 'streamwatch_ingest_visits_total{feed="wire",outcome="failed"} 1.0' in text
    assert 'streamwatch_ingest_failures_in_a_row{feed="wire"} 1.0' in text
    assert not reports.status()["healthy"]
    json.dumps(reports.status())


def test_reports_are_printed_for_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_reports([WELL, DOWN], Format.table)
    assert "HTTP 500" in capsys.readouterr().out
    print_reports([WELL, DOWN], Format.csv)
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["posts"] for row in rows] == ["2", "0"]
    print_reports([WELL, DOWN], Format.json)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["read", "failed"]
