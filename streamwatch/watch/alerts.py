"""The life of alerts: pending, firing, calm, resolved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from streamwatch.records import Alert, CurvePoint, Provenance
from streamwatch.watch.brief import write_brief
from streamwatch.watch.corroboration import corroborate
from streamwatch.watch.evidence import Case
from streamwatch.watch.incidents import incident_of
from streamwatch.watch.instants import from_us, span_us
from streamwatch.watch.monitors import Monitor, show_duration
from streamwatch.watch.mutes import Mute, muted_by
from streamwatch.watch.severity import Facts, is_above, judge

END_PART = 0.5
"""A window is calm when its surprise is below this part of what opens an alert: hysteresis, against flapping."""
GROWN_BY = 1.25
"""An alert is told again when what is seen grew by this factor since it was last told."""
NEW_POSTS = 3
"""An alert is told again when so many of its evidence posts are new."""
FIGURES = (
    "window_start", "window_end", "updated_at", "seen", "surprise", "count", "negative", "curve", "volumes",
    "provenance",
)  # fmt: skip
"""What the end of an alert tells of its last window."""


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
        level: The surprise at which it opened.
        calm_since_us: End of the first of the windows that are calm now.
        told: What was last published of it.
        worst: The reading of the worst window that was published.
    """

    onset_us: int
    first_end_us: int
    level: float
    calm_since_us: int | None = None
    told: Alert | None = None
    worst: Reading = Reading()


class Moment(NamedTuple):
    """A window of one group that ends now, and what can be told of it."""

    group: str
    end_us: int
    reading: Reading
    support: Support


def fingerprint(monitor: str, group: str, onset_us: int) -> str:
    """Return the 16 hexadecimal digits that name an alert.

    >>> fingerprint("entity-negative", "AAPL", 0)
    '875bb90739bc6828'
    """
    name = msgspec.json.encode([monitor, group, onset_us])
    return hashlib.sha256(name).hexdigest()[:16]


class AlertBook:
    """The alerts of one monitor.

    An alert is pending from the first window that reaches the level of its instant (fdr.py), and fires at a window
    that reaches this level once that is `for` ago and none between was calm. It is told again when it grew, its
    evidence changed, independent voices corroborate or deny it, its severity rises, or a mute begins or ends. It ends
    when windows were calm (below half the level at which it opened, or below half of the least volume) for
    `keep_firing_for`, and is resolved once. A group of which nobody writes any more shows calm windows too, so
    silence ends an alert.

    Args:
        monitor: What is watched.
        mutes: Alerts that match one are recorded and not posted.
    """

    def __init__(self, monitor: Monitor, mutes: tuple[Mute, ...] = ()) -> None:
        self._monitor = monitor
        self._mutes = mutes
        self._length_us = span_us(monitor.window)
        self.open: dict[str, OpenAlert] = {}

    def is_surprising(self, reading: Reading, level: float) -> bool:
        """Say whether a window is worth an alert."""
        return self._volume(reading) >= self._monitor.min_count and reading.surprise >= level

    def is_calm(self, reading: Reading, level: float) -> bool:
        """Say whether a window shows nothing any more of a surge that opened at a level."""
        return self._volume(reading) < END_PART * self._monitor.min_count or reading.surprise < END_PART * level

    def step(self, end_us: int, readings: Mapping[str, Reading], level: float, support: Support) -> list[Alert]:
        """Take the windows that end at an instant, and return what is to be told, sorted by group.

        Args:
            end_us: End of the windows.
            readings: Of every group whose window is surprising or whose alert is open; none stands for silence.
            level: The surprise from which on alerts may open now.
            support: For the alerts that are told.
        """
        told = []
        for group in sorted({*readings, *self.open}):
            now = Moment(group, end_us, readings.get(group, Reading()), support)
            if group not in self.open and self.is_surprising(now.reading, level):
                self.open[group] = OpenAlert(end_us - self._length_us, end_us, level)
            alert = self._advance(self.open[group], now) if group in self.open else None
            if alert is not None:
                told.append(alert)
        return told

    def _advance(self, entry: OpenAlert, now: Moment) -> Alert | None:
        if self.is_calm(now.reading, entry.level):
            return self._calm(entry, now)
        entry.calm_since_us = None
        if entry.told is not None:
            return self._again(entry, entry.told, now)
        held = now.end_us - entry.first_end_us >= span_us(self._monitor.holds_for)
        if held and self.is_surprising(now.reading, entry.level):
            return self._tell(entry, self._draft(entry, now), now)
        return None

    def _calm(self, entry: OpenAlert, now: Moment) -> Alert | None:
        """Forget an alert that is pending, and end one that was told after a while."""
        if entry.told is None:
            del self.open[now.group]
            return None
        entry.calm_since_us = now.end_us if entry.calm_since_us is None else entry.calm_since_us
        if now.end_us - entry.calm_since_us < span_us(self._monitor.keep_firing_for):
            return None
        del self.open[now.group]
        return self._resolve(entry.told, now)

    def _again(self, entry: OpenAlert, told: Alert, now: Moment) -> Alert | None:
        """Tell an alert again if there is something new to say of it."""
        draft = self._draft(entry, now)
        worse = now.reading.surprise >= entry.worst.surprise
        if (
            draft.corroboration != told.corroboration
            or is_above(draft.severity, told.severity)
            or draft.muted_by != told.muted_by
            or (worse and _has_grown(now.reading.seen, entry.worst))
            or (worse and len({post.id for post in draft.evidence} - {post.id for post in told.evidence}) >= NEW_POSTS)
        ):
            return self._tell(entry, draft, now)
        return None

    def _draft(self, entry: OpenAlert, now: Moment) -> Alert:
        """Return an alert as far as it decides whether it is told."""
        case, told = now.support.case(now.group), entry.told
        found = corroborate(case.spread)
        corroboration = corroborate(case.spread, told.corroboration) if told else found
        spread = told.spread if told and found != corroboration else case.spread
        lasted = (now.end_us - entry.first_end_us) / self._length_us
        facts = Facts(now.reading.surprise, entry.level, lasted, corroboration, spread)
        severity = judge(self._monitor.severity, facts, told.severity if told else None)
        draft = msgspec.structs.replace(
            self._alert(entry.onset_us, now),
            severity=severity.level,
            reasons=severity.reasons,
            corroboration=corroboration,
            spread=spread,
            related=told.related if told else [],
            evidence=case.evidence(),
        )
        return self._muted(draft, now.end_us)

    def _tell(self, entry: OpenAlert, draft: Alert, now: Moment) -> Alert:
        case = now.support.case(now.group)
        entry.told = self._written(msgspec.structs.replace(draft, phrases=case.phrases(), entities=case.entities()))
        if now.reading.surprise >= entry.worst.surprise:
            entry.worst = now.reading
        return entry.told

    def _resolve(self, told: Alert, now: Moment) -> Alert:
        """Return the end of an alert: the figures of its last window, and what was told of the surge."""
        last = self._alert(0, now)
        end = msgspec.structs.replace(
            told,
            status="resolved",
            ended_at=last.window_end,
            expected=told.expected if now.reading.expected is None else now.reading.expected,
            **{name: getattr(last, name) for name in FIGURES},
        )
        return self._written(self._muted(end, now.end_us))

    def _muted(self, alert: Alert, end_us: int) -> Alert:
        return msgspec.structs.replace(alert, muted_by=muted_by(self._mutes, alert, from_us(end_us)))

    def _volume(self, reading: Reading) -> int:
        return reading.negative if self._monitor.counted == "negative" else reading.count

    def _alert(self, onset_us: int, now: Moment) -> Alert:
        """Return an alert with the figures of a window, not yet explained."""
        monitor, end, reading = self._monitor, from_us(now.end_us), now.reading
        return Alert(
            fingerprint=fingerprint(monitor.name, now.group, onset_us),
            monitor=monitor.name,
            group=now.group,
            group_by=monitor.grouping,
            severity=monitor.severity,
            status="firing",
            onset=from_us(onset_us),
            window_start=from_us(now.end_us - self._length_us),
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
            provenance=now.support.provenance(),
            curve=now.support.curve(now.group),
            volumes=now.support.volumes(now.group),
            incident=incident_of(monitor.grouping, now.group),
        )

    def _written(self, alert: Alert) -> Alert:
        alert = msgspec.structs.replace(alert, brief=write_brief(alert))
        return msgspec.structs.replace(alert, annotations=render(self._monitor, alert))


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
