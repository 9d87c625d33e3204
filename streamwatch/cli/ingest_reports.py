"""What `streamwatch ingest` says of its feeds: lines on stdout, figures for Prometheus, calm logs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from streamwatch.cli.options import Format
from streamwatch.cli.output import emit, emit_json
from streamwatch.feeds.report import FeedReport
from streamwatch.metrics import IngestMetrics

log = logging.getLogger(__name__)

COLUMNS = ("feed", "outcome", "status", "entries", "posts", "repeated", "old", "found", "advice", "warnings", "next_at")


class FeedReports:
    """Gathers reports: counts them, and logs what is new about a feed; what was said of it once is not said again.

    Attributes:
        metrics: The figures.
        last: By feed, its last report.
    """

    def __init__(self) -> None:
        self.metrics = IngestMetrics()
        self.last: dict[str, FeedReport] = {}
        self._told: set[tuple[str, str]] = set()

    def add(self, report: FeedReport) -> None:
        """Take a report in."""
        before, self.last[report.feed] = self.last.get(report.feed), report
        self._count(report)
        self._log(report, before)

    def status(self) -> dict[str, Any]:
        """Return how the feeds are; healthy while one of them is."""
        well = [report for report in self.last.values() if not report.failures]
        feeds = {name: msgspec.to_builtins(report) for name, report in self.last.items()}
        return {"healthy": bool(well) or not self.last, "feeds": feeds}

    def _count(self, report: FeedReport) -> None:
        metrics, feed = self.metrics, report.feed
        metrics.visits.labels(feed=feed, outcome=report.outcome).inc()
        metrics.posts.labels(feed=feed).inc(report.posts)
        metrics.failures.labels(feed=feed).set(report.failures)
        if report.outcome != "waiting":
            metrics.seconds.observe(report.seconds)
        if report.outcome in ("read", "unchanged"):
            metrics.answered.labels(feed=feed).set(time.time())

    def _log(self, report: FeedReport, before: FeedReport | None) -> None:
        where = {"feed": report.feed}
        if report.outcome == "failed":
            told = {"found": report.found, "advice": report.advice, "failures": report.failures}
            log.warning("feed failed", extra=where | told | {"next_at": report.next_at.isoformat(timespec="seconds")})
        elif before and before.outcome == "failed" and report.outcome != "waiting":
            log.info("feed is well again", extra=where)
        if report.posts:
            log.info("posts sent", extra=where | {"posts": report.posts, "repeated": report.repeated})
        for warning in report.warnings:
            if (report.feed, warning) not in self._told:
                self._told.add((report.feed, warning))
                log.warning("feed is odd", extra=where | {"found": warning})


def print_reports(reports: Iterable[FeedReport], output: Format) -> None:
    """Print reports: as a table, as CSV, or as one JSON document each."""
    if output is Format.json:
        for report in reports:
            emit_json(report)
        return
    rows = [msgspec.structs.asdict(report) for report in reports]
    shown = rows if output is Format.csv else [row | {"warnings": "; ".join(row["warnings"])} for row in rows]
    emit(shown, COLUMNS, output)
