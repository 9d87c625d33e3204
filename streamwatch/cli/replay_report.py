"""What came of a replay: its posts, the windows of their time, and what alerted in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
from msgspec import Struct

from streamwatch.cli.alerts import between
from streamwatch.cli.options import Format
from streamwatch.cli.output import emit, emit_json, emit_record
from streamwatch.store.tables import Tables

ALERT_COLUMNS = ("severity", "monitor", "group", "status", "onset", "ended_at", "seen", "expected", "fingerprint")


class Span(Struct, frozen=True):
    """The event time of a replay: first and last post, and the windows that they can stand in."""

    first: datetime
    last: datetime
    windows_from: datetime
    windows_to: datetime


class ReplaySummary(Struct, frozen=True, kw_only=True):
    """What a replay did. `windows` and `alerts` are None when it did not wait for them."""

    posts: int
    bad_lines: int
    out_of_order: int
    first: datetime | None
    last: datetime | None
    seconds_sending: float
    seconds: float
    posts_per_s: float
    windows: int | None = None
    alerts: list[dict[str, Any]] | None = None


def count_windows(tables: Tables, span: Span) -> int:
    """Return how many windows start in the span."""
    windows = tables.latest("windows").filter(
        pl.col("window_start") >= span.windows_from, pl.col("window_start") < span.windows_to
    )
    return int(windows.select(pl.len()).collect().item())


def opened_alerts(tables: Tables, span: Span) -> list[dict[str, Any]]:
    """Return the alerts whose onset is in the span."""
    alerts = between(tables.latest("alerts"), span.windows_from, span.windows_to)
    return [{name: alert[name] for name in ALERT_COLUMNS} for alert in alerts]


def last_closed_window(tables: Tables) -> datetime | None:
    """Return when the newest window in the table ends: posts before that come too late for it."""
    end: datetime | None = tables.scan("windows").select(pl.col("window_end").max()).collect().item()
    return end


def print_summary(summary: ReplaySummary, output: Format) -> None:
    """Print a summary: JSON has all in one document, CSV the alerts alone."""
    if output is Format.json:
        emit_json(summary)
        return
    if output is Format.table:
        figures = {name: getattr(summary, name) for name in summary.__struct_fields__}
        emit_record(figures | {"alerts": None if summary.alerts is None else len(summary.alerts)}, output)
    if summary.alerts or output is Format.csv:
        emit(summary.alerts or [], ALERT_COLUMNS, output)
