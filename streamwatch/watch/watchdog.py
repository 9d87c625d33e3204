"""The watchdog: a silent source, a growing lag, dead letters or a stage that is down is an alert too, never calm."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from streamwatch.config import WatchdogConfig
from streamwatch.records import Alert, Brief, Provenance
from streamwatch.watch.alerts import fingerprint
from streamwatch.watch.instants import to_us

SILENT, LAGS, LETTERS, DOWN = (
    f"Streamwatch{what}" for what in ("SourceSilent", "LagGrows", "DeadLetters", "StageDown")
)
INCIDENT = "streamwatch"
ENDS_AFTER = timedelta(seconds=60)
"""A complaint that is not heard for so long is over."""


class Complaint(NamedTuple):
    """Something that is wrong with the monitor itself, now.

    Attributes:
        name: The `alertname`.
        group: Of what: a source, or a stage with its stream.
        group_by: What the group is.
        severity: How much it matters.
        seen: What was seen, in the unit of `measure`.
        measure: What `seen` counts.
        en: In one sentence.
        zh: The same in Chinese.
    """

    name: str
    group: str
    group_by: str
    severity: str
    seen: float
    measure: str
    en: str
    zh: str


class Facts(NamedTuple):
    """How the monitor is.

    Attributes:
        up: By stage.
        lags: Messages to do, by stage and stream.
        dead_letters: Counted by stage since it started.
        silent: By source, its silence in seconds and the posts that it would have brought; None: not known now.
    """

    up: Mapping[str, bool]
    lags: Mapping[tuple[str, str], int]
    dead_letters: Mapping[str, float]
    silent: Mapping[str, tuple[float, float]] | None


class Watchdog:
    """Turn what is wrong into alerts: one for each thing from the first time it is heard of to its end.

    Args:
        config: When something is wrong.
    """

    def __init__(self, config: WatchdogConfig) -> None:
        self._config = config
        self._lags: dict[tuple[str, str], deque[tuple[datetime, int]]] = {}
        self._letters: dict[str, deque[tuple[datetime, float]]] = {}
        self._down_since: dict[str, datetime] = {}
        self._open: dict[tuple[str, str], tuple[datetime, Alert]] = {}

    @property
    def firing(self) -> list[Alert]:
        """The alerts that are firing, by name and group."""
        return [alert for _, (_, alert) in sorted(self._open.items())]

    def look(self, facts: Facts, at: datetime) -> list[Alert]:
        """Return the alerts that begin or end now.

        Args:
            facts: How the monitor is.
            at: Now; never before the last call.
        """
        complaints = [*self._down(facts, at), *self._growing(facts, at), *self._set_aside(facts, at)]
        complaints += [_silence(source, *silence) for source, silence in (facts.silent or {}).items()]
        heard = {(complaint.name, complaint.group): complaint for complaint in complaints}
        if facts.silent is None:
            self._open |= {key: (at, alert) for key, (_, alert) in self._open.items() if key[0] == SILENT}
        return [*self._begin(heard, at), *self._end(at)]

    def _begin(self, heard: Mapping[tuple[str, str], Complaint], at: datetime) -> list[Alert]:
        begun = []
        for key, complaint in heard.items():
            if key not in self._open:
                begun.append(_alert(complaint, at))
            alert = self._open[key][1] if key in self._open else begun[-1]
            self._open[key] = (at, alert)
        return begun

    def _end(self, at: datetime) -> list[Alert]:
        over = [key for key, (heard_at, _) in self._open.items() if at - heard_at >= ENDS_AFTER]
        alerts = [self._open.pop(key)[1] for key in over]
        return [msgspec.structs.replace(alert, status="resolved", updated_at=at, ended_at=at) for alert in alerts]

    def _down(self, facts: Facts, at: datetime) -> Iterable[Complaint]:
        for stage, up in facts.up.items():
            if up:
                self._down_since.pop(stage, None)
                continue
            seconds = (at - self._down_since.setdefault(stage, at)).total_seconds()
            if seconds >= self._config.down_after_s:
                en, zh = f"{stage} has been down for {seconds:.0f} seconds.", f"{stage} 已停止{seconds:.0f}秒。"
                yield Complaint(DOWN, stage, "stage", "critical", seconds, "seconds", en, zh)

    def _growing(self, facts: Facts, at: datetime) -> Iterable[Complaint]:
        """Complain of lags that were smaller at any time of the first half of the last minutes than ever after it."""
        span = timedelta(seconds=self._config.lag_grows_for_s)
        for (stage, stream), lag in facts.lags.items():
            seen = self._lags.setdefault((stage, stream), deque())
            seen.append((at, lag))
            while len(seen) > 1 and seen[1][0] <= at - span:
                seen.popleft()
            first = [value for when, value in seen if when <= at - span / 2]
            second = [value for when, value in seen if when > at - span / 2]
            whole = at - seen[0][0] >= span
            if whole and lag >= self._config.lag_messages and first and min(second) > max(first):
                en = f"{stage} falls behind in {stream}: {lag} messages wait, {seen[0][1]} did {_minutes(span)} ago."
                zh = f"{stage} 在 {stream} 上落后：{lag}条消息待处理，{_minutes(span, zh=True)}前为{seen[0][1]}条。"
                yield Complaint(LAGS, f"{stage} {stream}", "stage", "warning", lag, "messages", en, zh)

    def _set_aside(self, facts: Facts, at: datetime) -> Iterable[Complaint]:
        span = timedelta(seconds=self._config.dead_letters_for_s)
        for stage, total in facts.dead_letters.items():
            seen = self._letters.setdefault(stage, deque([(at, 0.0)]))
            if total < seen[-1][1]:
                seen.clear()
                seen.append((at, 0.0))
            seen.append((at, total))
            while len(seen) > 1 and seen[1][0] <= at - span:
                seen.popleft()
            fresh = total - seen[0][1]
            if fresh >= self._config.dead_letters:
                en = f"{stage} set {fresh:.0f} messages aside as dead letters within {_minutes(span)}."
                zh = f"{stage} 在{_minutes(span, zh=True)}内有{fresh:.0f}条消息进入死信。"
                yield Complaint(LETTERS, stage, "stage", "warning", fresh, "messages", en, zh)


def _silence(source: str, seconds: float, missed: float) -> Complaint:
    en = f"{source} has brought nothing for {seconds / 60:.0f} minutes, where about {missed:.0f} posts were usual."
    zh = f"{source} 已有{seconds / 60:.0f}分钟没有新帖，通常约有{missed:.0f}条。"
    return Complaint(SILENT, source, "source", "warning", seconds, "seconds", en, zh)


def _alert(complaint: Complaint, at: datetime) -> Alert:
    return Alert(
        fingerprint=fingerprint(complaint.name, complaint.group, to_us(at)),
        monitor=complaint.name,
        group=complaint.group,
        group_by=complaint.group_by,
        severity=complaint.severity,
        status="firing",
        onset=at,
        window_start=at,
        window_end=at,
        updated_at=at,
        ended_at=None,
        measure=complaint.measure,
        seen=complaint.seen,
        expected=0.0,
        surprise=0.0,
        count=0,
        negative=0,
        evidence=[],
        annotations={"summary": complaint.en, "summary_zh": complaint.zh},
        provenance=Provenance(model_version="", monitors_hash="", watermark=at, source_offsets={}),
        reasons=[complaint.en],
        brief=Brief(en=complaint.en, zh=complaint.zh),
        incident=INCIDENT,
    )


def _minutes(span: timedelta, *, zh: bool = False) -> str:
    minutes = span.total_seconds() / 60
    return f"{minutes:g}分钟" if zh else f"{minutes:g} minutes"
