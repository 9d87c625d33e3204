"""Members that come, go, die and hang, on the real Kafka: noida-db never evicts anybody."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kafka import TopicPartition

from streamwatch.errors import BrokerError, MembershipLost
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import GroupMember, StreamReader
from streamwatch.streams import group_name, stream_name

pytestmark = pytest.mark.integration

ALL = {0, 1, 2, 3}


class Child:
    """A member in a process of its own."""

    def __init__(self, connection: Connection, name: str) -> None:
        program = Path(__file__).with_name("member_process.py")
        command = [sys.executable, str(program), connection.servers, connection.kafka.prefix, name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def hear(self, start: str) -> str:
        """Return the next line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line.strip()
        message = f"the member ended before it said {start!r}"
        raise AssertionError(message)


@pytest.fixture
def child(apache_connection: Connection) -> Iterator[Callable[[str], Child]]:
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Child(apache_connection, name))


def member(
    connection: Connection, name: str, on_revoked: Callable[[Collection[TopicPartition]], None] = lambda _: None
) -> GroupMember:
    return GroupMember(
        connection,
        stream_name("posts", connection.kafka.prefix),
        group_name("score", connection.kafka.prefix),
        instance_id=name,
        session_timeout_s=6,
        on_revoked=on_revoked,
    )


def partitions(group_member: GroupMember) -> set[int]:
    return {partition.partition for partition in group_member.assignment()}


def poll_until(group_member: GroupMember, done: Callable[[], bool]) -> None:
    while not done():
        group_member.poll(0.1, 10)


def committed(connection: Connection) -> dict[int, int]:
    posts, group = stream_name("posts", connection.kafka.prefix), group_name("score", connection.kafka.prefix)
    with StreamReader(connection, [posts], group) as reader:
        return {partition.partition: commit.offset for partition, commit in reader.committed().items()}


def test_a_second_member_takes_half_after_the_first_committed(
    apache_connection: Connection, child: Callable[[str], Child]
) -> None:
    """The first commits inside `on_revoked`, while its partitions are still its own."""
    posts = stream_name("posts", apache_connection.kafka.prefix)
    with Sink(apache_connection) as sink:
        for partition in ALL:
            sink.send(posts, b"post", partition=partition)
        sink.flush()
    seen: dict[TopicPartition, int] = {}

    def on_revoked(_: Collection[TopicPartition]) -> None:
        first.commit(seen)

    with member(apache_connection, "score-0", on_revoked) as first:
        while len(seen) < 4:
            for partition, records in first.poll(0.1, 10).items():
                seen[partition] = records[-1].offset + 1
        assert committed(apache_connection) == {}
        second = child("score-1")
        poll_until(first, lambda: len(partitions(first)) == 2)
        theirs = {int(part) for part in second.hear("partitions").split()[1:]}
        assert partitions(first) | theirs == ALL
        assert committed(apache_connection) == dict.fromkeys(ALL, 1)


def test_the_partitions_of_a_killed_member_move(apache_connection: Connection, child: Callable[[str], Child]) -> None:
    other = child("score-1")
    other.hear("partitions 0 1 2 3")
    with member(apache_connection, "score-0") as survivor:
        poll_until(survivor, lambda: len(partitions(survivor)) == 2)
        other.process.send_signal(signal.SIGKILL)
        poll_until(survivor, lambda: partitions(survivor) == ALL)


def test_a_member_that_hung_is_evicted_and_cannot_commit(
    apache_connection: Connection, child: Callable[[str], Child]
) -> None:
    other = child("score-1")
    other.hear("partitions 0 1 2 3")
    with member(apache_connection, "score-0") as survivor:
        poll_until(survivor, lambda: len(partitions(survivor)) == 2)
        other.process.send_signal(signal.SIGSTOP)
        poll_until(survivor, lambda: partitions(survivor) == ALL)
        other.process.send_signal(signal.SIGUSR1)
        other.process.send_signal(signal.SIGCONT)
        assert other.hear("commit") == f"commit {MembershipLost.__name__}"


def test_two_members_of_one_name_do_not_both_go_on(
    apache_connection: Connection, child: Callable[[str], Child]
) -> None:
    with member(apache_connection, "score-0") as first:
        poll_until(first, lambda: partitions(first) == ALL)
        child("score-0").hear("partitions 0 1 2 3")
        with pytest.raises(BrokerError, match="another process has joined under the same member name"):
            poll_until(first, lambda: False)
