"""Dead letters on both brokers."""

from __future__ import annotations

import os

import pytest

from streamwatch.codec import DeadLetter
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.deadletters import (
    Replayed,
    dead_letter_message,
    read_dead_letters,
    replay_dead_letters,
)
from streamwatch.ingest.sink import MAX_SEND_BYTES, Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.streams import stream_name

pytestmark = pytest.mark.integration


def bury(connection: Connection, *letters: DeadLetter) -> None:
    with Sink(connection) as sink:
        for letter in letters:
            value, headers = dead_letter_message(letter, "score")
            sink.send(stream_name("dead-letters", connection.kafka.prefix), value, headers=headers)
        sink.flush()


def letter(connection: Connection, offset: int, reason: str = "not JSON", value: bytes = b"{") -> DeadLetter:
    return DeadLetter(stream_name("posts", connection.kafka.prefix), offset % 4, offset, reason, value)


def posts(connection: Connection) -> list[tuple[int, bytes]]:
    """What stands in the posts: partition and value."""
    found = []
    with StreamReader(connection, [stream_name("posts", connection.kafka.prefix)], "reader") as reader:
        reader.seek({})
        while any(offset < reader.end_offsets()[tp] for tp, offset in reader.positions().items()):
            for partition, records in reader.poll(5, 100).items():
                found += [(partition.partition, record.value) for record in records]
    return sorted(found)


def test_each_message_is_listed_once_with_its_reason_and_its_bytes(connection: Connection) -> None:
    first = letter(connection, 5, "ungültig: 日本", b"\xff\x00{")
    bury(connection, first, letter(connection, 6), first)
    stored = list(read_dead_letters(connection))
    assert [each.letter for each in stored] == [first, letter(connection, 6)]
    assert {each.stage for each in stored} == {"score"}
    assert not any(each.truncated for each in stored)


def test_there_may_be_none(connection: Connection) -> None:
    assert list(read_dead_letters(connection)) == []
    assert replay_dead_letters(connection) == Replayed(0, 0)


def test_a_message_is_sent_back_once(connection: Connection) -> None:
    bury(connection, letter(connection, 1, "too old", b"1"), letter(connection, 2, "too new", b"2"))
    assert replay_dead_letters(connection, dry_run=True) == Replayed(2, 0)
    assert posts(connection) == []
    assert replay_dead_letters(connection, reason="new") == Replayed(1, 0)
    assert [each.letter.offset for each in read_dead_letters(connection, waiting_only=True)] == [1]
    bury(connection, letter(connection, 3, "again", b"3"))
    assert replay_dead_letters(connection, limit=1) == Replayed(1, 0)
    assert replay_dead_letters(connection) == Replayed(1, 0)
    assert replay_dead_letters(connection) == Replayed(0, 0)
    assert posts(connection) == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert len(list(read_dead_letters(connection))) == 3


def test_a_message_that_is_too_long_to_keep_is_cut_and_stays(connection: Connection) -> None:
    long = os.urandom(MAX_SEND_BYTES)
    bury(connection, letter(connection, 1, "x" * 10_000, long))
    (stored,) = read_dead_letters(connection)
    assert stored.truncated
    assert stored.original_bytes == len(long)
    assert long.startswith(stored.letter.value)
    assert replay_dead_letters(connection) == Replayed(0, 1)
