"""The life of alerts: pending, firing, calm, resolved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from streamwatch.records import Alert, EvidencePost, Provenance
from streamwatch.watch.instants import from_us, span_us
from streamwatch.watch.monitors import Monitor, show_duration

END_PART = 0.5
"""A window is calm when its surprise is below this part of what opens an alert: hysteresis, against flapping."""
GROWN_BY = 1.25
"""An alert is told again when what is seen grew by this factor since it was last told."""
NEW_POSTS = 3
"""An alert is told again when so many of its evidence posts are new."""


class Reading(Struct, frozen=True):
    """What a window of one group showed. `count` 0 stands for a window without posts."""

    seen: float = 0.0
    expected: float | None = None
    surprise: float = 0.0
    count: int = 0
    negative: int = 0


class Support(Struct, frozen=True):
    """Where an alert's evidence and provenance come from, for a group and the window that ends at an instant."""

    evidence: Callable[[str, int], list[EvidencePost]]
    provenance: Callable[[int], Provenance]


class OpenAlert(Struct):
    """An alert from the first window that was surprising; `told` is what was last published of it."""

    onset_us: int
    first_end_us: int
    calm_since_us: int | None = None
    told: Alert | None = None


def fingerprint(monitor: str, group: str, onset_us: int) -> str:
    """Return the 16 hexadecimal digits that name an alert.

    >>> fingerprint("entity-negative", "AAPL", 0)
    '875bb90739bc6828'
    """
    name = msgspec.json.encode([monitor, group, onset_us])
    return hashlib.sha256(name).hexdigest()[:16]


class AlertBook:
    """The alerts of one monitor.

    An alert is pending from the first window at or above the monitor's threshold, and fires once that held
    `for` so long without a break. It is told again when it grew or its evidence changed. It ends when windows
    were calm (below half the threshold, or too few posts) for `keep_firing_for`, and is resolved once. A group of
    which nobody writes any more shows calm windows too, so silence ends an alert.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._length_us = span_us(monitor.window)
        self.open: dict[str, OpenAlert] = {}

    def is_surprising(self, reading: Reading) -> bool:
        """Say whether a window is worth an alert."""
        return self._surprise(reading) >= self._monitor.threshold

    def step(self, end_us: int, readings: Mapping[str, Reading], support: Support) -> list[Alert]:
        """Take the windows that end at an instant, and return what is to be told, sorted by group.

        Args:
            end_us: End of the windows.
            readings: Of every group whose window is surprising or whose alert is open; none stands for silence.
            support: For the alerts that are told.
        """
        told = []
        for group in sorted({*readings, *self.open}):
            alert = self._advance(group, end_us, readings.get(group, Reading()), support)
            if alert is not None:
                told.append(alert)
        return told

    def _advance(self, group: str, end_us: int, reading: Reading, support: Support) -> Alert | None:
        surprising = self.is_surprising(reading)
        entry = self.open.get(group)
        if entry is None:
            if not surprising:
                return None
            entry = self.open[group] = OpenAlert(end_us - self._length_us, end_us)
        if entry.told is None:
            return self._pending(group, entry, end_us, reading, support)
        if surprising or self._surprise(reading) >= END_PART * self._monitor.threshold:
            entry.calm_since_us = None
            return self._again(group, entry, end_us, reading, support)
        entry.calm_since_us = end_us if entry.calm_since_us is None else entry.calm_since_us
        if end_us - entry.calm_since_us < span_us(self._monitor.keep_firing_for):
            return None
        del self.open[group]
        return self._tell("resolved", group, entry, end_us, reading, entry.told.evidence, support)

    def _pending(self, group: str, entry: OpenAlert, end_us: int, reading: Reading, support: Support) -> Alert | None:
        if not self.is_surprising(reading):
            del self.open[group]
            return None
        if end_us - entry.first_end_us < span_us(self._monitor.holds_for):
            return None
        entry.told = self._tell("firing", group, entry, end_us, reading, support.evidence(group, end_us), support)
        return entry.told

    def _again(self, group: str, entry: OpenAlert, end_us: int, reading: Reading, support: Support) -> Alert | None:
        """Tell an alert again if it is worse than when it was last told, or its evidence is other."""
        told = entry.told
        if told is None or reading.surprise < told.surprise:
            return None
        evidence = support.evidence(group, end_us)
        new = {post.id for post in evidence} - {post.id for post in told.evidence}
        if not _has_grown(reading.seen, told) and len(new) < NEW_POSTS:
            return None
        entry.told = self._tell("firing", group, entry, end_us, reading, evidence, support)
        return entry.told

    def _surprise(self, reading: Reading) -> float:
        volume = reading.negative if self._monitor.measure == "negative_count" else reading.count
        return reading.surprise if volume >= self._monitor.min_count else 0.0

    def _tell(
        self,
        status: Literal["firing", "resolved"],
        group: str,
        entry: OpenAlert,
        end_us: int,
        reading: Reading,
        evidence: list[EvidencePost],
        support: Support,
    ) -> Alert:
        monitor, end = self._monitor, from_us(end_us)
        known = entry.told.expected if entry.told else 0.0
        alert = Alert(
            fingerprint=fingerprint(monitor.name, group, entry.onset_us),
            monitor=monitor.name,
            group=group,
            group_by=monitor.grouping,
            severity=monitor.severity,
            status=status,
            onset=from_us(entry.onset_us),
            window_start=from_us(end_us - self._length_us),
            window_end=end,
            updated_at=end,
            ended_at=end if status == "resolved" else None,
            measure=monitor.measure,
            seen=reading.seen,
            expected=known if reading.expected is None else reading.expected,
            surprise=reading.surprise,
            count=reading.count,
            negative=reading.negative,
            evidence=evidence,
            annotations={},
            provenance=support.provenance(end_us),
        )
        return msgspec.structs.replace(alert, annotations=render(monitor, alert))


def _has_grown(seen: float, told: Alert) -> bool:
    """Say whether a measure moved away from what was expected by a quarter more than when it was last told.

    Counts and shares grow; net sentiment falls.
    """
    return abs(seen - told.expected) >= GROWN_BY * abs(told.seen - told.expected)


def render(monitor: Monitor, alert: Alert) -> dict[str, str]:
    """Fill in the annotations of a monitor's alert."""
    values: dict[str, Any] = {name: getattr(alert, name) for name in alert.__struct_fields__}
    values |= {name: getattr(alert, name).isoformat() for name in ("onset", "window_start", "window_end")}
    values["window"] = show_duration(monitor.window)
    return {name: template.format_map(values) for name, template in monitor.annotations.items()}


def abandon(alert: Alert, at_us: int) -> Alert:
    """Return the end of an alert whose monitor is gone or changed."""
    at = max(from_us(at_us), alert.updated_at)
    return msgspec.structs.replace(alert, status="resolved", updated_at=at, ended_at=at)
