"""Writing and reading on both brokers."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from streamwatch.config import Config
from streamwatch.errors import BrokerError, BrokerUnreachable, StreamMismatch
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import LocalBroker
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.sink import MAX_SEND_BYTES, Sink
from streamwatch.ingest.source import Committed, GroupMember, StreamReader, read_back
from streamwatch.streams import Kind, group_name, stream_name

pytestmark = pytest.mark.integration


def stream(connection: Connection, kind: Kind) -> str:
    return stream_name(kind, connection.kafka.prefix)


def read(source: StreamReader | GroupMember, count: int) -> dict[TopicPartition, list[bytes | None]]:
    """Poll until `count` messages came; the values by partition."""
    values: dict[TopicPartition, list[bytes | None]] = {}
    while sum(map(len, values.values())) < count:
        for partition, records in source.poll(10, 7).items():
            values.setdefault(partition, []).extend(record.value for record in records)
    return values


def member(connection: Connection, name: str, revoked: list[TopicPartition] | None = None) -> GroupMember:
    def on_revoked(partitions: Collection[TopicPartition]) -> None:
        if revoked is not None:
            revoked.extend(partitions)

    return GroupMember(
        connection,
        stream(connection, "posts"),
        group_name("score", connection.kafka.prefix),
        instance_id=name,
        session_timeout_s=6,
        on_revoked=on_revoked,
    )


def test_a_message_comes_back_as_it_was_sent(connection: Connection) -> None:
    scored = stream(connection, "scored")
    with Sink(connection) as sink:
        sink.send(scored, b"value", key=b"key", partition=2, headers=[("a", b"1"), ("b", b"")], timestamp_ms=1_234)
        sink.flush()
    with StreamReader(connection, [scored], "reader") as reader:
        reader.seek({})
        ((partition, (record,)),) = reader.poll(10, 10).items()
    assert partition == TopicPartition(scored, 2)
    assert (record.key, record.value, record.timestamp) == (b"key", b"value", 1_234)
    assert [tuple(header) for header in record.headers] == [("a", b"1"), ("b", b"")]


def test_a_heartbeat_has_neither_key_nor_value(connection: Connection) -> None:
    posts = stream(connection, "posts")
    with Sink(connection) as sink:
        sink.send(posts, None, partition=1, headers=[("heartbeat", b"2026-01-01T00:00:00+00:00")])
        sink.flush()
    with StreamReader(connection, [posts], "reader") as reader:
        reader.seek({})
        assert read(reader, 1) == {TopicPartition(posts, 1): [None]}


def test_on_a_backlog_the_partitions_take_turns(connection: Connection) -> None:
    posts = stream(connection, "posts")
    with Sink(connection) as sink:
        for number in range(1_200):
            sink.send(posts, b"value", partition=number % 3)
        sink.flush()
    taken: Counter[TopicPartition] = Counter()
    with member(connection, "only") as group:
        while taken.total() < 1_200:
            taken.update({partition: len(records) for partition, records in group.poll(10, 50).items()})
            begun = [taken[TopicPartition(posts, number)] for number in range(3)]
            assert max(begun) - min(begun) <= 100, "one partition is emptied before the next one begins"
    assert begun == [400, 400, 400]


def test_the_order_in_a_partition_is_kept(connection: Connection) -> None:
    posts = stream(connection, "posts")
    sent = [str(number).encode() for number in range(2_000)]
    with Sink(connection) as sink:
        for number, value in enumerate(sent):
            sink.send(posts, value, partition=number % 4)
        sink.flush()
    with StreamReader(connection, [posts], "reader") as reader:
        reader.seek({})
        values = read(reader, len(sent))
    assert values == {TopicPartition(posts, part): sent[part::4] for part in range(4)}


def test_a_reader_goes_on_where_it_committed(connection: Connection) -> None:
    posts, windows = stream(connection, "posts"), stream(connection, "windows")
    with Sink(connection) as sink:
        for number in range(5):
            sink.send(posts, str(number).encode(), partition=0)
        sink.send(windows, b"w")
        sink.flush()
    partition = TopicPartition(posts, 0)
    with StreamReader(connection, [posts, windows], "reader") as reader:
        assert reader.committed() == {}
        reader.seek({partition: 3})
        assert read(reader, 3) == {partition: [b"3", b"4"], TopicPartition(windows, 0): [b"w"]}
        assert reader.positions()[partition] == reader.end_offsets()[partition] == 5
        reader.commit({partition: 4}, "snapshot-17")
    with StreamReader(connection, [posts, windows], "reader") as reader:
        assert reader.committed() == {partition: Committed(4, "snapshot-17")}


@pytest.mark.parametrize(("start", "end"), [(0, 30), (7, 23), (29, 30), (30, 30)])
def test_a_part_of_a_partition_is_read_again(connection: Connection, start: int, end: int) -> None:
    posts = stream(connection, "posts")
    with Sink(connection) as sink:
        for number in range(30):
            sink.send(posts, str(number).encode(), partition=1)
        sink.flush()
    chunks = list(read_back(connection, TopicPartition(posts, 1), start, end))
    assert [int(message.value) for messages in chunks for message in messages] == list(range(start, end))


def test_a_position_behind_the_end_says_that_messages_are_lost(connection: Connection) -> None:
    posts = stream(connection, "posts")
    with (
        StreamReader(connection, [posts], "reader") as reader,
        pytest.raises(StreamMismatch, match=r"partition 3 ends at 0, and messages up to 7 were taken"),
    ):
        reader.seek({TopicPartition(posts, 3): 7})


def test_a_stream_that_does_not_exist_is_named(connection: Connection) -> None:
    with pytest.raises(BrokerError, match=r"stream no\.such does not exist"):
        StreamReader(connection, ["no.such"], "reader")
    with Sink(connection) as sink, pytest.raises(BrokerError, match=r"stream test.*Unrecognized partition 99"):
        sink.send(stream(connection, "posts"), b"", partition=99)


def test_the_largest_message_passes_and_a_larger_one_is_refused(connection: Connection) -> None:
    posts = stream(connection, "posts")
    largest = os.urandom(MAX_SEND_BYTES)
    with Sink(connection) as sink:
        with pytest.raises(BrokerError, match="over the limit"):
            sink.send(posts, largest + b"!")
        sink.send(posts, b"small", partition=0)
        sink.send(posts, largest, partition=0)
        sink.flush()
    with member(connection, "score-0") as group_member:
        assert read(group_member, 2) == {TopicPartition(posts, 0): [b"small", largest]}


def test_a_member_that_comes_back_keeps_its_partitions(connection: Connection) -> None:
    posts = stream(connection, "posts")
    with Sink(connection) as sink:
        for number in range(8):
            sink.send(posts, str(number).encode(), partition=number % 4)
        sink.flush()
    with member(connection, "score-0") as first:
        read(first, 8)
        assert first.assignment() == {TopicPartition(posts, part) for part in range(4)}
        first.commit({TopicPartition(posts, part): 1 for part in range(4)})
    with member(connection, "score-0") as second:
        assert read(second, 4) == {TopicPartition(posts, part): [str(4 + part).encode()] for part in range(4)}


def test_a_member_does_not_start_again_when_the_broker_lost_messages(connection: Connection) -> None:
    posts = stream(connection, "posts")
    with StreamReader(connection, [posts], group_name("score", connection.kafka.prefix)) as reader:
        reader.commit({TopicPartition(posts, 0): 5})
    with (
        member(connection, "score-0") as group_member,
        pytest.raises(StreamMismatch, match="ends at 0, and messages up to 5"),
    ):
        read(group_member, 1)


def test_nothing_is_written_after_a_message_that_failed(apache_connection: Connection) -> None:
    """A gap would be lost for good: readers drop what stands below the last offset that they applied."""
    scored = stream(apache_connection, "scored")
    with apache_connection.admin() as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, scored, {"max.message.bytes": "1000"})])
    with Sink(apache_connection) as sink:
        sink.send(scored, b"before", partition=0)
        sink.flush()
        for value in (os.urandom(10_000), b"after", b"long after"):
            sink.send(scored, value, partition=0)
        for _ in range(2):
            with pytest.raises(BrokerError, match=f"cannot write to stream {scored}"):
                sink.flush()
        with pytest.raises(BrokerError, match=f"cannot write to stream {scored}"):
            sink.send(scored, b"much later", partition=0)
    with StreamReader(apache_connection, [scored], "reader") as reader:
        reader.seek({})
        assert reader.end_offsets()[TopicPartition(scored, 0)] == 1
        assert read(reader, 1) == {TopicPartition(scored, 0): [b"before"]}


def send_until_full(sink: Sink, posts: str) -> int:
    """Send 10,000 bytes at a time until the sink takes no more; return how often it did."""
    for sent in range(1_000):
        try:
            sink.send(posts, bytes(10_000), partition=0)
        except BrokerUnreachable as error:
            if "the buffer is full" not in str(error):
                raise
            return sent
    message = "the sink takes whatever comes"
    raise AssertionError(message)


def test_a_sink_holds_only_so_much_while_the_broker_does_not_answer(noida: LocalBroker, tmp_path: Path) -> None:
    connection = connect(Config(state_dir=tmp_path / "noida"))
    ensure_streams(connection)
    posts = stream(connection, "posts")
    with Sink(connection, buffer_bytes=1_000_000, send_timeout_s=0.5) as sink:
        sink.send(posts, b"first", partition=0)
        sink.flush()
        os.kill(noida.pid, signal.SIGSTOP)
        sent = send_until_full(sink, posts)
        assert 50 < sent <= 100
        os.kill(noida.pid, signal.SIGCONT)
        sink.flush()
    with StreamReader(connection, [posts], "reader") as reader:
        assert reader.end_offsets()[TopicPartition(posts, 0)] == 1 + sent
