"""Mutes: when they hold and what; wrong ones are errors that name their key."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from streamwatch.config import WatchConfig
from streamwatch.errors import ConfigError
from streamwatch.records import Alert
from streamwatch.schema_files import EXAMPLES
from streamwatch.watch import Watch
from streamwatch.watch.monitors import Monitors, parse_monitors
from streamwatch.watch.mutes import muted_by
from tests.scored_rows import START, Row, scored

MONITOR = """
[[monitor]]
name = "negative"
group_by = "entity"
window = "60m"
hop = "10m"
measure = "negative_count"
false_alarms = "1 an hour"
keep_firing_for = "30m"
"""
ALERT = EXAMPLES["alert.v1"]
assert isinstance(ALERT, Alert)


def parsed(mute: str) -> Monitors:
    return parse_monitors(f'{MONITOR}\n[[mute]]\nname = "quiet"\n{mute}', "m.toml")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("mute", "muted", "posted"),
    [
        (
            "start = 2026-01-05T14:00:00Z\nend = 2026-01-05T15:00:00Z",
            ["2026-01-05T14:00", "2026-01-05T14:59"],
            ["2026-01-05T13:59", "2026-01-05T15:00"],
        ),
        (
            'from = "09:00"\nto = "17:30"',
            ["2026-01-05T09:00", "2026-01-06T17:29"],
            ["2026-01-05T08:59", "2026-01-05T17:30"],
        ),
        (
            'from = "22:00"\nto = "06:00"\ndays = ["fri"]',
            ["2026-01-09T22:00", "2026-01-10T05:59"],
            ["2026-01-09T05:00", "2026-01-10T06:00", "2026-01-10T22:00"],
        ),
        ('days = ["sat", "sun"]', ["2026-01-10T00:00", "2026-01-11T23:59"], ["2026-01-09T23:59", "2026-01-12T00:00"]),
        (
            'from = "09:00"\nto = "10:00"\ntime_zone = "Asia/Shanghai"',
            ["2026-01-05T01:30"],
            ["2026-01-05T09:30"],
        ),
        (
            "start = 2026-01-05T00:00:00Z\nend = 2026-02-05T00:00:00Z\nfrom = 08:00:00\nto = 09:00:00",
            ["2026-01-06T08:30"],
            ["2026-03-06T08:30", "2026-01-06T09:30"],
        ),
    ],
)
def test_a_mute_holds_in_its_time(mute: str, muted: list[str], posted: list[str]) -> None:
    mutes = parsed(mute).mutes
    assert [muted_by(mutes, ALERT, at(text)) for text in muted] == ["quiet"] * len(muted)
    assert [muted_by(mutes, ALERT, at(text)) for text in posted] == [None] * len(posted)


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ("{}", True),
        ('{group = "AAPL"}', True),
        ('{group = "AA*", severity = "page"}', True),
        ('{group = "AA*", severity = "info"}', False),
        ('{monitor = "source-*"}', False),
    ],
)
def test_every_pattern_must_match(match: str, holds: bool) -> None:
    mutes = parsed(f'days = ["mon"]\nmatch = {match}').mutes
    assert (muted_by(mutes, ALERT, at("2026-01-05T12:00")) == "quiet") is holds


@pytest.mark.parametrize(
    ("mute", "key", "expected"),
    [
        ("", "mute[0]", "start and end, from and to, or days"),
        ("start = 2026-01-05T14:00:00Z", "mute[0].end", "a value beside mute[0].start"),
        ('to = "12:00"', "mute[0].from", "a value beside mute[0].to"),
        ("start = 2026-01-05T14:00:00Z\nend = 2026-01-05T14:00:00Z", "mute[0].end", "an instant after start"),
        ("start = 2026-01-05T14:00:00\nend = 2026-01-05T15:00:00Z", "mute[0].start", "an instant with its offset"),
        ('from = "9"\nto = "12:00"', "mute[0].from", "a time of day"),
        ('days = ["monday"]', "mute[0].days", "some of: mon, tue"),
        ('days = ["mon"]\nmatch = {company = "AAPL"}', "mute[0].match", "patterns by any of: monitor, group"),
        ('days = ["mon"]\ntime_zone = "Mars/Base"', "mute[0].time_zone", "a time zone such as"),
        ('days = ["mon"]\nuntil = 3', "mute[0].until", "one of: name, match"),
    ],
)
def test_a_wrong_mute_names_its_key(mute: str, key: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        parsed(mute)
    assert error.value.key == key
    assert expected in error.value.expected


def test_no_list_of_mutes_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"\[\[mute\]\] tables"):
        parse_monitors(f"mute = 3\n{MONITOR}", "m.toml")


def test_the_hash_of_the_file_changes_with_its_mutes_and_open_alerts_stay() -> None:
    without, quiet = parse_monitors(MONITOR, "m.toml"), parsed('days = ["mon"]')
    assert quiet.hash != without.hash
    watch = surge(without)
    (open_alert,) = watch.firing
    watch = Watch.restore(watch.snapshot(), quiet, WatchConfig())
    watch.heartbeat(0, at("2026-01-05T13:25"))
    (told,) = watch.close().alerts
    assert (told.fingerprint, told.status, told.muted_by) == (open_alert.fingerprint, "firing", "quiet")


def surge(rules: Monitors) -> Watch:
    """Return a watch in which an alert began at 13:10 on a Monday."""
    watch = Watch(rules, WatchConfig())
    rows = [
        *(Row(minute) for minute in range(0, 240, 5)),
        *(Row(240 + i / 10, sentiment="negative") for i in range(20)),
    ]
    watch.apply(scored(rows))
    watch.heartbeat(0, START.replace(hour=13, minute=10))
    watch.close()
    return watch


def test_an_alert_is_recorded_while_muted_and_told_when_that_ends() -> None:
    #  13:10 fires, muted ──▶ 13:30 the mute ends, told again
    rules = parsed("start = 2026-01-05T13:00:00Z\nend = 2026-01-05T13:30:00Z")
    watch = surge(rules)
    assert [alert.muted_by for alert in watch.firing] == ["quiet"]
    watch.heartbeat(0, at("2026-01-05T13:35"))
    told = [(alert.updated_at, alert.muted_by) for alert in watch.close().alerts]
    assert told == [(at("2026-01-05T13:30"), None)]
    assert msgspec.structs.asdict(watch.firing[0])["muted_by"] is None
