"""Episodes: alerts from onset to end, and what changes between two lists of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

from streamwatch.records import Alert

Kind = Literal["new", "gone", "earlier", "later", "severity", "same"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Episode(Struct, frozen=True):
    """One alert, all its tellings together; `seen`, `expected` and `surprise` are of the worst of them."""

    fingerprint: str
    monitor: str
    group: str
    severity: str
    onset: datetime
    fired_at: datetime
    ended_at: datetime | None
    seen: float
    expected: float
    surprise: float

    def overlaps(self, other: Episode) -> bool:
        """Say whether both were going on at some instant."""
        starts, ends = (self.onset, other.onset), (self.ended_at, other.ended_at)
        return all(end is None or max(starts) < end for end in ends)


class Change(Struct, frozen=True):
    """What became of an alert: `before` under the old monitors, `after` under the new; None where it is not told."""

    before: Episode | None
    after: Episode | None

    @property
    def kind(self) -> Kind:
        """What changed; when the time changed, the severity may have changed too."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        if self.minutes:
            return "earlier" if self.minutes < 0 else "later"
        return "same" if self.before.severity == self.after.severity else "severity"

    @property
    def minutes(self) -> float:
        """How many minutes later it is told than before; negative: earlier."""
        if self.before is None or self.after is None:
            return 0.0
        return (self.after.fired_at - self.before.fired_at).total_seconds() / 60

    @property
    def episode(self) -> Episode:
        """The alert under the new monitors, else under the old."""
        found = self.after or self.before
        if found is None:
            message = "a change of nothing"
            raise ValueError(message)
        return found

    def fired_in(self, start: datetime | None, end: datetime | None) -> bool:
        """Say whether it is told first in `[start, end)`, before or after; None leaves a side open."""
        told = (found.fired_at for found in (self.before, self.after) if found)
        return any((start is None or at >= start) and (end is None or at < end) for at in told)


def episodes(alerts: Iterable[Alert]) -> list[Episode]:
    """Return the episodes of alerts that come in the order in which they were told, by when they fired.

    The severity is the last one told while the alert was firing.
    """
    told: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        told[alert.fingerprint].append(alert)
    return sorted(map(_episode, told.values()), key=lambda found: (found.fired_at, found.monitor, found.group))


def _episode(told: Sequence[Alert]) -> Episode:
    worst = max(told, key=lambda alert: alert.surprise)
    firing = [alert for alert in told if alert.status == "firing"] or told
    return Episode(
        fingerprint=told[0].fingerprint,
        monitor=told[0].monitor,
        group=told[0].group,
        severity=firing[-1].severity,
        onset=told[0].onset,
        fired_at=told[0].updated_at,
        ended_at=told[-1].ended_at,
        seen=worst.seen,
        expected=worst.expected,
        surprise=worst.surprise,
    )


def compare_episodes(before: Sequence[Episode], after: Sequence[Episode]) -> list[Change]:
    """Match episodes by monitor, group and time, one to one, and return what changes, by time.

    Two belong together if they overlap: each new one goes with the first old one that is left. If one alert becomes
    two, the first of them is the old one and the second is new.
    """
    left: dict[tuple[str, str], list[Episode]] = defaultdict(list)
    for old in before:
        left[old.monitor, old.group].append(old)
    changes = []
    for new in after:
        same_group = left[new.monitor, new.group]
        match = next((old for old in same_group if old.overlaps(new)), None)
        if match is not None:
            same_group.remove(match)
        changes.append(Change(match, new))
    changes += [Change(old, None) for rest in left.values() for old in rest]
    return sorted(changes, key=lambda change: (change.episode.fired_at, change.episode.monitor, change.episode.group))
