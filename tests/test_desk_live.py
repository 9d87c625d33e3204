"""Live feeds: everyone gets everything once, however often they go and come back, and a slow one is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.codec import encode_batch
from streamwatch.desk.live import Event, Feed, FellBehind, Item, Subscription, Told, Wanted
from streamwatch.desk.live_reader import event_of
from streamwatch.desk.positions import Reached, read_position, write_position
from streamwatch.errors import BadRecord
from streamwatch.schema_files import EXAMPLES
from tests.scored_rows import Row, scored

T = TypeVar("T")


def run(doing: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(doing, 60))


class Stream:
    """A stream that remembers everything, and a feed of it that holds the last few events."""

    def __init__(self, backlog: int, partitions: int = 2) -> None:
        self.messages: list[list[Event]] = [[] for _ in range(partitions)]
        self.feed = Feed(backlog, self.again)
        self.feed.begin(dict.fromkeys(range(partitions), 0))
        self.asked_again = 0

    def again(self, partition: int, start: int, end: int) -> Iterator[Event]:
        self.asked_again += 1
        yield from self.messages[partition][start:end]

    def send(self, partition: int, *names: str, source_offset: int = -1, **keys: str) -> None:
        """Send a message with an item for each name."""
        offset = len(self.messages[partition])
        by = {name: (value,) for name, value in keys.items()}
        items = [
            Item(name.encode(), by, source_offset + i if source_offset >= 0 else -1) for i, name in enumerate(names)
        ]
        self.messages[partition].append(Event(partition, offset, tuple(items)))
        self.feed.publish([self.messages[partition][-1]])

    def subscribe(self, position: str | None = None, **wanted: list[str]) -> Subscription:
        filters: Wanted = wanted
        return Subscription(self.feed, filters, read_position(position) if position else None)


async def drained(subscription: Subscription) -> list[Told]:
    """Return everything that is there for a subscriber."""
    told: list[Told] = []
    empty = 0
    while empty < 3:
        found = await subscription.take(0.001)
        empty = 0 if found else empty + 1
        told += found
    return told


def names(told: list[Told]) -> list[str]:
    return [item.decode() for one in told for item in one.items]


def test_a_subscriber_begins_with_what_comes_next() -> None:
    async def go() -> list[str]:
        stream = Stream(10)
        stream.send(0, "before")
        subscription = stream.subscribe()
        stream.send(1, "first", "second")
        stream.send(0, "third")
        return names(await drained(subscription))

    assert run(go()) == ["first", "second", "third"]


def test_who_waits_is_woken() -> None:
    async def go() -> list[str]:
        stream = Stream(10)
        waiting = [asyncio.create_task(stream.subscribe().take(30)) for _ in range(500)]
        await asyncio.sleep(0)
        stream.send(0, "now")
        return [name for told in await asyncio.gather(*waiting) for name in names(told)]

    assert run(go()) == ["now"] * 500


def test_items_are_chosen_by_their_keys() -> None:
    async def go() -> list[Told]:
        stream = Stream(10)
        subscription = stream.subscribe(severity=["page", "critical"], group=["AAPL"])
        stream.send(0, "a", severity="page", group="AAPL")
        stream.send(0, "b", severity="ticket", group="AAPL")
        stream.send(0, "c", severity="critical", group="IBM")
        stream.send(0, "d", severity="critical", group="AAPL")
        return await drained(subscription)

    told = run(go())
    assert names(told) == ["a", "d"]
    assert told[-1].position == "0-3.1-n"


def test_what_is_no_longer_held_is_read_again() -> None:
    async def go() -> tuple[list[str], int]:
        stream = Stream(4)
        for number in range(20):
            stream.send(number % 2, f"{number}")
        back = stream.subscribe("0-2.1-0")
        stream.send(0, "20")
        return names(await drained(back)), stream.asked_again

    found, asked = run(go())
    even, odd = [str(n) for n in range(6, 21, 2)], [str(n) for n in range(3, 20, 2)]
    assert sorted(found, key=int) == sorted(even + odd, key=int)
    assert asked >= 2


def test_a_slow_one_is_cut_off_and_resumes() -> None:
    async def go() -> list[str]:
        stream = Stream(4)
        slow = stream.subscribe()
        stream.send(0, "0")
        found = names(await drained(slow))
        for number in range(1, 10):
            stream.send(0, f"{number}")
        with pytest.raises(FellBehind, match="resume from the last event's id"):
            await slow.take(1)
        return found + names(await drained(stream.subscribe(slow.position)))

    assert run(go()) == [str(number) for number in range(10)]


def test_rows_that_are_sent_again_are_given_once() -> None:
    async def go() -> list[str]:
        stream = Stream(10)
        subscription = stream.subscribe()
        stream.send(0, "a", "b", source_offset=7)
        found = await drained(subscription)
        back = stream.subscribe(found[-1].position)
        stream.send(0, "a", "b", "c", source_offset=7)
        return names(found + await drained(back))

    assert run(go()) == ["a", "b", "c"]


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["0", "1", "take", "go"]), min_size=5, max_size=60),
    backlog=st.integers(1, 8),
)
def test_everything_comes_once_to_who_goes_and_comes_back(steps: list[str], backlog: int) -> None:
    async def go() -> tuple[list[str], list[str]]:
        stream = Stream(backlog)
        subscription = stream.subscribe()
        position = subscription.position
        found: list[str] = []
        sent: list[str] = []
        for step in [*steps, "go", "take"]:
            if step == "go":
                subscription = stream.subscribe(position)
            elif step == "take":
                try:
                    told = await drained(subscription)
                except FellBehind:
                    subscription = stream.subscribe(position)
                    told = await drained(subscription)
                found += names(told)
                position = told[-1].position if told else position
            else:
                sent.append(f"{step}:{len(sent)}")
                stream.send(int(step), sent[-1])
        return found, sent

    found, sent = run(go())
    for partition in ("0", "1"):
        ours = [name for name in found if name.startswith(partition)]
        assert ours == [name for name in sent if name.startswith(partition)]


@given(st.dictionaries(st.integers(0, 999), st.builds(Reached, st.integers(0, 2**53), st.integers(-1, 2**53))))
def test_a_position_is_read_as_it_was_written(reached: dict[int, Reached]) -> None:
    if reached:
        assert read_position(write_position(reached)) == reached


@pytest.mark.parametrize("text", ["", "x", "0", "0-", "0-1-2-3", "0-1.", "-1-2", "0--1", "１-2", "0-1\n"])
def test_an_id_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(BadRecord, match="none that this desk gave"):
        read_position(text)


def record(value: bytes | None) -> Any:
    return type("Record", (), {"value": value, "partition": 0, "offset": 5})


def test_messages_become_what_they_hold() -> None:
    alert = event_of("alerts", record(msgspec.json.encode(EXAMPLES["alert.v1"])))
    assert alert.items[0].keys["severity"] == ("page",)
    assert msgspec.json.decode(alert.items[0].data)["evidence"]
    window = event_of("windows", record(msgspec.json.encode(EXAMPLES["window.v1"])))
    assert window.items[0].keys == {"monitor": ("negative-surge",), "group": ("AAPL",)}
    for channel, value in [
        ("alerts", b"{}"),
        ("windows", b"\xff"),
        ("posts", b"no"),
        ("alerts", None),
        ("posts", None),
    ]:
        assert event_of(channel, record(value)).items == ()  # type: ignore[arg-type]


def test_posts_come_as_the_desk_shows_them() -> None:
    value = encode_batch(scored([Row(0, ("AAPL", "IBM")), Row(1, (), topic="macro")], 0, 40))
    event = event_of("posts", record(value))
    assert [item.source_offset for item in event.items] == [40, 41]
    assert event.items[0].keys["entity"] == ("AAPL", "IBM")
    post = msgspec.json.decode(event.items[1].data)
    assert (post["topic"], post["sentiment_probs"]["neutral"]) == ("macro", 0.8)
