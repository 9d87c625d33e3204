"""How far every stage is, from what the broker knows alone: the ends of the streams and the groups' commits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec

from streamwatch.errors import BrokerError, StageError
from streamwatch.ingest.admin import stream_partitions
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.faults import PASSING, kafka_faults
from streamwatch.streams import Kind, group_name, stream_name

STAGES: dict[str, tuple[Kind, ...]] = {
    "score": ("posts",),
    "watch": ("scored",),
    "archive": ("scored", "windows", "alerts", "labels"),
}
"""Which streams each stage reads. Its consumer group is named after it."""

logger = logging.getLogger(__name__)

_POLL_S = 0.2

Offsets = dict[TopicPartition, int]


class StageProgress(NamedTuple):
    """How far a stage is in one of its streams, all partitions together.

    Attributes:
        stage: `score`, `watch` or `archive`.
        stream: The stream's full name.
        committed: Sum of the offsets that it has committed.
        end: Sum of the offsets that the next messages will get.
        lag: Messages that it has not done with.
    """

    stage: str
    stream: str
    committed: int
    end: int
    lag: int


class Waiting(NamedTuple):
    """What `wait_until_archived` waits for: a stage, and how many messages are left."""

    stage: str
    left: int


class _Step(NamedTuple):
    stages: tuple[str, ...]
    streams: tuple[Kind, ...]


_STEPS = (
    _Step(("score",), ("posts",)),
    _Step(("watch", "archive"), ("scored",)),
    _Step(("archive",), ("windows", "alerts")),
)
"""One after the other: what a stage writes is complete once it has committed what it read."""


class Progress:
    """Asks the broker how far the stages are, again and again over one connection. Use it in a `with`.

    Raises:
        BrokerError: A stream does not exist, or the broker does not answer or does not let us.
    """

    def __init__(self, connection: Connection) -> None:
        self._prefix = connection.kafka.prefix
        names = {name for kinds in STAGES.values() for name in self._names(kinds)}
        self._partitions = stream_partitions(connection, sorted(names))
        self._admin: KafkaAdminClient = connection.admin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.close()

    def stages(self) -> list[StageProgress]:
        """Return how far every stage is in each of its streams."""
        names = {name for kinds in STAGES.values() for name in self._names(kinds)}
        begins = self._offsets(sorted(names), OffsetSpec.EARLIEST)
        ends = self._offsets(sorted(names), OffsetSpec.LATEST)
        found = []
        for stage, kinds in STAGES.items():
            commits = self._commits(stage)
            for name in self._names(kinds):
                own = [partition for partition in ends if partition.topic == name]
                done = {tp: max(commits.get(tp, 0), begins[tp]) for tp in own}
                lag = sum(max(0, ends[tp] - done[tp]) for tp in own)
                found.append(StageProgress(stage, name, sum(done.values()), sum(ends[tp] for tp in own), lag))
        return found

    def ends(self, kinds: Sequence[Kind]) -> Offsets:
        """Return the ends of some streams as they are now."""
        return self._offsets(self._names(kinds), OffsetSpec.LATEST)

    def left(self, stage: str, goal: Offsets) -> int:
        """Return how many messages a stage still has to do before it has committed `goal`."""
        commits = self._commits(stage)
        begins = self._offsets(sorted({tp.topic for tp in goal}), OffsetSpec.EARLIEST)
        return sum(max(0, end - max(commits.get(tp, 0), begins[tp])) for tp, end in goal.items())

    def finished(self, stage: str, kind: Kind) -> set[int]:
        """Return the partitions of a stream in which a stage has committed everything."""
        goal = self.ends([kind])
        begins = self._offsets(self._names([kind]), OffsetSpec.EARLIEST)
        commits = self._commits(stage)
        return {tp.partition for tp, end in goal.items() if max(commits.get(tp, 0), begins[tp]) >= end}

    def _names(self, kinds: Sequence[Kind]) -> list[str]:
        return [stream_name(kind, self._prefix) for kind in kinds]

    def _offsets(self, names: Sequence[str], spec: OffsetSpec) -> Offsets:
        wanted = {TopicPartition(name, number): spec for name in names for number in range(self._partitions[name])}
        with kafka_faults("look up the ends of the streams"):
            found = self._admin.list_partition_offsets(wanted)
        return {partition: at.offset for partition, at in found.items()}

    def _commits(self, stage: str) -> Offsets:
        group = group_name(stage, self._prefix)
        with kafka_faults(f"look up the commits of group {group}"):
            found = self._admin.list_group_offsets(group).get(group, {})
        return {partition: commit.offset for partition, commit in found.items() if commit.offset >= 0}


def wait_until_archived(connection: Connection, on_progress: Callable[[Waiting], None], timeout_s: float) -> None:
    """Return when every post that is in the stream now, and all that follows from it, stands in the tables.

    SCORE has to commit the posts; then WATCH and ARCHIVE what is in `scored`; then ARCHIVE the windows and alerts.

    Args:
        connection: Where the streams are.
        on_progress: Called several times a second with what is left.
        timeout_s: Longest time without any progress.

    Raises:
        StageError: A stage makes no progress for `timeout_s`.
        BrokerError: The broker does not let us.
    """
    with Progress(connection) as progress:
        for step in _STEPS:
            goal = progress.ends(step.streams)
            for stage in step.stages:
                _wait_for(progress, stage, goal, on_progress, timeout_s)


def _wait_for(
    progress: Progress, stage: str, goal: Offsets, on_progress: Callable[[Waiting], None], timeout_s: float
) -> None:
    fewest, since = None, time.monotonic()
    while True:
        left = _left(progress, stage, goal)
        if left is not None:
            on_progress(Waiting(stage, left))
            if left == 0:
                return
            if fewest is None or left < fewest:
                fewest, since = left, time.monotonic()
        if time.monotonic() - since > timeout_s:
            message = f"stage {stage} made no progress for {timeout_s:.0f} s; {fewest} messages are left"
            raise StageError(message)
        time.sleep(_POLL_S)


def _left(progress: Progress, stage: str, goal: Offsets) -> int | None:
    """Return what is left, or None while the broker is away for a moment."""
    try:
        return progress.left(stage, goal)
    except BrokerError as error:
        if not isinstance(error.__cause__, PASSING):
            raise
        logger.warning("%s", error)
        return None
