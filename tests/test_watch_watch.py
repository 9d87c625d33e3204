"""The watch as its stage uses it: groups, watermark, late rows, idle partitions, gaps, snapshots."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streamwatch.config import WatchConfig
from streamwatch.errors import StoreError
from streamwatch.records import Window
from streamwatch.watch import Monitors, Watch
from streamwatch.watch.monitors import parse_monitors
from tests.scored_rows import START, Row, monitors, scored

CONFIG = WatchConfig(allowed_lateness_s=60)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def windows_of(rows: list[Row], watched: Monitors) -> list[Window]:
    watch = Watch(watched, CONFIG)
    watch.apply(scored(rows))
    watch.heartbeat(0, START + timedelta(days=1))
    return watch.close().windows


def test_a_post_counts_once_for_each_distinct_entity() -> None:
    rows = [Row(1, ("AAPL", "IBM", "AAPL"), "negative"), Row(2, ("IBM",)), Row(3, ())]
    last = [window for window in windows_of(rows, monitors()) if window.window_end == START + minutes(10)]
    assert [(window.group, window.count, window.negative) for window in last] == [("AAPL", 1, 1), ("IBM", 2, 1)]


def test_an_entity_has_its_own_verdict() -> None:
    both = Row(1, ("AAPL", "IBM"), "positive", entity_sentiments=("positive", "negative"))
    last = [window for window in windows_of([both], monitors()) if window.window_end == START + minutes(10)]
    assert [(window.group, window.negative) for window in last] == [("AAPL", 0), ("IBM", 1)]
    of_all = windows_of([both], monitors(group_by='"all"'))
    assert {window.negative for window in of_all} == {0}, "the post as a whole is positive"


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ('"all"', {"all"}),
        ('"topic"', {"earnings", "macro"}),
        ('"source"', {"wire"}),
        ('"lang"', {"en", "zh"}),
        ('"intent"', {"inform"}),
        ('["lang", "topic"]', {"en|earnings", "zh|macro"}),
        ('["entity", "topic"]', {"AAPL|earnings"}),
    ],
)
def test_groups(group_by: str, groups: set[str]) -> None:
    rows = [Row(1), Row(2, (), topic="macro", lang="zh")]
    assert {window.group for window in windows_of(rows, monitors(group_by=group_by))} == groups


def test_a_row_is_late_once_its_partition_passed_its_pane() -> None:
    #  pane [0, 10) closes at 10 + 1 min of lateness:  12 ▶ watermark 11 ▶ 9 is late, 10 is not
    watch = Watch(monitors(), CONFIG)
    watch.apply(scored([Row(5), Row(12), Row(9), Row(10)]))
    assert watch.late_posts == 1
    watch.apply(scored([Row(9)], partition=1))
    assert watch.late_posts == 1, "another partition has its own watermark"
    watch.heartbeat(0, START + minutes(30))
    watch.heartbeat(1, START + minutes(30))
    first = watch.close().windows[0]
    assert (first.window_end, first.count) == (START + minutes(10), 2)


def test_a_partition_that_gave_nothing_holds_windows_open_until_it_is_idle() -> None:
    watch = Watch(monitors(), CONFIG)
    watch.assign([0, 1])
    watch.apply(scored([Row(5), Row(25)]))
    assert watch.close().windows == []
    assert watch.watermark is None
    assert len(watch.close(idle=[1]).windows) == 2
    assert watch.watermark == START + minutes(24)


def test_when_all_are_idle_the_idle_time_closes_windows() -> None:
    watch = Watch(monitors(), CONFIG)
    watch.apply(scored([Row(5)]))
    closed = watch.close(idle=[0], idle_time=START + minutes(21))
    assert [window.window_end for window in closed.windows] == [START + minutes(10), START + minutes(20)]
    watch.apply(scored([Row(19)], first_offset=1))
    assert watch.late_posts == 1, "the stage passed its pane"


def test_a_gap_of_years_costs_nothing() -> None:
    year = 365 * 24 * 60
    windows = windows_of([Row(0)], monitors()) and windows_of([Row(-20 * year), Row(0)], monitors())
    assert len(windows) == 12
    assert windows[5].window_end < windows[6].window_start


def test_keys_that_stay_quiet_are_forgotten() -> None:
    watch = Watch(monitors(half_life='"1d"'), CONFIG)
    size = 0
    for day in range(30):
        watch.apply(scored([Row(day * 1440, (f"C{day:02d}", "IBM"))], first_offset=day))
        watch.close()
        if day == 11:
            size = len(watch.snapshot())
    assert watch.open_groups <= 6
    assert watch.pane_rows <= 16
    assert len(watch.snapshot()) < 1.1 * size, "nothing of them stays"


@pytest.mark.parametrize("measure", ['"volume"', '"sources"'])
def test_keys_may_be_forgotten_while_later_panes_are_on_their_way_in(measure: str) -> None:
    rules = monitors(half_life='"1d"', measure=measure)
    days = [scored([Row(day * 1440, (f"C{day % 17:02d}", "IBM"))], first_offset=day) for day in range(30)]
    by_day, by_week = Watch(rules, CONFIG), Watch(rules, CONFIG)
    expected, found = [], []
    for day, batch in enumerate(days):
        by_day.apply(batch)
        expected += by_day.close().windows
        by_week.apply(batch)
        if day % 7 == 6:
            found += by_week.close().windows
    assert found + by_week.close().windows == expected
    assert by_week.open_groups == by_day.open_groups


def windows_of_days(days: list[tuple[str, ...]], *, restart: bool) -> list[Window]:
    """Return the windows of days with one post each about some companies."""
    rules, closed = monitors(half_life='"1d"', measure='"sources"'), []
    watch = Watch(rules, CONFIG)
    for day, companies in enumerate(days):
        watch.apply(scored([Row(day * 1440, companies)], first_offset=day))
        closed += watch.close().windows
        if restart:
            watch = Watch.restore(watch.snapshot(), rules, CONFIG)
    return closed


def test_a_key_that_was_forgotten_comes_back_as_a_new_one_and_a_restart_does_not_show() -> None:
    quiet: list[tuple[str, ...]] = [("IBM",)] * 9
    back = windows_of_days([("ACME", "IBM"), *quiet, ("IBM", "ACME"), ("IBM",)], restart=False)
    assert back == windows_of_days([("ACME", "IBM"), *quiet, ("IBM", "ACME"), ("IBM",)], restart=True)
    new = windows_of_days([("IBM",), *quiet, ("IBM", "ACME"), ("IBM",)], restart=False)
    last = START + timedelta(days=10)
    of_acme, of_new = ([w for w in found if w.group == "ACME" and w.window_end > last] for found in (back, new))
    assert [(w.window_end, w.count) for w in of_acme] == [(w.window_end, w.count) for w in of_new]
    assert len(of_acme) == 6


def test_gauges() -> None:
    watch = Watch(monitors(), CONFIG)
    watch.apply(scored([Row(1), Row(2, ("IBM",)), Row(30)]))
    watch.close()
    assert watch.watermark == START + minutes(29)
    assert (watch.open_groups, watch.pane_rows, watch.firing) == (2, 3, [])


def test_a_changed_monitor_starts_after_every_row_seen_and_the_others_go_on() -> None:
    kept, old, new = (
        monitors(name=name, hop=hop).monitors[0]
        for name, hop in (('"kept"', '"10m"'), ('"changed"', '"10m"'), ('"changed"', '"20m"'))
    )
    watch = Watch(Monitors((kept, old)), CONFIG)
    watch.apply(scored([Row(5), Row(35)]))
    watch.close()
    watch = Watch.restore(watch.snapshot(), Monitors((kept, new)), CONFIG)
    watch.apply(scored([Row(45), Row(65)], first_offset=2))
    watch.heartbeat(0, START + minutes(200))
    windows = watch.close().windows
    counts = {(window.monitor, window.window_end): window.count for window in windows}
    assert counts["kept", START + minutes(60)] == 3
    starts = [window.window_start for window in windows if window.monitor == "changed"]
    assert min(starts) == START + minutes(40)
    assert counts["changed", START + minutes(100)] == 2


def test_an_open_alert_of_a_monitor_that_is_gone_is_resolved() -> None:
    rules = monitors(min_count="3")
    watch = Watch(rules, CONFIG)
    watch.apply(scored([*(Row(at, ("IBM",)) for at in range(0, 240, 20)), *(Row(240 + i / 10) for i in range(60))]))
    watch.heartbeat(0, START + minutes(250))
    (fired,) = watch.close().alerts
    assert (fired.group, fired.status) == ("AAPL", "firing")
    watch = Watch.restore(watch.snapshot(), monitors(name='"other"'), CONFIG)
    (ended,) = watch.close().alerts
    assert (ended.fingerprint, ended.status) == (fired.fingerprint, "resolved")
    assert watch.close().alerts == []


def test_bytes_that_are_no_snapshot_are_refused() -> None:
    with pytest.raises(StoreError, match="not a snapshot"):
        Watch.restore(b"\x81", monitors(), CONFIG)
    with pytest.raises(StoreError, match="not a snapshot"):
        Watch.restore(
            b"",
            parse_monitors('[[monitor]]\nname="a"\ngroup_by="all"\nwindow="1h"\nhop="1h"\nmeasure="volume"', "m"),
            CONFIG,
        )
