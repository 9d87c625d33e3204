"""The file of feeds."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import ConfigError
from streamwatch.feeds.backoff import LONGEST, MOST_ASKED, failure_wait, next_wait
from streamwatch.feeds.subscriptions import FetchRules, load_subscriptions, parse_subscriptions

FEED = '[[feed]]\nname = "ecb"\nurl = "https://www.ecb.europa.eu/rss/press.html"\n'


def test_a_feed_has_defaults() -> None:
    found = parse_subscriptions(FEED, "feeds.toml")
    (feed,) = found.feeds
    assert (feed.interval, feed.max_age, feed.updates, feed.private) == (
        timedelta(minutes=10),
        timedelta(days=7),
        True,
        False,
    )
    assert feed.host == "www.ecb.europa.eu"
    assert found.fetch == FetchRules()


def test_everything_can_be_said() -> None:
    more = 'interval = "1h30m"\nsource = "ECB"\nlang = "en"\ntickers = ["EURUSD"]\nmax_age = "2d"\nupdates = false\n'
    fetch = '[fetch]\ncontact = "mailto:a@b.c"\nmin_gap = "0s"\ntimeout = "5s"\nmax_bytes = 9999\nproxy = "http://proxy:3128"'
    found = parse_subscriptions(f"{FEED}{more}private = true\n{fetch}", "feeds.toml")
    assert found.feeds[0].interval == timedelta(minutes=90)
    assert (found.feeds[0].tickers, found.feeds[0].updates) == (["EURUSD"], False)
    assert (found.fetch.timeout, found.fetch.max_bytes) == (timedelta(seconds=5), 9999)


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("", "feed", "at least one"),
        ("[feeds]", "feeds", r"\[\[feed\]\] tables"),
        ("feed = [", "(file)", "valid TOML"),
        (FEED + "intervall = 3", "feed[0].intervall", "one of: name, url, interval"),
        (FEED + "interval = 600", "feed[0].interval", "a duration such as"),
        (FEED + 'interval = "1s"', "feed[0].interval", "at least 10s"),
        (FEED + 'tickers = "AAPL"', "feed[0].tickers", "array"),
        (FEED.replace('"ecb"', '"e/cb"'), "feed[0].name", "letters, digits"),
        (FEED.replace('"ecb"', '"../ecb"'), "feed[0].name", "letters, digits"),
        (FEED.replace("https", "file"), "feed[0].url", "an http or https address"),
        (FEED.replace("www.ecb.europa.eu", ""), "feed[0].url", "with a host"),
        (FEED.replace("www.ecb", "me:secret@www.ecb"), "feed[0].url", "without user and password"),
        (FEED.replace("www.ecb.europa.eu", "[::1"), "feed[0].url", "with a host"),
        (FEED + FEED, "feed[1].name", "a name that no other feed has"),
        (FEED + FEED.replace('"ecb"', '"two"'), "feed[1].url", "a url that no other feed has"),
        ('[[feed]]\nname = "ecb"', "feed[0].url", "a value"),
        (FEED + '[fetch]\ncontact = "Büro"', "fetch.contact", "ASCII"),
        (FEED + '[fetch]\nproxy = "socks5://x"', "fetch.proxy", "an http or https"),
        (FEED + '[fetch]\ntimeout = "0s"', "fetch.timeout", "at least 1s"),
        ("fetch = 3\n" + FEED, "fetch", r"a \[fetch\] table"),
    ],
)
def test_a_mistake_is_told_with_its_key(text: str, key: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        parse_subscriptions(text, "feeds.toml")
    assert (caught.value.place, caught.value.key) == ("feeds.toml", key)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a readable TOML file"):
        load_subscriptions(tmp_path / "feeds.toml")
    (tmp_path / "feeds.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_subscriptions(tmp_path / "feeds.toml")


INTERVALS = st.timedeltas(timedelta(seconds=10), timedelta(days=30))


@settings(deadline=None)
@given(INTERVALS, st.integers(1, 1_000), st.integers(), st.none() | st.floats(0, 1e9))
def test_a_wait_is_never_shorter_than_asked_nor_endless(
    interval: timedelta, failures: int, seed: int, retry_after_s: float | None
) -> None:
    wait = failure_wait(interval, failures, random.Random(seed), retry_after_s=retry_after_s)
    assert wait >= min(timedelta(seconds=retry_after_s or 0), MOST_ASKED)
    assert interval / 2 <= wait <= max(LONGEST, interval, MOST_ASKED)
    assert failure_wait(interval, failures, random.Random(seed), gone=True) >= timedelta(days=1)
    assert interval <= next_wait(interval, random.Random(seed)) <= 1.1 * interval
