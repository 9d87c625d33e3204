from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.jsonl import BadLine, Line
from streamwatch.records import Post
from streamwatch.replay import Beat, EventTimeOrder, PostReader, ReplayPost, Send, closing_instant, schedule

START = datetime(2015, 8, 24, 13, 30, tzinfo=UTC)


def read(*lines: bytes | dict[str, Any]) -> tuple[list[ReplayPost], list[BadLine], PostReader]:
    bad: list[BadLine] = []
    reader = PostReader(datetime(2026, 1, 1, tzinfo=UTC), bad.append)
    data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return list(reader.posts(Line(number, line) for number, line in enumerate(data, 1))), bad, reader


def post(**members: Any) -> dict[str, Any]:
    return {"id": "7", "source": "twitter", "published_at": "2015-08-24T13:30:00Z", "text": "down"} | members


def at(*minutes: float) -> list[ReplayPost]:
    return [ReplayPost(str(n), START + timedelta(minutes=minute), b"") for n, minute in enumerate(minutes)]


def test_a_ticker_becomes_the_only_one_of_tickers() -> None:
    (sent,), bad, _ = read(post(ticker="GOOG"))
    assert msgspec.json.decode(sent.value, type=Post).tickers == ["GOOG"]
    assert not bad


def test_members_that_the_schema_does_not_know_are_dropped_and_counted() -> None:
    sent, _, reader = read(post(likes=3), post(likes=4, place="NY"))
    assert len(sent) == 2
    assert reader.dropped == {"likes": 2, "place": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"id": "\xff"}', "invalid UTF-8"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"id":' * 100_000, "not JSON"),
        (post(published_at="2015-08-24T13:30:00"), "timezone"),
        (post(published_at="2999-08-24T13:30:00Z"), "future"),
        (post(published_at="1066-10-14T09:00:00Z"), "before 1970"),
        (post(text=""), "text"),
        (post(text=7), "text"),
        ({"id": "7"}, "missing"),
    ],
)
def test_a_bad_line_is_reported_with_its_number_and_the_next_is_read(line: bytes | dict[str, Any], reason: str) -> None:
    sent, bad, reader = read(post(id="1"), line, post(id="3"))
    assert [one.id for one in sent] == ["1", "3"]
    assert [one.number for one in bad] == [2]
    assert reason in bad[0].reason
    assert reader.bad_lines == 1


def test_posts_are_due_when_they_were_written_divided_by_the_speed() -> None:
    due = [action.due_s for action in schedule(at(0, 1, 10), speed=60) if isinstance(action, Send)]
    assert due == [0, 1, 10]


def test_heartbeats_tell_the_event_time_of_their_moment() -> None:
    beats = [action for action in schedule(at(0, 5), speed=60, beat_every_s=2.0) if isinstance(action, Beat)]
    assert [(beat.due_s, beat.instant - START) for beat in beats] == [
        (2, timedelta(minutes=2)),
        (4, timedelta(minutes=4)),
    ]


def test_as_fast_as_it_goes_everything_is_due_at_once_and_there_are_no_heartbeats() -> None:
    posts = at(0, 1, 10_000)
    assert list(schedule(posts, speed=math.inf)) == [Send(0, one) for one in posts]


minutes = st.lists(st.floats(0, 500), min_size=1, max_size=30)


@given(minutes.map(sorted), st.floats(0.5, 5_000), st.floats(0.1, 60))
def test_no_post_comes_after_a_heartbeat_that_says_it_cannot(times: list[float], speed: float, every_s: float) -> None:
    latest = None
    due = -1.0
    for action in schedule(at(*times), speed, every_s * 500 / speed):
        assert action.due_s >= due
        due = action.due_s
        if isinstance(action, Beat):
            latest = action.instant
        elif latest is not None:
            assert action.post.published_at >= latest - timedelta(microseconds=2)


@given(st.permutations(range(12)))
def test_a_file_out_of_order_is_sent_in_order(times: list[int]) -> None:
    order = EventTimeOrder(size=12)
    assert [one.published_at for one in order.sort(at(*times))] == [one.published_at for one in at(*range(12))]
    assert order.late == 0


@given(minutes)
def test_posts_far_out_of_order_are_sent_late_and_counted_never_lost(times: list[float]) -> None:
    order = EventTimeOrder(size=3)
    posts = at(*times)
    sent = [one.published_at for one in order.sort(posts)]
    assert sorted(sent) == sorted(one.published_at for one in posts)
    backwards = sum(one < max(sent[: place + 1]) for place, one in enumerate(sent))
    assert order.late == backwards


class Rule(NamedTuple):
    window: timedelta
    hop: timedelta


def test_the_closing_instant_is_past_every_window_that_holds_the_last_post() -> None:
    rules = [Rule(timedelta(minutes=15), timedelta(minutes=5)), Rule(timedelta(hours=1), timedelta(minutes=10))]
    assert closing_instant(START, rules, timedelta(minutes=1)) - START == timedelta(minutes=71)
