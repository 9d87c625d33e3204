"""Mutes: times at which some alerts are recorded and not posted, such as a maintenance or the nights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct, field

from streamwatch.errors import ConfigError
from streamwatch.records import Alert, ShortText
from streamwatch.watch.declared import convert

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MATCHED = ("monitor", "group", "group_by", "severity", "incident")
"""What a mute may match."""


class Mute(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Alerts that match are muted from `start` until `end`, or in some hours of some days.

    Attributes:
        name: Stands in the alerts that it mutes.
        match: Patterns such as `AAPL*` by field of an alert; every one must match, and none matches all alerts.
        start: When it begins; the end is not in it.
        end: When it ends.
        days: On which days the hours begin; without them every day.
        from_time: When the hours begin (`from` in the file).
        to_time: When they end (`to` in the file): on the next day if that is not after their begin.
        time_zone: In which the hours are told.
    """

    name: ShortText
    match: dict[Literal["monitor", "group", "group_by", "severity", "incident"], str] = field(default_factory=dict)
    start: Annotated[datetime, Meta(tz=True)] | None = None
    end: Annotated[datetime, Meta(tz=True)] | None = None
    days: tuple[Day, ...] = ()
    from_time: time | None = field(default=None, name="from")
    to_time: time | None = field(default=None, name="to")
    time_zone: str = "UTC"

    def holds(self, alert: Alert, at: datetime) -> bool:
        """Say whether an alert is muted at an instant of event time."""
        return self.covers(at) and all(
            fnmatchcase(str(getattr(alert, name)), pattern) for name, pattern in self.match.items()
        )

    def covers(self, at: datetime) -> bool:
        """Say whether an instant lies in it."""
        after, before = self.start is None or at >= self.start, self.end is None or at < self.end
        return after and before and self._in_hours(at)

    def _in_hours(self, at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(self.time_zone))
        start, end = self.from_time or time.min, self.to_time or time.min
        if start < end:
            return self._on(local) and start <= local.time() < end
        today = self._on(local) and local.time() >= start
        return today or (self._on(local - timedelta(days=1)) and local.time() < end)

    def _on(self, local: datetime) -> bool:
        return not self.days or DAYS[local.weekday()] in self.days


def muted_by(mutes: Sequence[Mute], alert: Alert, at: datetime) -> str | None:
    """Return the name of the first mute that holds an alert at an instant, or None."""
    return next((mute.name for mute in mutes if mute.holds(alert, at)), None)


def parse_mutes(rules: object, place: str) -> tuple[Mute, ...]:
    """Read the `[[mute]]` tables of a monitors file.

    Raises:
        ConfigError: Something in one is wrong; it says what and where.
    """
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigError(place, "mute", rules, "[[mute]] tables")
    return tuple(_mute(rule, f"mute[{index}]", place) for index, rule in enumerate(rules))


def _mute(rule: dict[str, Any], key: str, place: str) -> Mute:
    values = dict(rule)
    for name in ("from", "to"):
        if name in rule:
            values[name] = _time_of_day(rule[name], f"{key}.{name}", place)
    expected = {
        "match": f"patterns by any of: {', '.join(MATCHED)}",
        "start": "an instant with its offset, such as 2026-01-10T22:00:00Z",
        "end": "an instant with its offset, such as 2026-01-11T04:00:00Z",
        "days": f"some of: {', '.join(DAYS)}",
    }
    mute = convert(values, Mute, rule=rule, key=key, place=place, expected=expected)
    _check(mute, rule, key, place)
    return mute


def _check(mute: Mute, rule: dict[str, Any], key: str, place: str) -> None:
    """Check what one value alone cannot show."""
    for first, second in (("start", "end"), ("from", "to")):
        if (first in rule) != (second in rule):
            missing, other = (second, first) if first in rule else (first, second)
            raise ConfigError(place, f"{key}.{missing}", "nothing", f"a value beside {key}.{other}")
    if not rule.keys() & {"start", "from", "days"}:
        raise ConfigError(place, key, "no time", "start and end, from and to, or days")
    if mute.start and mute.end and mute.end <= mute.start:
        raise ConfigError(place, f"{key}.end", rule["end"], "an instant after start")
    try:
        ZoneInfo(mute.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(place, f"{key}.time_zone", mute.time_zone, "a time zone such as Asia/Shanghai") from error


def _time_of_day(value: object, key: str, place: str) -> time:
    if isinstance(value, time):
        return value
    try:
        return time.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ConfigError(place, key, value, 'a time of day such as "22:00"') from error
