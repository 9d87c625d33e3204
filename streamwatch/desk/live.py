"""Live feeds: what comes on a stream, given to any number of subscribers, each from where it stands.

A feed holds the last events once, for all. A subscriber is a place in it: it costs a few numbers, and a slow one holds
nothing up. One that falls behind what the feed holds is cut off, and resumes from the stream itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from streamwatch.desk.positions import Reached, write_position
from streamwatch.errors import StreamwatchError
from streamwatch.streams import Kind

Channel = Literal["alerts", "windows", "posts"]
CHANNELS: tuple[Channel, ...] = ("alerts", "windows", "posts")
STREAMS: dict[Channel, Kind] = {"alerts": "alerts", "windows": "windows", "posts": "scored"}
AT_A_TIME = 200
"""So many events a subscriber takes before others have their turn."""


class Item(NamedTuple):
    """One alert, window or post as JSON, and what it can be chosen by."""

    data: bytes
    keys: Mapping[str, Collection[str]]
    source_offset: int = -1


class Event(NamedTuple):
    """A message of a stream."""

    partition: int
    offset: int
    items: tuple[Item, ...]


class Told(NamedTuple):
    """What a subscriber gets of one message, and its position after it."""

    position: str
    items: list[bytes]


class FellBehind(StreamwatchError):
    """A subscriber was too slow: what it misses is no longer held. It may resume from its position."""


Wanted = Mapping[str, Collection[str]]
"""By key, the values of which an item must have one."""
Backfill = Callable[[int, int, int], Iterator[Event]]
"""Reads the events of a partition at the offsets `[start, end)` again from the stream."""


class Feed:
    """The last events of one stream. All of it runs in one event loop.

    Args:
        backlog: How many events are held.
        backfill: Reads older ones again.
    """

    def __init__(self, backlog: int, backfill: Backfill) -> None:
        self.backfill = backfill
        self.reached: dict[int, Reached] = {}
        self._floors: dict[int, int] = {}
        self._events: deque[Event] = deque(maxlen=backlog)
        self._next = 0
        self._news = asyncio.Event()
        self.subscribers = 0

    def begin(self, starts: Mapping[int, int]) -> None:
        """Hold events from these offsets on; nobody was told of anything before."""
        for partition, start in starts.items():
            self.reached.setdefault(partition, Reached(start - 1))
            self._floors.setdefault(partition, start)

    def publish(self, events: list[Event]) -> None:
        """Add events, and wake who waits."""
        for event in events:
            if self._events.maxlen == len(self._events):
                dropped = self._events[0]
                self._floors[dropped.partition] = dropped.offset + 1
            self._events.append(event)
            self._next += 1
            self.reached[event.partition] = _past(event, self.reached.get(event.partition, Reached(-1)))
        self.wake()

    def wake(self) -> None:
        """Wake every subscriber that waits."""
        self._news.set()
        self._news = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether the stream's partitions are known."""
        return bool(self.reached)

    @property
    def first(self) -> int:
        """Number of the oldest event that is held."""
        return self._next - len(self._events)

    @property
    def end(self) -> int:
        """Number that the next event gets."""
        return self._next

    def floor(self, partition: int) -> int:
        """Return the offset from which on every event of a partition is held."""
        return self._floors.get(partition, 0)

    def slice(self, start: int, count: int) -> list[Event]:
        """Return held events by their numbers."""
        skipped = start - self.first
        return [self._events[index] for index in range(skipped, min(skipped + count, len(self._events)))]

    async def news(self, timeout_s: float) -> None:
        """Return once something is published, or after a time."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return


class Subscription:
    """One subscriber's place in a feed.

    Args:
        feed: Of the stream.
        wanted: Which items; the rest is passed over.
        position: The last that the subscriber got; None: it begins with what comes next.
    """

    def __init__(self, feed: Feed, wanted: Wanted, position: Mapping[int, Reached] | None = None) -> None:
        self._feed = feed
        self._wanted = {name: frozenset(values) for name, values in wanted.items() if values}
        self._reached = dict(feed.reached) | dict(position or {})
        self._next = feed.end if position is None else feed.first
        self._missing = [] if position is None else _missing(feed, self._reached)

    @property
    def position(self) -> str:
        """What was given so far, as the id of an event."""
        return write_position(self._reached)

    async def take(self, timeout_s: float) -> list[Told]:
        """Return what came, as soon as there is something for this subscriber; nothing after the time.

        Raises:
            FellBehind: The subscriber was too slow.
        """
        if self._missing:
            return await self._take_again()
        if self._next == self._feed.end:
            await self._feed.news(timeout_s)
        if self._next < self._feed.first:
            message = f"{self._feed.first - self._next} events behind what is held: resume from the last event's id"
            raise FellBehind(message)
        events = self._feed.slice(self._next, AT_A_TIME)
        self._next += len(events)
        return [told for event in events if (told := self._told(event))]

    async def _take_again(self) -> list[Told]:
        """Return some of what is no longer held, read again from the stream."""
        again = self._missing[0]
        event = await asyncio.to_thread(next, again, None)
        if event is None:
            self._missing.pop(0)
            if not self._missing:  # what is held may have moved on meanwhile
                self._missing, self._next = _missing(self._feed, self._reached), self._feed.first
            return []
        told = self._told(event)
        return [told] if told else []

    def _told(self, event: Event) -> Told | None:
        before = self._reached.get(event.partition, Reached(-1))
        if event.offset <= before.offset:
            return None
        self._reached[event.partition] = _past(event, before)
        items = [item.data for item in event.items if self._is_new(item, before) and self._is_wanted(item)]
        return Told(self.position, items) if items else None

    def _is_new(self, item: Item, before: Reached) -> bool:
        """Say whether a row was not given before: SCORE may send rows again in another message."""
        return item.source_offset < 0 or item.source_offset > before.source_offset

    def _is_wanted(self, item: Item) -> bool:
        return all(not values.isdisjoint(item.keys.get(name, ())) for name, values in self._wanted.items())


def _missing(feed: Feed, reached: Mapping[int, Reached]) -> list[Iterator[Event]]:
    """Return what reads again the events between a position and what is held."""
    gaps = {partition: (place.offset + 1, feed.floor(partition)) for partition, place in reached.items()}
    return [feed.backfill(partition, start, end) for partition, (start, end) in gaps.items() if start < end]


def _past(event: Event, before: Reached) -> Reached:
    last = max((item.source_offset for item in event.items), default=-1)
    return Reached(event.offset, max(last, before.source_offset))
