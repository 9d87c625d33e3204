"""SIGKILL at random moments, under load: the tables end up as if nothing had happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.crash import Outcome, differences, run_posts
from streamwatch.ingest.marketday import market_day
from streamwatch.records import Post

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

KILLS = 20
POSTS = 1_500
DAY = (datetime.now(UTC) - timedelta(days=4)).date()


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    return list(market_day(DAY, posts=POSTS, seed=9).posts)


@pytest.fixture(scope="module")
def calm(posts: list[Post], kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run that nobody disturbs."""
    return run_posts(tmp_path_factory.mktemp("calm"), posts, kafka_home=kafka_home)


def test_the_calm_run_is_worth_comparing_with(calm: Outcome) -> None:
    assert calm.posts.height == POSTS
    assert calm.windows.height > 1_000
    assert calm.alerts.height >= 1


def test_twenty_kills_change_nothing(calm: Outcome, posts: list[Post], kafka_home: Path, tmp_path: Path) -> None:
    crashed = run_posts(tmp_path / "crashed", posts, kills=KILLS, seed=11, kafka_home=kafka_home)
    assert crashed.kills.total() == KILLS
    assert len(crashed.kills) >= 5, crashed.kills
    assert differences(calm, crashed) == []


def test_differences_are_found(calm: Outcome) -> None:
    doubled = calm._replace(posts=calm.posts.vstack(calm.posts.head(1)))
    lost = calm._replace(windows=calm.windows.head(-1))
    other = calm._replace(alerts=calm.alerts.with_columns(seen=calm.alerts["seen"] + 1))
    assert differences(calm, calm) == []
    assert differences(calm, doubled) == ["posts: 1 rows twice"]
    assert differences(calm, lost) == [f"windows: 1 rows lost, 0 rows too many of {calm.windows.height}"]
    assert differences(calm, other) == [f"alerts: seen differs in {calm.alerts.height} rows"]
