"""How far the stages are, on both brokers."""

from __future__ import annotations

import pytest
from kafka import TopicPartition

from streamwatch.errors import StageError
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.progress import STAGES, Progress, StageProgress, Waiting, wait_until_archived
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.streams import Kind, group_name, stream_name

pytestmark = pytest.mark.integration


def fill(connection: Connection, kind: Kind, count: int) -> None:
    with Sink(connection) as sink:
        for number in range(count):
            sink.send(stream_name(kind, connection.kafka.prefix), b"value", key=str(number).encode())
        sink.flush()


def commit(connection: Connection, stage: str) -> None:
    """Commit what a stage commits once it has done everything."""
    names = [stream_name(kind, connection.kafka.prefix) for kind in STAGES[stage]]
    with StreamReader(connection, names, group_name(stage, connection.kafka.prefix)) as reader:
        reader.commit({partition: end for partition, end in reader.end_offsets().items() if end})


def stages(connection: Connection) -> list[StageProgress]:
    with Progress(connection) as progress:
        return progress.stages()


def test_the_lag_is_what_is_not_committed(connection: Connection) -> None:
    fill(connection, "posts", 10)
    prefix = connection.kafka.prefix
    with StreamReader(connection, [f"{prefix}.posts"], group_name("score", prefix)) as reader:
        full = next(tp for tp, end in reader.end_offsets().items() if end)
        reader.commit({TopicPartition(*full): 1})
    score, *others = stages(connection)
    assert (score.stage, score.stream) == ("score", f"{prefix}.posts")
    assert (score.committed, score.end, score.lag) == (1, 10, 9)
    assert {stage.lag for stage in others} == {0}


def test_it_waits_for_one_stage_after_the_other(connection: Connection) -> None:
    """Each stage commits when it is waited for, and by then has written what the next one waits for."""
    fill(connection, "posts", 5)
    heard: list[Waiting] = []

    def on_progress(waiting: Waiting) -> None:
        heard.append(waiting)
        if waiting.left and waiting.stage == "score":
            fill(connection, "scored", 2)
            commit(connection, "score")
        elif waiting.left and waiting.stage == "watch":
            fill(connection, "windows", 3)
            commit(connection, "watch")
        elif waiting.left:
            commit(connection, "archive")

    wait_until_archived(connection, on_progress, timeout_s=30)
    assert [step for step in heard if step.left] == [Waiting("score", 5), Waiting("watch", 2), Waiting("archive", 2)]
    assert heard[-1] == Waiting("archive", 0)
    assert {stage.lag for stage in stages(connection)} == {0}


def test_a_stage_that_stands_still_is_named(connection: Connection) -> None:
    fill(connection, "posts", 3)
    with pytest.raises(StageError, match="stage score made no progress for 1 s; 3 messages are left"):
        wait_until_archived(connection, lambda _: None, timeout_s=1)
