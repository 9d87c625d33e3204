"""The life of alerts: pending, firing, calm, resolved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from streamwatch.records import Alert, Corroboration, CurvePoint, Provenance, Spread
from streamwatch.watch.brief import write_brief
from streamwatch.watch.corroboration import corroborate
from streamwatch.watch.evidence import Case
from streamwatch.watch.incidents import incident_of
from streamwatch.watch.instants import from_us, span_us
from streamwatch.watch.monitors import Monitor, show_duration
from streamwatch.watch.mutes import Mute, muted_by
from streamwatch.watch.severity import Facts, Severity, is_above, judge

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


class Support(NamedTuple):
    """What an alert tells beside its figures, of a group and the window that ends at an instant."""

    case: Callable[[str], Case]
    curve: Callable[[str], list[CurvePoint]]
    volumes: Callable[[str], dict[str, int]]
    provenance: Callable[[], Provenance]


class OpenAlert(Struct):
    """An alert from the first window that was surprising.

    Attributes:
        onset_us: Start of that window; `first_end_us` is its end.
        calm_since_us: End of the first of the windows that are calm now.
        told: What was last published of it.
        worst: The reading of the worst window that was published.
    """

    onset_us: int
    first_end_us: int
    calm_since_us: int | None = None
    told: Alert | None = None
    worst: Reading = Reading()


class Telling(NamedTuple):
    """What is told of the posts that drive an alert; the spread is the one that its corroboration follows from."""

    corroboration: Corroboration
    spread: Spread
    case: Case


def fingerprint(monitor: str, group: str, onset_us: int) -> str:
    """Return the 16 hexadecimal digits that name an alert.

    >>> fingerprint("entity-negative", "AAPL", 0)
    '875bb90739bc6828'
    """
    name = msgspec.json.encode([monitor, group, onset_us])
    return hashlib.sha256(name).hexdigest()[:16]


class AlertBook:
    """The alerts of one monitor.

    An alert is pending from the first window at or above the monitor's threshold, and fires at such a window once
    that is `for` ago and none between was calm. It is told again when it grew, its evidence changed, independent
    voices corroborate or deny it, its severity rises, or a mute begins or ends. It ends when windows were calm (below
    half the threshold, or below half of the least volume) for `keep_firing_for`, and is resolved once. A group of
    which nobody writes any more shows calm windows too, so silence ends an alert.

    Args:
        monitor: What is watched.
        mutes: Alerts that match one are recorded and not posted.
    """

    def __init__(self, monitor: Monitor, mutes: tuple[Mute, ...] = ()) -> None:
        self._monitor = monitor
        self._mutes = mutes
        self._length_us = span_us(monitor.window)
        self.open: dict[str, OpenAlert] = {}

    def is_surprising(self, reading: Reading) -> bool:
        """Say whether a window is worth an alert."""
        return self._volume(reading) >= self._monitor.min_count and reading.surprise >= self._monitor.threshold

    def is_calm(self, reading: Reading) -> bool:
        """Say whether a window shows nothing any more of a surge."""
        monitor = self._monitor
        return self._volume(reading) < END_PART * monitor.min_count or reading.surprise < END_PART * monitor.threshold

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
        entry = self.open.get(group)
        if entry is None:
            if not self.is_surprising(reading):
                return None
            entry = self.open[group] = OpenAlert(end_us - self._length_us, end_us)
        if entry.told is None:
            return self._pending(group, entry, end_us, reading, support)
        if not self.is_calm(reading):
            entry.calm_since_us = None
            return self._again(entry, entry.told, end_us, reading, support)
        entry.calm_since_us = end_us if entry.calm_since_us is None else entry.calm_since_us
        if end_us - entry.calm_since_us < span_us(self._monitor.keep_firing_for):
            return None
        del self.open[group]
        return self._resolve(entry.told, end_us, reading, support)

    def _pending(self, group: str, entry: OpenAlert, end_us: int, reading: Reading, support: Support) -> Alert | None:
        if self.is_calm(reading):
            del self.open[group]
            return None
        if not self.is_surprising(reading) or end_us - entry.first_end_us < span_us(self._monitor.holds_for):
            return None
        return self._fire(group, entry, end_us, reading, _explain(support.case(group), None), support)

    def _again(self, entry: OpenAlert, told: Alert, end_us: int, reading: Reading, support: Support) -> Alert | None:
        """Tell an alert again if there is something new to say of it."""
        case = support.case(told.group)
        telling = _explain(case, told)
        worse = reading.surprise >= entry.worst.surprise
        severity = self._severity(entry, end_us, reading, telling)
        if not (
            telling.corroboration != told.corroboration
            or is_above(severity.level, told.severity)
            or self._muted_by(told, severity.level, end_us) != told.muted_by
            or (worse and _has_grown(reading.seen, entry.worst))
            or (worse and len({post.id for post in case.evidence()} - {post.id for post in told.evidence}) >= NEW_POSTS)
        ):
            return None
        return self._fire(told.group, entry, end_us, reading, telling, support)

    def _fire(
        self, group: str, entry: OpenAlert, end_us: int, reading: Reading, telling: Telling, support: Support
    ) -> Alert:
        severity = self._severity(entry, end_us, reading, telling)
        alert, case = self._alert(group, entry.onset_us, end_us, reading, support), telling.case
        alert = msgspec.structs.replace(
            alert,
            severity=severity.level,
            reasons=severity.reasons,
            muted_by=self._muted_by(alert, severity.level, end_us),
            related=entry.told.related if entry.told else [],
            corroboration=telling.corroboration,
            spread=telling.spread,
            evidence=case.evidence(),
            phrases=case.phrases(),
            entities=case.entities(),
        )
        entry.told = self._written(alert)
        if reading.surprise >= entry.worst.surprise:
            entry.worst = reading
        return entry.told

    def _resolve(self, told: Alert, end_us: int, reading: Reading, support: Support) -> Alert:
        """Return the end of an alert: the figures of its last window, and what was told of the surge."""
        now = self._alert(told.group, 0, end_us, reading, support)
        figures = (
            "window_start",
            "window_end",
            "updated_at",
            "seen",
            "surprise",
            "count",
            "negative",
            "curve",
            "volumes",
        )
        end = msgspec.structs.replace(
            told,
            status="resolved",
            ended_at=now.window_end,
            expected=told.expected if reading.expected is None else reading.expected,
            muted_by=self._muted_by(told, told.severity, end_us),
            provenance=now.provenance,
            **{name: getattr(now, name) for name in figures},
        )
        return self._written(end)

    def _severity(self, entry: OpenAlert, end_us: int, reading: Reading, telling: Telling) -> Severity:
        lasted = (end_us - entry.first_end_us) / self._length_us
        facts = Facts(reading.surprise, self._monitor.threshold, lasted, telling.corroboration, telling.spread)
        return judge(self._monitor.severity, facts, entry.told.severity if entry.told else None)

    def _muted_by(self, alert: Alert, severity: str, end_us: int) -> str | None:
        return muted_by(self._mutes, msgspec.structs.replace(alert, severity=severity), from_us(end_us))

    def _volume(self, reading: Reading) -> int:
        return reading.negative if self._monitor.measure == "negative_count" else reading.count

    def _alert(self, group: str, onset_us: int, end_us: int, reading: Reading, support: Support) -> Alert:
        """Return an alert with the figures of a window, not yet explained."""
        monitor, end = self._monitor, from_us(end_us)
        return Alert(
            fingerprint=fingerprint(monitor.name, group, onset_us),
            monitor=monitor.name,
            group=group,
            group_by=monitor.grouping,
            severity=monitor.severity,
            status="firing",
            onset=from_us(onset_us),
            window_start=from_us(end_us - self._length_us),
            window_end=end,
            updated_at=end,
            ended_at=None,
            measure=monitor.measure,
            seen=reading.seen,
            expected=0.0 if reading.expected is None else reading.expected,
            surprise=reading.surprise,
            count=reading.count,
            negative=reading.negative,
            evidence=[],
            annotations={},
            provenance=support.provenance(),
            curve=support.curve(group),
            volumes=support.volumes(group),
            incident=incident_of(monitor.grouping, group),
        )

    def _written(self, alert: Alert) -> Alert:
        alert = msgspec.structs.replace(alert, brief=write_brief(alert))
        return msgspec.structs.replace(alert, annotations=render(self._monitor, alert))


def _explain(case: Case, told: Alert | None) -> Telling:
    found = corroborate(case.spread)
    if told is None:
        return Telling(found, case.spread, case)
    corroboration = corroborate(case.spread, told.corroboration)
    return Telling(corroboration, case.spread if found == corroboration else told.spread, case)


def _has_grown(seen: float, worst: Reading) -> bool:
    """Say whether a measure moved away from what was expected by a quarter more than when it was last told.

    Counts and shares grow; net sentiment falls.
    """
    expected = worst.expected or 0.0
    return abs(seen - expected) >= GROWN_BY * abs(worst.seen - expected)


def render(monitor: Monitor, alert: Alert) -> dict[str, str]:
    """Fill in the annotations of a monitor's alert."""
    values: dict[str, Any] = {name: getattr(alert, name) for name in alert.__struct_fields__}
    values |= {name: getattr(alert, name).isoformat() for name in ("onset", "window_start", "window_end")}
    values["window"] = show_duration(monitor.window)
    values |= {"brief": alert.brief.en, "brief_zh": alert.brief.zh}
    return {name: template.format_map(values) for name, template in monitor.annotations.items()}


def abandon(alert: Alert, at_us: int) -> Alert:
    """Return the end of an alert whose monitor is gone or changed."""
    at = max(from_us(at_us), alert.updated_at)
    return msgspec.structs.replace(alert, status="resolved", updated_at=at, ended_at=at)
