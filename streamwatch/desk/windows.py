"""The stored windows of a monitor's group: what came, beside what was to be expected."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from msgspec import Struct

from streamwatch.store.tables import Tables, store_errors

COLUMNS = ("window_start", "window_end", "count", "negative", "measure", "expected", "surprise")


class WindowsOf(Struct, frozen=True):
    """Which windows: of a monitor and a group, begun in `[start, end)`."""

    monitor: str
    group: str
    start: datetime
    end: datetime


def read_windows(tables: Tables, asked: WindowsOf, limit: int) -> pl.DataFrame:
    """Return windows with the `COLUMNS`, the oldest first, the last version of each; the newest `limit` of them."""
    at = pl.col("window_start")
    wanted = (
        pl.col("monitor") == asked.monitor,
        pl.col("group") == asked.group,
        at >= asked.start,
        at < asked.end,
    )
    with store_errors("windows"):
        rows = tables.scan("windows").filter(*wanted).sort("version").unique("window_start", keep="last")
        return rows.sort("window_start").select(COLUMNS).tail(limit).collect()
