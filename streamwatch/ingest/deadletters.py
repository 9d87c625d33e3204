"""The dead letters: messages that could not be handled, kept with where they stood and why."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from kafka.consumer.fetcher import ConsumerRecord

from streamwatch.codec import DeadLetter
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import MAX_SEND_BYTES, Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.streams import group_name, stream_name

MAX_REASON_CHARS = 2_000
HEADER_ROOM_BYTES = 16 * 1024
"""Kept free beside the original bytes for stream name, reason and the rest."""

REPLAYED_HEADER = "replayed"
"""Marks a message that is no letter, but the list of letters that were sent back: stream, partition and offset each."""

_POLL_S = 1.0
_POLL_RECORDS = 500
_MARK_EVERY = 1_000

Place = tuple[str, int, int]


class StoredDeadLetter(NamedTuple):
    """A dead letter as the stream holds it.

    Attributes:
        letter: Where the message stood, why it is here, and its bytes.
        stage: Which stage could not handle it.
        time: When it was set aside.
        original_bytes: How long the message was; more than the letter holds when it was too long to keep.
    """

    letter: DeadLetter
    stage: str
    time: datetime
    original_bytes: int

    @property
    def place(self) -> Place:
        """Stream, partition and offset of the message."""
        return self.letter.stream, self.letter.partition, self.letter.offset

    @property
    def truncated(self) -> bool:
        """Whether the letter holds only the beginning of the message."""
        return self.original_bytes > len(self.letter.value)


class Replayed(NamedTuple):
    """What a replay did: letters sent back, and those that cannot be because they are cut short."""

    sent: int
    truncated: int


def dead_letter_message(letter: DeadLetter, stage: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return value and headers of the message that goes to the dead letters.

    >>> value, headers = dead_letter_message(DeadLetter("streamwatch.posts", 0, 7, "not JSON", b"{"), "score")
    >>> value, dict(headers)["reason"], dict(headers)["offset"]
    (b'{', b'not JSON', b'7')
    """
    headers = [
        ("stage", stage.encode()),
        ("stream", letter.stream.encode()),
        ("partition", str(letter.partition).encode()),
        ("offset", str(letter.offset).encode()),
        ("reason", letter.reason[:MAX_REASON_CHARS].encode("utf-8", "replace")),
    ]
    limit = MAX_SEND_BYTES - HEADER_ROOM_BYTES
    if len(letter.value) > limit:
        headers.append(("truncated", str(len(letter.value)).encode()))
    return letter.value[:limit], headers


def read_dead_letters(connection: Connection, *, waiting_only: bool = False) -> Generator[StoredDeadLetter]:
    """Yield every dead letter that is there now, oldest first, each message once.

    A stage that died and started again may have set the same message aside twice; the first counts.

    Args:
        connection: Where to read.
        waiting_only: Leave out what was sent back already.

    Raises:
        BrokerError: The stream cannot be read.
    """
    seen: set[Place] = set()
    with closing(_reader(connection)) as reader:
        if waiting_only:
            for record in _records(reader):
                seen.update(_replayed(record))
        for record in _records(reader):
            stored = _stored(record)
            if stored is not None and stored.place not in seen:
                seen.add(stored.place)
                yield stored


def replay_dead_letters(
    connection: Connection, *, reason: str = "", limit: int | None = None, dry_run: bool = False
) -> Replayed:
    """Send messages back to where they came from, once what kept them from being handled is mended.

    Each is sent back once: the dead letters themselves keep a list of which ones were. A message that still cannot be
    handled becomes a new dead letter.

    Args:
        connection: Where to read and write.
        reason: Only letters whose reason contains this.
        limit: At most this many.
        dry_run: Count only.

    Raises:
        BrokerError: A message could not be written. Up to 1,000 before it may be sent again by another replay.
    """
    sent, truncated = 0, 0
    unmarked: list[Place] = []
    with closing(Sink(connection)) as sink, closing(read_dead_letters(connection, waiting_only=True)) as letters:
        for stored in letters:
            if limit is not None and sent >= limit:
                break
            if reason not in stored.letter.reason:
                continue
            if stored.truncated:
                truncated += 1
                continue
            sent += 1
            if not dry_run:
                sink.send(stored.letter.stream, stored.letter.value, partition=stored.letter.partition)
                unmarked.append(stored.place)
                if len(unmarked) >= _MARK_EVERY:
                    _mark(connection, sink, unmarked)
        _mark(connection, sink, unmarked)
    return Replayed(sent, truncated)


def _mark(connection: Connection, sink: Sink, places: list[Place]) -> None:
    """Write down that these letters were sent back, after they are for certain."""
    sink.flush()
    if places:
        stream = stream_name("dead-letters", connection.kafka.prefix)
        sink.send(stream, msgspec.json.encode(places), headers=[(REPLAYED_HEADER, str(len(places)).encode())])
        sink.flush()
        places.clear()


def _reader(connection: Connection) -> StreamReader:
    prefix = connection.kafka.prefix
    return StreamReader(connection, [stream_name("dead-letters", prefix)], group_name("dead-letters", prefix))


def _records(reader: StreamReader) -> Iterator[ConsumerRecord]:
    """Yield what stands between the beginning and the end as it is now."""
    ends = reader.end_offsets()
    reader.seek({})
    while any(offset < ends[partition] for partition, offset in reader.positions().items()):
        for partition, records in reader.poll(_POLL_S, _POLL_RECORDS).items():
            yield from (record for record in records if record.offset < ends[partition])


def _replayed(record: ConsumerRecord) -> list[Place]:
    if REPLAYED_HEADER not in dict(record.headers):
        return []
    return msgspec.json.decode(record.value, type=list[Place])


def _stored(record: ConsumerRecord) -> StoredDeadLetter | None:
    """Return the letter that a message holds; None for what replay wrote and for what is no letter of ours."""
    headers = {name: content.decode("utf-8", "replace") for name, content in record.headers if content is not None}
    value = record.value or b""
    try:
        letter = DeadLetter(
            headers["stream"], int(headers["partition"]), int(headers["offset"]), headers["reason"], value
        )
        original_bytes = int(headers.get("truncated", len(value)))
    except (KeyError, ValueError):
        return None
    time = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return StoredDeadLetter(letter, headers.get("stage", ""), time, original_bytes)
