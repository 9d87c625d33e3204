"""Feeds as sources of posts: a real server on loopback, visited again and again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.codec import PostDecoder
from streamwatch.errors import FeedError
from streamwatch.feeds.document import Document, Entry
from streamwatch.feeds.feed_source import FeedCursor, FeedSource, Visit
from streamwatch.feeds.posts import posts_of
from streamwatch.feeds.rounds import Rounds
from streamwatch.feeds.subscriptions import Subscription
from streamwatch.ingest.post_source import PostSource
from streamwatch.records import Post
from tests.feed_server import RULES, Answer, FeedServer, feed_server, item, rss

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FEED = Subscription(name="wire", url="https://example.com/rss")


@pytest.fixture(scope="module")
def server() -> Iterator[FeedServer]:
    with feed_server() as found:
        yield found


def texts(visit: Visit) -> list[str]:
    return [post.text for post in visit.polled.posts]


def gather(*entries: Entry, feed: Subscription = FEED) -> list[Post]:
    return posts_of(Document(entries=list(entries)), feed, NOW).posts


def test_a_version_that_is_known_is_not_sent_again(server: FeedServer) -> None:
    def page(headers: Message) -> Answer:
        known = headers["If-None-Match"] == 'W/"1"' and headers["If-Modified-Since"] == "Mon, 05 Jan 2026 09:30:00 GMT"
        found = {"ETag": 'W/"1"', "Last-Modified": "Mon, 05 Jan 2026 09:30:00 GMT"}
        return Answer(304) if known else Answer(200, rss(item(1)).encode(), found)

    server.pages["/known"] = page
    source: PostSource = (feed := server.source("/known"))
    first = feed.visit("")
    assert (first.report.outcome, texts(first), first.report.entries) == ("read", ["Headline number 1"], 1)
    second = feed.visit(first.polled.cursor)
    assert (second.report.outcome, second.report.status, texts(second)) == ("unchanged", 304, [])
    assert second.polled.cursor == first.polled.cursor
    assert source.poll(first.polled.cursor).posts == []


def test_a_server_that_names_no_version_is_compared_by_content(server: FeedServer) -> None:
    server.pages["/plain"] = Answer(200, rss(item(1)).encode())
    feed = server.source("/plain")
    first = feed.visit("")
    again = feed.visit(first.polled.cursor)
    assert (again.report.outcome, again.report.status) == ("unchanged", 200)
    server.pages["/plain"] = Answer(200, rss(item(1), item(2)).encode())
    assert len(feed.visit(again.polled.cursor).polled.posts) == 2


def test_a_failure_keeps_what_is_known_and_waits_longer_each_time(server: FeedServer) -> None:
    server.pages["/shaky"] = Answer(200, rss(item(1)).encode(), {"ETag": "1"})
    feed = server.source("/shaky", interval=timedelta(minutes=10))
    cursor = feed.visit("").polled.cursor
    waits = []
    server.pages["/shaky"] = Answer(500)
    for failures in range(1, 4):
        visit = feed.visit(cursor)
        cursor = visit.polled.cursor
        assert (visit.report.outcome, visit.report.status, visit.report.failures) == ("failed", 500, failures)
        waits.append(visit.report.next_at - datetime.now(UTC))
        assert feed.not_before(cursor) == visit.report.next_at
    assert timedelta(minutes=9) < waits[0] < timedelta(minutes=21)
    assert waits[2] > timedelta(minutes=39)
    server.pages["/shaky"] = Answer(304)
    well = feed.visit(cursor)
    assert (well.report.outcome, well.report.failures) == ("unchanged", 0)
    kept = msgspec.json.decode(well.polled.cursor, type=FeedCursor)
    assert (kept.etag, kept.failures, kept.not_before) == ("1", 0, None)


def test_a_broken_document_is_read_again_even_if_its_version_stays(server: FeedServer) -> None:
    server.pages["/half"] = Answer(200, b"<html>", {"ETag": "1"})
    feed = server.source("/half")
    failed = feed.visit("")
    assert "an HTML page" in failed.report.found
    feed.visit(failed.polled.cursor)
    (*_, request) = (request for request in server.requests if request.path == "/half")
    assert request.headers["If-None-Match"] is None
    with pytest.raises(FeedError, match="an HTML page"):
        feed.poll("")


def test_a_server_that_asks_for_peace_has_it(server: FeedServer) -> None:
    server.pages["/busy"] = Answer(503, headers={"Retry-After": "7200"})
    feed = server.source("/busy", interval=timedelta(seconds=10))
    visit = feed.visit("")
    assert visit.report.next_at - datetime.now(UTC) > timedelta(minutes=119)
    waiting = feed.waiting(visit.polled.cursor)
    assert (waiting.report.outcome, waiting.polled) == ("waiting", ([], visit.polled.cursor))


def test_a_feed_that_moved_or_is_gone_is_told(server: FeedServer) -> None:
    server.pages["/moved"] = Answer(301, headers={"Location": "/there"})
    server.pages["/there"] = Answer(200, rss(item(1)).encode())
    server.pages["/gone"] = Answer(410)
    assert server.source("/moved").visit("").report.warnings == [
        f"has moved to {server.url('/there')} for good: change its url"
    ]
    gone = server.source("/gone").visit("").report
    assert (gone.outcome, gone.status) == ("failed", 410)
    assert "take it out of the file" in gone.advice
    assert gone.next_at - datetime.now(UTC) > timedelta(hours=23)


def test_another_address_begins_anew(server: FeedServer) -> None:
    server.pages["/a"] = server.pages["/b"] = Answer(200, rss(item(1)).encode())
    cursor = server.source("/a", name="wire").visit("").polled.cursor
    assert len(server.source("/b", name="wire").visit(cursor).polled.posts) == 1


def test_an_id_stays_and_a_changed_text_is_a_new_post() -> None:
    first, same, changed = (
        Entry(key="1", title="Profit rises", summary="by 5%"),
        Entry(key="1", title="Profit rises", summary="by 5%", author="x", published_at=NOW, link="https://a.b/c"),
        Entry(key="1", title="Profit rises", summary="by 7%"),
    )
    ids = [gather(entry)[0].id for entry in (first, same, changed)]
    assert ids[0] == ids[1] != ids[2]
    once = msgspec.structs.replace(FEED, updates=False)
    assert len({gather(entry, feed=once)[0].id for entry in (first, same, changed)}) == 1
    assert gather(first, feed=msgspec.structs.replace(FEED, name="other"))[0].id != ids[0]


def test_a_feed_that_repeats_itself_is_read_once() -> None:
    entry = Entry(key="1", title="Profit rises")
    found = posts_of(Document(entries=[entry, entry, Entry(key="2")]), FEED, NOW)
    assert len(found.posts) == 1
    assert found.warnings == ["1 entries without a word, left out", "1 entries that stand there twice, read once"]


def test_dates_are_held_between_max_age_and_now() -> None:
    entries = [
        Entry(key="old", title="old", published_at=NOW - timedelta(days=8)),
        Entry(key="none", title="none"),
        Entry(key="ahead", title="ahead", published_at=NOW + timedelta(days=400)),
        Entry(key="past", title="past", published_at=NOW - timedelta(days=6)),
        Entry(key="epoch", title="epoch", published_at=datetime(1970, 1, 1, tzinfo=UTC)),
    ]
    found = posts_of(Document(entries=entries), FEED, NOW)
    assert [(post.text, post.published_at) for post in found.posts] == [
        ("past", NOW - timedelta(days=6)),
        ("epoch", NOW),
        ("ahead", NOW),
        ("none", NOW),
    ]
    assert (found.old, found.warnings) == (1, ["1 entries dated in the future, taken as of now"])


def test_a_summary_that_repeats_its_title_stands_alone() -> None:
    assert gather(Entry(key="1", title="Profit rises…", summary="Profit rises by 5%."))[0].text == "Profit rises by 5%."
    assert gather(Entry(key="1", title="", summary="by 5%"))[0].text == "by 5%"


TEXTS = st.text(max_size=300)


@settings(deadline=None)
@given(
    st.builds(
        Entry, key=TEXTS, title=TEXTS, summary=TEXTS, link=TEXTS, author=TEXTS, lang=TEXTS,
        published_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    )
)  # fmt: skip
def test_whatever_an_entry_holds_the_stream_takes_its_post(entry: Entry) -> None:
    feed = msgspec.structs.replace(FEED, max_age=timedelta(days=800_000))
    messages = [_Message(msgspec.json.encode(post)) for post in gather(entry, feed=feed)]
    assert len(messages) == bool(entry.title or entry.summary)
    decoded = PostDecoder(max_future_s=0).decode("posts", 0, messages, NOW)
    assert (decoded.batch.num_rows, decoded.dead) == (len(messages), [])


class _Message(msgspec.Struct):
    value: bytes
    offset: int = 0
    timestamp: int = 0
    headers: list[tuple[str, bytes]] = []


def visited(feeds: list[FeedSource], gap: timedelta, *, once: bool = True, visits: int = 10**9) -> list[Visit]:
    stopping = threading.Event()
    rounds = Rounds(feeds, {feed.name: "" for feed in feeds}, gap, stopping, once=once)
    found: list[Visit] = []
    for _, visit in rounds.visits():
        found.append(visit)
        if len(found) == visits:
            stopping.set()
    return found


def test_a_host_is_asked_one_thing_at_a_time_with_a_gap(server: FeedServer) -> None:
    paths = ["/one", "/two", "/three"]
    server.pages |= {path: Answer(200, rss(item(1)).encode()) for path in paths}
    assert len(visited([server.source(path) for path in paths], timedelta(milliseconds=300))) == 3
    requests = [request for request in server.requests if request.path in paths]
    assert [request.path for request in requests] == paths
    for earlier, later in zip(requests, requests[1:], strict=False):
        assert later.began - earlier.ended >= 0.3


def test_a_slow_host_costs_the_others_nothing(server: FeedServer) -> None:
    def slow(_: Message) -> Answer:
        time.sleep(3)
        return Answer(200, rss(item(1)).encode())

    server.pages["/slow"] = slow
    server.pages["/quick"] = Answer(200, rss(item(1)).encode())
    feeds = [server.source("/slow"), server.source("/quick", url=server.url("/quick", "localhost"))]
    assert [visit.report.feed for visit in visited(feeds, timedelta(0))] == ["quick", "slow"]


def test_feeds_are_visited_again_at_their_interval_until_stopped(server: FeedServer) -> None:
    server.pages["/often"] = Answer(200, rss(item(1)).encode())
    server.pages["/rarely"] = Answer(200, rss(item(1)).encode())
    feeds = [
        server.source("/often", interval=timedelta(milliseconds=50)),
        server.source("/rarely", interval=timedelta(hours=1)),
    ]
    reports = [visit.report for visit in visited(feeds, timedelta(0), once=False, visits=4)]
    assert [report.feed for report in reports] == ["often", "rarely", "often", "often"]
    assert [report.outcome for report in reports] == ["read", "read", "unchanged", "unchanged"]


def test_a_feed_that_waits_is_not_asked(server: FeedServer) -> None:
    feed = server.source("/missing")
    cursor = feed.visit("").polled.cursor
    rounds = Rounds([feed], {feed.name: cursor}, timedelta(0), threading.Event(), once=True)
    assert [visit.report.outcome for _, visit in rounds.visits()] == ["waiting"]
    assert [request.path for request in server.requests].count("/missing") == 1


def test_jitter_can_be_drawn_again(server: FeedServer) -> None:
    feeds = [FeedSource(server.subscription("/nowhere"), RULES, random.Random(1)) for _ in range(2)]
    first, second = (feed.visit("").report.next_at for feed in feeds)
    assert abs(first - second) < timedelta(seconds=5)
