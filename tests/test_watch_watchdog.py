"""The watchdog: an outage is never calm, and a quiet night is no outage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from prometheus_client import CollectorRegistry, Counter

from jobs.watchdog import read_facts
from streamwatch.config import WatchdogConfig
from streamwatch.records import Alert
from streamwatch.watch.sources import FORGOTTEN_AFTER_S, MOST_SOURCES, Sources, live_posts
from streamwatch.watch.watchdog import Facts, Watchdog
from tests.scored_rows import START, Row, scored

LEAST_S = 600.0
CALM = Facts(up={"SCORE-0": True}, lags={}, dead_letters={}, silent={})


def minute(count: float) -> datetime:
    return START + timedelta(minutes=count)


def office_hours(days: int) -> Sources:
    """Return sources of which `wire` brings a post a minute from 6 to 22 o'clock, and `forum` always."""
    sources = Sources()
    midnight = START.replace(hour=0)
    for each in range(days * 24 * 60):
        at = midnight + timedelta(minutes=each)
        posts = {"forum": 1} | ({"wire": 1} if 6 <= at.hour < 22 else {})
        sources.note(posts, at, LEAST_S)
    return sources


def silent(sources: Sources, at: datetime) -> list[str]:
    return [silence.source for silence in sources.silent(at, LEAST_S)]


def only(sources: Sources, name: str) -> Sources:
    return Sources({name: sources.known[name]})


def test_a_source_that_stops_by_day_is_silent_after_the_least_time_and_posts() -> None:
    forum, last = only(office_hours(1), "forum"), START.replace(hour=0) + timedelta(minutes=1_439)
    assert silent(forum, last + timedelta(minutes=9)) == []
    assert silent(forum, last + timedelta(minutes=19)) == [], "nineteen posts are too few"
    (silence,) = forum.silent(last + timedelta(minutes=30), LEAST_S)
    assert (silence.source, silence.seconds, round(silence.missed)) == ("forum", 1_800.0, 30)


def test_a_usual_night_is_no_silence_once_it_was_seen() -> None:
    wire = only(office_hours(3), "wire")
    midnight = START.replace(hour=0) + timedelta(days=3)
    assert silent(wire, midnight + timedelta(hours=5)) == []
    assert silent(wire, midnight + timedelta(hours=23)) == ["wire"], "a day without it is none"


def test_a_source_that_brings_all_at_once_is_silent_when_it_leaves_out_more_than_usual() -> None:
    bulletin = Sources()
    for hour in range(30):
        bulletin.note({"bulletin": 200}, START + timedelta(hours=hour), LEAST_S)
    last = START + timedelta(hours=29)
    assert silent(bulletin, last + timedelta(minutes=59)) == []
    assert silent(bulletin, last + timedelta(hours=3)) == ["bulletin"]


def test_an_outage_does_not_become_usual() -> None:
    forum, back = only(office_hours(2), "forum"), START.replace(hour=0) + timedelta(days=2, hours=2)
    assert silent(forum, back) == ["forum"]
    for each in range(2_880):
        forum.note({"forum": 1}, back + timedelta(minutes=each), LEAST_S)
    assert silent(forum, back + timedelta(minutes=2_880 + 60)) == ["forum"]


def test_rare_sources_are_never_silent_and_dead_ones_are_forgotten() -> None:
    sources = Sources()
    for day in range(5):
        sources.note({"monthly": 1}, START + timedelta(days=day), LEAST_S)
    assert silent(sources, START + timedelta(days=8)) == []
    assert silent(sources, START + timedelta(days=4, seconds=FORGOTTEN_AFTER_S + 1)) == []
    assert sources.known == {}


def test_memory_is_bounded_and_survives_msgpack() -> None:
    sources = Sources()
    for number in range(MOST_SOURCES + 5):
        sources.note({f"s{number}": 1 + number}, START, LEAST_S)
    assert len(sources.known) == MOST_SOURCES
    assert "s0" not in sources.known
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sources), type=Sources) == sources


def test_only_posts_of_now_count() -> None:
    batch = scored([Row(0, source="wire"), Row(50, source="wire"), Row(55, source="forum")])
    assert live_posts(batch, minute(10)) == {"wire": 1, "forum": 1}


def barked(watchdog: Watchdog, facts: Facts, at: float) -> list[tuple[str, str, str]]:
    return [(alert.monitor, alert.group, alert.status) for alert in watchdog.look(facts, minute(at))]


def test_a_silent_source_is_one_alert_to_its_end() -> None:
    watchdog = Watchdog(WatchdogConfig())
    facts = CALM._replace(silent={"wire": (900.0, 40.0)})
    (alert,) = watchdog.look(facts, minute(0))
    assert alert.brief.en == "wire has brought nothing for 15 minutes, where about 40 posts were usual."
    assert "约有40条" in alert.brief.zh
    assert isinstance(msgspec.json.decode(msgspec.json.encode(alert), type=Alert), Alert)
    assert barked(watchdog, facts, 1) == []
    assert barked(watchdog, CALM, 1.5) == [], "it may come back at once"
    assert barked(watchdog, CALM, 2.5) == [("StreamwatchSourceSilent", "wire", "resolved")]
    assert watchdog.firing == []


def test_while_watch_is_down_a_silence_does_not_end() -> None:
    watchdog = Watchdog(WatchdogConfig())
    watchdog.look(CALM._replace(silent={"wire": (900.0, 40.0)}), minute(0))
    down = CALM._replace(up={"WATCH": False}, silent=None)
    assert barked(watchdog, down, 5) == []
    assert barked(watchdog, down, 7) == [("StreamwatchStageDown", "WATCH", "firing")]
    assert [alert.group for alert in watchdog.firing] == ["wire", "WATCH"]


def test_a_lag_that_grows_is_told_and_one_that_stands_or_shrinks_is_not() -> None:
    def story(lags: list[int]) -> list[str]:
        watchdog = Watchdog(WatchdogConfig(lag_messages=1_000, lag_grows_for_s=300.0))
        facts = [CALM._replace(lags={("score", "posts"): lag}) for lag in lags]
        return [status for each, one in enumerate(facts) for _, _, status in barked(watchdog, one, each)]

    assert story([100 * each for each in range(20)]) == ["firing"]
    assert story([5_000] * 20) == []
    assert story([5_000 - 100 * each for each in range(20)]) == []
    assert story([10 * each for each in range(20)]) == [], "too few to matter"
    assert story([500 * each for each in range(12)] + [100] * 5) == ["firing", "resolved"]


def test_dead_letters_are_counted_over_a_time_and_through_restarts() -> None:
    watchdog = Watchdog(WatchdogConfig(dead_letters=10, dead_letters_for_s=300.0))

    def look(at: float, letters: float) -> list[tuple[str, str, str]]:
        return barked(watchdog, CALM._replace(dead_letters={"SCORE-0": letters}), at)

    assert look(0, 4) == []
    assert look(1, 9) == []
    assert look(2, 3) == [], "it started again"
    assert look(3, 13) == [("StreamwatchDeadLetters", "SCORE-0", "firing")]
    assert look(9, 13) == [("StreamwatchDeadLetters", "SCORE-0", "resolved")]


def test_facts_are_read_from_what_the_supervisor_knows() -> None:
    registry = CollectorRegistry()
    Counter("streamwatch_score_dead_letters", "-", registry=registry).inc(3)
    Counter("streamwatch_score_posts", "-", registry=registry).inc(9)
    facts = read_facts(
        {"SCORE-0": {"state": "up"}, "WATCH": {"state": "waiting"}},
        {"SCORE-0": list(registry.collect())},
        [{"stage": "score", "stream": "posts", "lag": 7}],
    )
    assert facts == Facts({"SCORE-0": True, "WATCH": False}, {("score", "posts"): 7}, {"SCORE-0": 3.0}, None)


def test_the_clock_is_given() -> None:
    assert Watchdog(WatchdogConfig()).look(CALM, datetime(1999, 1, 1, tzinfo=UTC)) == []
