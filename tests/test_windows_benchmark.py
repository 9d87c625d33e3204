"""The benchmark of the windows: its posts, and that all its contenders count the same."""

from __future__ import annotations

from collections import Counter

import pytest

from jobs.windows_benchmark import CONTENDERS, HOP_US, START_US, Contender
from jobs.windows_streams import Posts
from streamwatch.codec import SCORED_SCHEMA

KEYS = 50


def test_posts_are_scored_rows_in_order_and_name_no_company_twice() -> None:
    posts = Posts(KEYS, seed=1)
    one, other = posts.batch(0, HOP_US, 400), posts.every_key(HOP_US)
    assert one.schema == SCORED_SCHEMA
    times, offsets = (one.column(name).to_pylist() for name in ("published_at", "source_offset"))
    assert times == sorted(times)
    assert [*offsets, *other.column("source_offset").to_pylist()] == list(range(450))
    named = [[entity["ticker"] for entity in entities] for entities in one.column("entities").to_pylist()]
    assert all(len(set(tickers)) == len(tickers) for tickers in named)
    mentions = Counter(ticker for tickers in named for ticker in tickers)
    assert sum(mentions.values()) == 500
    assert mentions["T000000"] > 5 * mentions["T000020"]
    assert Posts(KEYS, seed=1).batch(0, HOP_US, 400) == one


@pytest.mark.parametrize("make", CONTENDERS.values(), ids=list(CONTENDERS))
def test_every_contender_closes_a_window_for_every_key(make: type[Contender]) -> None:
    posts, contender = Posts(KEYS, seed=1), make()
    contender.apply(posts.every_key(START_US))
    assert contender.close(START_US + HOP_US) == KEYS
