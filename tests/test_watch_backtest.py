"""A changed monitors file over stored posts: what it would have told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from streamwatch.errors import StoreError
from streamwatch.store.posts import OrderedPosts
from streamwatch.store.trial import Trial, try_monitors
from streamwatch.watch.backtest import backtest, warm_up
from streamwatch.watch.monitors import Monitors, load_monitors
from tests.scored_rows import START, monitors
from tests.stored_posts import CONFIG, RULES, Chain, stored_day

EAGER = monitors(measure='"negative_count"', min_count="5", keep_firing_for='"20m"', severity='"page"')
SLOW = monitors(measure='"negative_count"', min_count="50", keep_firing_for='"20m"')
"""Of the surge, the window that ends after ten minutes holds less than 50 posts, the next one more."""
DEAF = monitors(measure='"negative_count"', min_count="500")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return stored_day(tmp_path_factory.mktemp("store"))


def trial(
    day: Chain, changed: Monitors, current: Monitors = RULES, *, start: float | None = None, end: float | None = None
) -> Trial:
    times = [None if minute is None else START + timedelta(minutes=minute) for minute in (start, end)]
    return try_monitors(day.tables, changed, current, CONFIG, start=times[0], end=times[1])


def kinds(trial: Trial) -> list[str]:
    return [change.kind for change in trial.changes]


def test_it_tells_what_the_watch_told(day: Chain) -> None:
    posts = OrderedPosts(day.tables.scan("posts"), chunk_rows=60)
    until = START + timedelta(minutes=600)
    (told,) = backtest(posts, [RULES], CONFIG, partitions=posts.partitions, until=until)
    assert told == day.alerts


def test_the_same_monitors_change_nothing(day: Chain) -> None:
    found = trial(day, RULES)
    assert kinds(found) == ["same"]
    assert found.posts == day.tables.rows("posts")


def test_less_volume_tells_earlier_and_more_later(day: Chain) -> None:
    assert [(change.kind, change.minutes) for change in trial(day, EAGER, SLOW).changes] == [("earlier", -10)]
    assert [(change.kind, change.minutes) for change in trial(day, SLOW, EAGER).changes] == [("later", 10)]


def test_another_severity_is_a_change(day: Chain) -> None:
    assert kinds(trial(day, EAGER)) == ["severity"]


def test_deaf_monitors_lose_it(day: Chain) -> None:
    assert kinds(trial(day, DEAF)) == ["gone"]


def test_only_alerts_that_fire_in_the_time_count(day: Chain) -> None:
    assert kinds(trial(day, DEAF, start=200, end=300)) == ["gone"]
    assert kinds(trial(day, DEAF, start=300)) == []
    assert kinds(trial(day, DEAF, end=240)) == []


def test_an_alert_that_is_open_at_the_end_has_none(day: Chain) -> None:
    (change,) = trial(day, RULES, end=270).changes
    assert change.after is not None
    assert change.after.ended_at is None


def test_the_warm_up_is_read_and_judged(day: Chain) -> None:
    short = monitors(measure='"negative_count"', min_count="5", half_life='"15m"')
    found = trial(day, short, short, start=230, end=300)
    assert found.warm_up == timedelta(minutes=4 * 15 + 2 * 60)
    assert START + timedelta(minutes=50) <= found.first_post < START + timedelta(minutes=60)
    assert found.is_warm
    assert not trial(day, RULES, start=230).is_warm


def test_no_posts_in_the_time_is_an_error(day: Chain, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no posts in this time"):
        trial(day, RULES, start=100_000)
    with pytest.raises(StoreError, match="no posts in this time"):
        trial(Chain(tmp_path), RULES)


def test_the_longest_memory_says_how_long_the_warm_up_is() -> None:
    assert warm_up([RULES, load_monitors(None)]) == timedelta(days=4 * 21 + 2)
