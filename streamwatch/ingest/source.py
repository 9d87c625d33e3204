"""Reading from the streams: all partitions by hand, or a share of them as a member of a group."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.consumer.fetcher import ConsumerRecord
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.future import Future
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata

from streamwatch.errors import StreamMismatch
from streamwatch.ingest.admin import stream_partitions
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.faults import PASSING, broker_error, kafka_faults
from streamwatch.streams import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

Positions = Mapping[TopicPartition, int]
Records = dict[TopicPartition, list[ConsumerRecord]]

COMMIT_TIMEOUT_S = 60.0
"""Longest try to commit while the broker is away."""
MAX_POLL_INTERVAL_MS = 600_000
"""A member that does not poll for this long has hung, and the group goes on without it."""

_READ: dict[str, Any] = {
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    "allow_auto_create_topics": False,
    "max_partition_fetch_bytes": MAX_MESSAGE_BYTES,
    "fetch_max_bytes": 32 * 1024 * 1024,
}
QUEUED_BYTES = 16 * 1024 * 1024
"""A member takes no more from its consumer while so much waits for its turn."""
QUEUED_AT_A_TIME = 10_000

_REQUEST_TIMEOUT_MS = 30_000
_SLICE_S = 0.1
"""How soon partitions that come in the middle of a poll are read."""


class Committed(NamedTuple):
    """What a group has committed for a partition: the next offset to read, and a word beside it."""

    offset: int
    metadata: str


class StreamReader:
    """All partitions of some streams, read from where the caller says.

    Args:
        connection: Where to read.
        streams: Full names.
        group: Under which name positions are committed. The group assigns nothing.

    Attributes:
        partitions: Every partition of the streams, in order.

    Raises:
        BrokerError: The broker does not answer, or does not let us.
    """

    def __init__(self, connection: Connection, streams: Sequence[str], group: str) -> None:
        counts = stream_partitions(connection, streams)
        self.partitions = [TopicPartition(name, number) for name in streams for number in range(counts[name])]
        self._group = group
        self._consumer = connection.consumer(group_id=group, request_timeout_ms=_REQUEST_TIMEOUT_MS, **_READ)
        self._consumer.assign(self.partitions)

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def committed(self) -> dict[TopicPartition, Committed]:
        """Return what the group has committed; partitions without a commit are left out."""
        found = {}
        with kafka_faults(f"read the commits of group {self._group}"):
            for partition in self.partitions:
                commit = self._consumer.committed(partition, metadata=True, timeout_ms=_REQUEST_TIMEOUT_MS)
                if commit is not None:
                    found[partition] = Committed(commit.offset, commit.metadata or "")
        return found

    def seek(self, positions: Positions) -> None:
        """Go on from these offsets, and from the beginning in the other partitions.

        Raises:
            StreamMismatch: A partition ends before its offset: the broker lost messages, or it is another one.
        """
        _check_positions(positions, self.end_offsets())
        for partition in self.partitions:
            if partition in positions:
                self._consumer.seek(partition, positions[partition])
            else:
                self._consumer.seek_to_beginning(partition)

    def poll(self, timeout_s: float, max_records: int) -> Records:
        """Return the next messages by partition, as soon as there are any, offsets rising in each."""
        return _poll(self._consumer, timeout_s, max_records, f"read as {self._group}")

    def positions(self) -> dict[TopicPartition, int]:
        """Return the next offset to read for each partition."""
        with kafka_faults(f"find the positions of {self._group}"):
            found = {
                partition: self._consumer.position(partition, timeout_ms=_REQUEST_TIMEOUT_MS)
                for partition in self.partitions
            }
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def end_offsets(self) -> dict[TopicPartition, int]:
        """Return the offset that the next message of each partition will get."""
        with kafka_faults("find the ends of the streams"):
            return dict(self._consumer.end_offsets(self.partitions))

    def commit(self, positions: Positions, metadata: str = "") -> None:
        """Commit the next offsets to read, a word beside each.

        Raises:
            BrokerError: The broker does not take it within `COMMIT_TIMEOUT_S`.
        """
        _commit(self._consumer, positions, metadata, self._group)

    def close(self) -> None:
        """End; nothing is committed."""
        self._consumer.close(autocommit=False, timeout_ms=5_000)


def read_back(
    connection: Connection, partition: TopicPartition, start: int, end: int
) -> Iterator[Sequence[ConsumerRecord]]:
    """Yield the messages of a partition at the offsets `[start, end)` that the broker still has.

    Raises:
        BrokerError: The broker does not answer, or does not let us.
    """
    consumer = connection.consumer(group_id=None, request_timeout_ms=_REQUEST_TIMEOUT_MS, **_READ)
    try:
        consumer.assign([partition])
        consumer.seek(partition, start)
        doing = f"read {partition.topic}[{partition.partition}] again"
        while consumer.position(partition, timeout_ms=_REQUEST_TIMEOUT_MS) < end:
            messages = _poll(consumer, _SLICE_S, QUEUED_AT_A_TIME, doing).get(partition, [])
            if before := [message for message in messages if message.offset < end]:
                yield before
    finally:
        consumer.close(autocommit=False, timeout_ms=5_000)


class GroupMember:
    """A member of a consumer group: it reads the partitions that the group gives it.

    Membership is static: one that restarts within its session gets its partitions back, and nothing moves.

    Args:
        connection: Where to read.
        stream: Full name.
        group: The consumer group.
        instance_id: The member's name, the only one of its kind in the group.
        session_timeout_s: How long it may be silent before its partitions go to others.
        on_revoked: Called, in another thread while `poll` waits, before partitions go: finish what is in flight and
            commit it. Also called when they are lost already, where `commit` raises MembershipLost. Not called by
            `close`.

    Raises:
        BrokerError: The broker does not answer, or does not let us.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        group: str,
        *,
        instance_id: str,
        session_timeout_s: float,
        on_revoked: Callable[[Collection[TopicPartition]], None],
    ) -> None:
        stream_partitions(connection, [stream])
        self._group = group
        self._listener = _Listener(on_revoked)
        self._consumer: _MemberConsumer = connection.open(
            _MemberConsumer,
            {
                "group_id": group,
                "group_instance_id": instance_id,
                "session_timeout_ms": round(session_timeout_s * 1000),
                "heartbeat_interval_ms": round(min(3.0, session_timeout_s / 4) * 1000),
                "max_poll_interval_ms": MAX_POLL_INTERVAL_MS,
                "request_timeout_ms": _REQUEST_TIMEOUT_MS,
                "kafka_client": self._listener.make_client,
                **_READ,
            },
        )
        self._listener.pause = self._consumer.pause
        self._consumer.subscribe([stream], listener=self._listener)
        self._queues: dict[TopicPartition, deque[ConsumerRecord]] = {}
        self._queued_bytes: Counter[TopicPartition] = Counter()

    def __enter__(self) -> GroupMember:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self, timeout_s: float, max_records: int) -> Records:
        """Return the next messages of one partition, as soon as there are any, offsets rising.

        The partitions take turns, so that on a backlog all of them get on together: event time, which is the least
        of theirs, moves on. kafka-python by itself empties what it fetched of one before it begins with the next.

        Joining the group and rebalances happen inside; poll at least every few minutes to stay a member.

        Raises:
            StreamMismatch: A partition ends before what the group has committed: the broker lost messages.
            BrokerError: The broker does not let us, or another process joined under our name.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            slice_s = max(0.0, min(left_s, _SLICE_S))
            self._consumer.join_again_if_over()
            records = self._take_turns(slice_s, max_records)
            fresh = self._listener.take_unchecked() & self.assignment()
            if fresh:
                self._check(fresh)
                self._consumer.resume(*fresh)
            if records or left_s <= _SLICE_S:
                return records

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are ours now."""
        return set(self._consumer.assignment() or ())

    def commit(self, positions: Positions) -> None:
        """Commit the next offsets to read.

        Raises:
            MembershipLost: The partitions are no longer ours; what was not committed comes again, there or here.
            BrokerError: The broker does not take it within `COMMIT_TIMEOUT_S`.
        """
        _commit(self._consumer, positions, "", self._group)

    def close(self) -> None:
        """End without leaving the group: the partitions wait for the member's return until its session is over."""
        self._listener.closing = True
        self._consumer.close(autocommit=False, timeout_ms=5_000)

    def _take_turns(self, timeout_s: float, max_records: int) -> Records:
        """Return messages of the partition whose turn it is, out of a queue for each.

        Pausing those that were served would do without queues, but in kafka-python 3.0.12 a partition without
        messages then keeps what was fetched of the others from ever being handed out.
        """
        full = sum(self._queued_bytes.values()) >= QUEUED_BYTES
        # Even with full queues it has to be polled, to remain a member.
        wanted = 1 if full else QUEUED_AT_A_TIME
        timeout_s = 0.0 if self._queues else timeout_s
        polled = _poll(self._consumer, timeout_s, wanted, f"read as a member of {self._group}")
        for partition in self._listener.unchecked | (self._queues.keys() - self.assignment()):
            self._queues.pop(partition, None)  # whoever owns it now reads on from its commit
            self._queued_bytes.pop(partition, None)
        for partition, records in polled.items():
            self._queues.setdefault(partition, deque()).extend(records)
            self._queued_bytes[partition] += sum(len(record.value or b"") for record in records)
        if not self._queues:
            return {}
        partition = next(iter(self._queues))
        queue = self._queues.pop(partition)
        records = [queue.popleft() for _ in range(min(max_records, len(queue)))]
        self._queued_bytes[partition] -= sum(len(record.value or b"") for record in records)
        if queue:
            self._queues[partition] = queue
        return {partition: records}

    def _check(self, partitions: set[TopicPartition]) -> None:
        with kafka_faults(f"find the positions of {self._group}"):
            positions = {tp: self._consumer.position(tp, timeout_ms=_REQUEST_TIMEOUT_MS) for tp in partitions}
            ends = self._consumer.end_offsets(list(partitions))
        _check_positions({tp: offset for tp, offset in positions.items() if offset is not None}, ends)


class _MemberConsumer(KafkaConsumer):  # type: ignore[misc]  # kafka-python has no types
    def join_again_if_over(self) -> None:
        """Join the group anew when the broker has not answered a heartbeat for the whole session.

        Only so does a member learn that another one joined under its name: kafka-python then stops its heartbeats
        and goes on reading as if nothing had happened.
        """
        if self._coordinator.heartbeat.session_timeout_expired():
            self._coordinator.request_rejoin()


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Runs `on_revoked` in a thread of its own: kafka-python calls us in the thread that a commit needs."""

    def __init__(self, on_revoked: Callable[[Collection[TopicPartition]], None]) -> None:
        self.closing = False
        self.pause: Callable[..., None]
        self._on_revoked = on_revoked
        self.unchecked: set[TopicPartition] = set()
        self._client: KafkaNetClient | None = None

    def make_client(self, **configs: Any) -> KafkaNetClient:
        self._client = KafkaNetClient(**configs)
        return self._client

    def take_unchecked(self) -> set[TopicPartition]:
        """Return the partitions assigned since the last call; they are paused until they are checked."""
        unchecked, self.unchecked = self.unchecked, set()
        return unchecked

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        logger.info("assigned %s", _names(assigned))
        self.pause(*assigned)
        self.unchecked = set(assigned)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked and not self.closing:
            logger.info("revoked %s", _names(revoked))
            done = Future()
            threading.Thread(target=self._revoke, args=(set(revoked), done), name="on-revoked", daemon=True).start()
            await done

    async def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        await self.on_partitions_revoked(lost)

    def _revoke(self, revoked: set[TopicPartition], done: Future) -> None:
        try:
            self._on_revoked(revoked)
        except BaseException as error:  # handed to poll, which waits for it
            done.failure(error)
        else:
            done.success(None)
        if self._client is not None:
            self._client.wakeup()


def _poll(consumer: KafkaConsumer, timeout_s: float, max_records: int, doing: str) -> Records:
    with kafka_faults(doing):
        records: Records = consumer.poll(timeout_ms=round(timeout_s * 1000), max_records=max_records)
    return records


def _commit(consumer: KafkaConsumer, positions: Positions, metadata: str, group: str) -> None:
    if not positions:
        return
    offsets = {partition: OffsetAndMetadata(offset, metadata, -1) for partition, offset in positions.items()}
    deadline = time.monotonic() + COMMIT_TIMEOUT_S
    backoff_s = 0.1
    while True:
        left_s = deadline - time.monotonic()
        try:
            consumer.commit(offsets, timeout_ms=max(1, round(left_s * 1000)))
        except errors.KafkaError as error:
            failure = broker_error(error, f"commit for group {group}")
            if not isinstance(error, PASSING) or left_s < backoff_s:
                raise failure from error
            logger.warning("%s: trying again in %.1f s", failure, backoff_s)
            time.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, 2.0)
        else:
            return


def _check_positions(positions: Positions, ends: Positions) -> None:
    for partition, offset in positions.items():
        if partition in ends and offset > ends[partition]:
            message = (
                f"stream {partition.topic}, partition {partition.partition} ends at {ends[partition]}, and messages "
                f"up to {offset} were taken from it: the broker lost messages, or it is another broker"
            )
            raise StreamMismatch(message)


def _names(partitions: Collection[TopicPartition]) -> str:
    return ", ".join(f"{name}[{number}]" for name, number in sorted(partitions))
