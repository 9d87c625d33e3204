"""What the demo's screen shows: gathered from the monitor's endpoint and from its streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from streamwatch.records import Alert, Window

HISTORY = 120
LEAST_POSTS = 3


class StageRow(NamedTuple):
    """A stage as the screen shows it."""

    name: str
    state: str
    lag: int | None
    restarts: int


class Counts(NamedTuple):
    """How many posts have come how far, and what else was counted."""

    scored: int = 0
    archived: int = 0
    windows: int = 0
    dead_letters: int = 0


@dataclass
class DemoView:
    """The state of the demo at one moment. Nothing in it is made up: what is not known yet is empty.

    Attributes:
        total: Posts of the whole day.
        sent: Posts sent to the stream so far.
        event_time: When the last of them was published, in the day's own time.
        speeds: Posts scored a second, one figure a refresh, the newest last.
    """

    title: str
    total: int
    phase: str = "starting"
    sent: int = 0
    event_time: datetime | None = None
    watermark: datetime | None = None
    elapsed_s: float = 0.0
    memory_bytes: int = 0
    counts: Counts = Counts()
    stages: list[StageRow] = field(default_factory=list)
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    windows: dict[str, Window] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    peaks: dict[str, Alert] = field(default_factory=dict)

    def take_status(self, status: dict[str, Any]) -> None:
        """Take what the monitor's `/status` says."""
        stages: dict[str, dict[str, Any]] = status.get("stages", {})
        lags = _lags(status.get("lag", []))
        self.stages = [
            StageRow(name, stage.get("state", "unknown"), lags.get(_stage_of(name)), stage.get("restarts", 0))
            for name, stage in stages.items()
        ]
        watermarks = [stage["watermark"] for stage in stages.values() if stage.get("watermark")]
        self.watermark = min(map(datetime.fromisoformat, watermarks), default=self.watermark)
        self.speeds.append(float(status.get("throughput_posts_s", 0.0)))

    def troubled(self) -> list[StageRow]:
        """Return the stages that ended and are not up again."""
        return [stage for stage in self.stages if stage.restarts > 0 and stage.state != "up"]

    def take_window(self, window: Window) -> None:
        """Keep the last window of each group."""
        known = self.windows.get(window.group)
        if known is None or window.window_start >= known.window_start:
            self.windows[window.group] = window

    def take_alert(self, alert: Alert) -> None:
        """Keep the last version of each alert, and the one in which it was most surprising."""
        self.alerts[alert.fingerprint] = alert
        peak = self.peaks.get(alert.fingerprint)
        if peak is None or alert.surprise > peak.surprise:
            self.peaks[alert.fingerprint] = alert

    def most_negative(self, rows: int) -> list[Window]:
        """Return the groups with the largest negative share in a window that is still recent."""
        newest = max((window.window_end for window in self.windows.values()), default=None)
        recent = [
            window
            for window in self.windows.values()
            if newest
            and window.count >= LEAST_POSTS
            and newest - window.window_end <= window.window_end - window.window_start
        ]
        return sorted(recent, key=lambda window: (-window.negative / window.count, -window.count, window.group))[:rows]

    def newest_alerts(self, rows: int) -> list[Alert]:
        """Return the alerts to show: those that are firing first, the newest on top."""
        return sorted(self.alerts.values(), key=lambda alert: (alert.status == "firing", alert.onset), reverse=True)[
            :rows
        ]


def read_counts(metrics: str) -> Counts:
    """Read the counters out of the text of `/metrics`.

    >>> text = '''# TYPE streamwatch_score_posts counter
    ... streamwatch_score_posts_total{stage="SCORE-0"} 7.0
    ... # TYPE streamwatch_archive_rows counter
    ... streamwatch_archive_rows_total{stage="ARCHIVE",table="posts"} 5.0
    ... streamwatch_archive_rows_total{stage="ARCHIVE",table="windows"} 9.0
    ... '''
    >>> read_counts(text)
    Counts(scored=7, archived=5, windows=0, dead_letters=0)
    """
    from prometheus_client.parser import text_string_to_metric_families

    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]

    def total(chosen: Callable[[str], bool], **labels: str) -> int:
        fits = (s for s in samples if chosen(s.name) and labels.items() <= s.labels.items())
        return int(sum(sample.value for sample in fits))

    return Counts(
        scored=total(lambda name: name == "streamwatch_score_posts_total"),
        archived=total(lambda name: name == "streamwatch_archive_rows_total", table="posts"),
        windows=total(lambda name: name == "streamwatch_watch_windows_total"),
        dead_letters=total(lambda name: name.endswith("_dead_letters_total")),
    )


def _stage_of(actor: str) -> str:
    return actor.lower().partition("-")[0]


def _lags(lag: Iterable[dict[str, Any]]) -> dict[str, int]:
    lags: dict[str, int] = {}
    for at in lag:
        stage = _stage_of(at["stage"])
        lags[stage] = lags.get(stage, 0) + int(at["lag"])
    return lags
