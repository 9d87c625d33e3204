"""Backtest: what monitors files would have told of posts of the past."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from streamwatch.config import WatchConfig
from streamwatch.records import Alert
from streamwatch.watch.monitors import Monitors
from streamwatch.watch.rerun import Rerun
from streamwatch.watch.watch import Watch

WARM_UP_HALF_LIVES = 4
"""So many half-lives of the past are as good as all of it: what is older weighs a sixteenth."""


def backtest(
    posts: Iterable[pa.RecordBatch],
    files: Sequence[Monitors],
    config: WatchConfig,
    *,
    partitions: Collection[int],
    until: datetime,
) -> list[list[Alert]]:
    """Run monitors files side by side over the same posts, and return what each would have told.

    Args:
        posts: Columns of `codec.SCORED_SCHEMA`, each batch of one source partition, offsets rising; read once.
        files: The monitors.
        config: The allowed lateness.
        partitions: The source partitions that there are: the first posts of each are waited for.
        until: Windows that end later stay open.

    Returns:
        For each file its alerts in the order in which they were told; an alert that grew is there again.
    """
    reruns = [Rerun(Watch(monitors, config), partitions) for monitors in files]
    told: list[list[Alert]] = [[] for _ in files]
    for batch in posts:
        for rerun, alerts in zip(reruns, told, strict=True):
            alerts += rerun.add(batch)
    for rerun, alerts in zip(reruns, told, strict=True):
        alerts += rerun.end(until)
    return [[alert for alert in alerts if alert.updated_at <= until] for alerts in told]


def warm_up(files: Sequence[Monitors]) -> timedelta:
    """Return how much of the past the baselines of these monitors need before the first window that matters."""
    rules = [monitor for monitors in files for monitor in monitors.monitors]
    return max(WARM_UP_HALF_LIVES * monitor.half_life + 2 * monitor.window for monitor in rules)
