"""The one Kafka consumer of a desk: it reads alerts, windows and scored posts, and publishes them to the feeds."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import msgspec
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from streamwatch.codec import decode_scored
from streamwatch.desk.live import CHANNELS, STREAMS, Channel, Event, Feed, Item
from streamwatch.desk.search import shown_post
from streamwatch.errors import BadRecord, BrokerError
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.source import Records, StreamReader, read_back
from streamwatch.records import Alert, Window
from streamwatch.streams import group_name, stream_name

log = logging.getLogger(__name__)

POLL_S = 0.5
POLL_RECORDS = 1_000
LOOK_BACK: dict[Channel, int] = {"alerts": 200, "windows": 500, "posts": 50}
"""So many messages before the end are held at the start, for subscribers that come back after a restart."""
TRY_AGAIN_S = 2.0
KEYS: dict[Channel, tuple[str, ...]] = {
    "alerts": ("monitor", "group", "severity", "status", "fingerprint", "incident"),
    "windows": ("monitor", "group"),
    "posts": ("topic", "intent", "source", "lang", "sentiment", "entity"),
}
"""What the items of a channel can be chosen by."""


class LiveReader:
    """Reads in a thread, and publishes in the event loop.

    Args:
        connection: Where to read.
        backlog: Events that each feed holds.
    """

    def __init__(self, connection: Connection, backlog: int) -> None:
        self._connection = connection
        self._channels = {stream_name(STREAMS[name], connection.kafka.prefix): name for name in CHANNELS}
        self.feeds = {name: Feed(backlog, _Again(connection, name)) for name in CHANNELS}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def stopping(self) -> bool:
        """Whether subscribers shall end."""
        return self._stopping.is_set()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read, until `close`; publish in this loop."""
        self._thread = threading.Thread(target=self._run, args=(loop,), name="desk-live", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        positions: dict[TopicPartition, int] = {}
        while not self._stopping.is_set():
            try:
                self._read(loop, positions)
            except BrokerError as error:  # goes on where it was
                log.warning("live feeds wait for the broker", extra={"error": str(error)})
                self._stopping.wait(TRY_AGAIN_S)

    def _read(self, loop: asyncio.AbstractEventLoop, positions: dict[TopicPartition, int]) -> None:
        group = group_name("desk", self._connection.kafka.prefix)
        with StreamReader(self._connection, list(self._channels), group) as reader:
            starts = self._starts(reader.end_offsets()) | positions
            reader.seek(starts)
            loop.call_soon_threadsafe(self._begin, starts)
            while not self._stopping.is_set():
                records = reader.poll(POLL_S, POLL_RECORDS)
                positions.update({partition: found[-1].offset + 1 for partition, found in records.items()})
                if events := self._events(records):
                    loop.call_soon_threadsafe(self._publish, events)

    def _starts(self, ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {place: max(0, end - LOOK_BACK[self._channels[place.topic]]) for place, end in ends.items()}

    def _begin(self, starts: dict[TopicPartition, int]) -> None:
        for topic, channel in self._channels.items():
            self.feeds[channel].begin({tp.partition: start for tp, start in starts.items() if tp.topic == topic})

    def _publish(self, events: dict[Channel, list[Event]]) -> None:
        for channel, found in events.items():
            self.feeds[channel].publish(found)

    def _events(self, records: Records) -> dict[Channel, list[Event]]:
        found: dict[Channel, list[Event]] = {}
        for place, messages in records.items():
            channel = self._channels[place.topic]
            found.setdefault(channel, []).extend(event_of(channel, message) for message in messages)
        return found


def event_of(channel: Channel, message: ConsumerRecord) -> Event:
    """Return a message as an event; one that cannot be read has no items."""
    try:
        items = _posts(message.value) if channel == "posts" else [_record(channel, message.value)]
    except (BadRecord, msgspec.DecodeError):
        items = []
    return Event(message.partition, message.offset, tuple(items))


def _record(channel: Channel, value: bytes | None) -> Item:
    record = msgspec.json.decode(value or b"", type=Alert if channel == "alerts" else Window)
    return Item(msgspec.json.encode(record), {name: (str(getattr(record, name)),) for name in KEYS[channel]})


def _posts(value: bytes | None) -> list[Item]:
    if value is None:  # a heartbeat
        return []
    return [_post(row) for row in decode_scored(value).to_pylist()]


def _post(row: dict[str, object]) -> Item:
    post = shown_post(row)
    keys = {name: (str(post[name]),) for name in KEYS["posts"] if name != "entity"}
    entities = tuple(entity["ticker"] or entity["name"] for entity in post["entities"] or ())
    return Item(msgspec.json.encode(post), keys | {"entity": entities}, int(post["source_offset"]))


class _Again:
    """Reads events of one channel again."""

    def __init__(self, connection: Connection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel

    def __call__(self, partition: int, start: int, end: int) -> Iterator[Event]:
        place = TopicPartition(stream_name(STREAMS[self._channel], self._connection.kafka.prefix), partition)
        for messages in read_back(self._connection, place, start, end):
            yield from (event_of(self._channel, message) for message in messages)
