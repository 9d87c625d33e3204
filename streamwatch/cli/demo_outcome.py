"""What came of the demo's day: read from the tables, not from what the screen believed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from msgspec import Struct

from streamwatch.ingest.marketday import MarketDay, ScriptedEvent
from streamwatch.store.tables import Tables


class Outcome(Struct, frozen=True, kw_only=True):
    """The summary of a demo. Minutes are event time, seconds real time.

    Attributes:
        posts_in: Posts sent.
        scored: Posts in the table with scores.
        archived_twice: Rows in the table beyond one for each post.
        caught_after_min: From the crisis's first post to the end of the window that raised the alert.
        decoy: Who had the burst of good news, which must not be taken for a crisis.
    """

    posts_in: int
    scored: int
    archived: int
    archived_twice: int
    windows: int
    alerts: int
    crisis: str
    crisis_start: datetime
    crisis_caught: bool
    caught_after_min: float | None
    decoy: str
    decoy_alerted: bool
    seconds: float
    posts_per_s: float
    peak_memory_mib: int

    def faults(self) -> list[str]:
        """Return what did not go as it should: nothing lost, nothing twice, the crisis caught."""
        missing = self.posts_in - (self.archived - self.archived_twice)
        faults = {
            f"{missing:,} posts are not in the table": missing,
            f"{self.archived_twice:,} rows are in the table twice": self.archived_twice,
            f"{self.archived - self.scored:,} posts have no scores": self.archived - self.scored,
            f"the crisis of {self.crisis} was not caught": not self.crisis_caught,
        }
        return [text for text, wrong in faults.items() if wrong]


def read_outcome(tables: Tables, day: MarketDay, *, posts_in: int, seconds: float, peak_bytes: int) -> Outcome:
    """Count what is in the tables, and look for the alert of the day's crisis."""
    posts = tables.scan("posts").select(
        archived=pl.len(), unique=pl.col("id").n_unique(), scored=pl.col("sentiment").is_not_null().sum()
    )
    counts = posts.collect().row(0, named=True)
    alerts = tables.scan("alerts")
    after = caught_after(alerts, day.crisis)
    return Outcome(
        posts_in=posts_in,
        scored=int(counts["scored"] or 0),
        archived=counts["archived"],
        archived_twice=counts["archived"] - counts["unique"],
        windows=_rows(tables.latest("windows")),
        alerts=_rows(tables.latest("alerts")),
        crisis=day.crisis.ticker,
        crisis_start=day.crisis.start,
        crisis_caught=after is not None,
        caught_after_min=None if after is None else round(after / timedelta(minutes=1), 1),
        decoy=day.decoy.ticker,
        decoy_alerted=caught_after(alerts, day.decoy) is not None,
        seconds=round(seconds, 1),
        posts_per_s=round(posts_in / max(seconds, 1e-9), 1),
        peak_memory_mib=round(peak_bytes / 2**20),
    )


def caught_after(alerts: pl.LazyFrame, event: ScriptedEvent) -> timedelta | None:
    """Return how long after an event began an alert first named its company; None when none did before its end.

    An alert that was open before the event began does not count, nor one about mere volume.

    Args:
        alerts: Every version of every alert.
        event: What to look for.
    """
    first = alerts.sort("version").unique("fingerprint", keep="first")
    of_mood = first.filter(pl.col("measure") != "volume")
    named = of_mood.filter(pl.col("group").str.split("|").list.contains(event.ticker))
    inside = named.filter(pl.col("window_end") > event.start, pl.col("window_end") <= event.end)
    raised: datetime | None = inside.select(pl.col("window_end").min()).collect().item()
    return None if raised is None else raised - event.start


def _rows(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def outcome_lines(outcome: Outcome) -> list[str]:
    """Return the summary as lines for people."""
    caught = f"caught after {outcome.caught_after_min:g} minutes" if outcome.crisis_caught else "NOT CAUGHT"
    rows: list[tuple[str, Any]] = [
        ("posts in", f"{outcome.posts_in:,}"),
        ("scored", f"{outcome.scored:,}"),
        ("archived", f"{outcome.archived:,} ({outcome.archived_twice:,} twice)"),
        ("windows", f"{outcome.windows:,}"),
        ("alerts", f"{outcome.alerts:,}"),
        ("crisis", f"{outcome.crisis} from {outcome.crisis_start:%H:%M}: {caught}"),
        ("decoy", f"{outcome.decoy}: {'taken for a crisis' if outcome.decoy_alerted else 'not taken for a crisis'}"),
        ("time", f"{outcome.seconds:.0f} s, {outcome.posts_per_s:,.0f} posts/s with the start"),
        ("memory", f"{outcome.peak_memory_mib:,} MiB at most, all processes"),
    ]
    return [f"{name:<9} {value}" for name, value in rows]
