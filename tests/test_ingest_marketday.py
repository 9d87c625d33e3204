from __future__ import annotations

import tomllib
from collections import Counter
from datetime import UTC, date, datetime
from importlib import resources
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pytest

from streamwatch.codec import PostDecoder
from streamwatch.ingest.entities import Gazetteer
from streamwatch.ingest.marketday import MarketDay, market_day
from streamwatch.ingest.novelty import novelty
from streamwatch.records import Post

DAY = date(2026, 1, 5)


class Message(NamedTuple):
    value: bytes | None
    offset: int
    timestamp: int
    headers: list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def day() -> MarketDay:
    return market_day(DAY, posts=4_000)


@pytest.fixture(scope="module")
def posts(day: MarketDay) -> list[Post]:
    return list(day.posts)


@pytest.fixture(scope="module")
def groups(posts: list[Post]) -> list[set[str | None]]:
    texts = pa.array([post.text for post in posts])
    tickers = pa.array([post.tickers for post in posts], pa.list_(pa.string()))
    return [
        {entity["ticker"] for entity in row} for row in Gazetteer.load().entities(texts, tickers).entities.to_pylist()
    ]


def test_the_same_seed_gives_the_same_day(posts: list[Post]) -> None:
    assert list(market_day(DAY, posts=4_000).posts) == posts
    assert list(market_day(DAY, posts=4_000, seed=8).posts) != posts


def test_posts_come_in_event_time_order_within_the_day(posts: list[Post]) -> None:
    instants = [post.published_at for post in posts]
    assert len(posts) == 4_000
    assert instants == sorted(instants)
    assert instants[0] >= datetime(2026, 1, 5, 6, tzinfo=UTC)
    assert instants[-1] < datetime(2026, 1, 5, 18, tzinfo=UTC)
    assert len({post.id for post in posts}) == len(posts)


def test_every_post_is_a_valid_post(posts: list[Post]) -> None:
    messages = [Message(msgspec.json.encode(post), number, 0, []) for number, post in enumerate(posts)]
    decoded = PostDecoder(max_future_s=0).decode("posts", 0, messages, datetime(2026, 1, 6, tzinfo=UTC))
    assert decoded.dead == []
    assert decoded.batch.column("text").to_pylist() == [post.text for post in posts]


def test_no_hole_of_a_template_stays_open(posts: list[Post]) -> None:
    assert not [post.text for post in posts if "{" in post.text or "}" in post.text]


def test_the_day_is_as_mixed_as_a_real_one(posts: list[Post], groups: list[set[str | None]]) -> None:
    langs = Counter(post.lang for post in posts)
    hours = Counter(post.published_at.hour for post in posts)
    known = {post.id for post in posts}
    assert len({post.source for post in posts}) >= 8
    assert 0.2 < langs["zh"] / len(posts) < 0.4
    assert len({group for row in groups for group in row}) >= 25
    assert hours[14] > hours[11]
    assert any(post.text.startswith("RT @") for post in posts)
    assert {post.reply_to for post in posts} - {None} <= known
    assert any(post.reply_to for post in posts)
    assert len({post.text for post in posts}) > 0.8 * len(posts)
    assert len(set(novelty(pa.array([post.text for post in posts])).to_pylist())) < 0.95 * len(posts)


def test_the_crisis_breaks_out_when_the_script_says(
    day: MarketDay, posts: list[Post], groups: list[set[str | None]]
) -> None:
    about = [post for post, group in zip(posts, groups, strict=True) if day.crisis.ticker in group]
    during = [post for post in about if day.crisis.start <= post.published_at < day.crisis.end]
    quiet = [post for post in about if post.published_at < day.crisis.start]
    quiet_hours = (day.crisis.start - posts[0].published_at).total_seconds() / 3600
    assert day.crisis.start == datetime(2026, 1, 5, 13, 10, tzinfo=UTC)
    assert during[0].published_at == day.crisis.start
    assert during[0].source == "bull-pit-forum"
    assert len(during) > 10 * len(quiet) / quiet_hours
    assert {post.lang for post in during} == {"en", "zh"}
    assert 0.1 < len(during) / len(posts) < 0.2


def test_the_decoy_is_loud_about_another_company(
    day: MarketDay, posts: list[Post], groups: list[set[str | None]]
) -> None:
    about = [post for post, group in zip(posts, groups, strict=True) if day.decoy.ticker in group]
    during = [post for post in about if day.decoy.start <= post.published_at < day.decoy.end]
    assert day.decoy.ticker != day.crisis.ticker
    assert len(during) > 0.05 * len(posts)


def test_companies_are_known_to_the_gazetteer_in_both_languages() -> None:
    script = tomllib.loads(resources.files("streamwatch.ingest").joinpath("marketday.toml").read_text(encoding="utf-8"))
    names = [company[key] for company in script["companies"] for key in ("name", "zh")]
    wanted = [company["ticker"] for company in script["companies"] for _ in range(2)]
    found = Gazetteer.load().entities(pa.array(names), pa.nulls(len(names))).entities.to_pylist()
    assert [[entity["ticker"] for entity in row] for row in found] == [[ticker] for ticker in wanted]


def test_too_few_posts_for_the_script_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 200 or more"):
        market_day(DAY, posts=10)
