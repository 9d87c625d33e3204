"""SIGKILL of WATCH in the middle of a surge, again and again: the alerts are those of a run that nobody disturbs."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from jobs.close_latency import close_to_alert
from jobs.monitor_process import to_toml
from streamwatch.codec import encode_batch, heartbeat_header
from streamwatch.config import Config, KafkaConfig, MonitorsConfig, WatchConfig
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import LocalBroker
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.records import Alert
from streamwatch.streams import group_name, stream_name
from streamwatch.watch import Watch
from streamwatch.watch.monitors import load_monitors
from tests.conftest import fresh_prefix
from tests.scored_rows import START, scored
from tests.stored_posts import quiet_day, talk

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

KILLS = 10
FAR = START + timedelta(hours=12)
RULES = """
[[monitor]]
name = "negative"
group_by = "entity"
window = "60m"
hop = "5m"
measure = "negative_count"
keep_firing_for = "20m"

[[monitor]]
name = "topic"
group_by = ["entity", "topic"]
window = "30m"
hop = "10m"
measure = "negative_share"
false_alarms = "1 an hour"
"""
Telling = tuple[str, datetime]


@pytest.fixture
def watched(apache: LocalBroker, tmp_path: Path) -> Config:
    """A WATCH that writes checkpoints often: many moments in which a kill does harm."""
    rules = tmp_path / "monitors.toml"
    rules.write_text(RULES, encoding="utf-8")
    kafka = KafkaConfig(bootstrap_servers=apache.bootstrap_servers, prefix=fresh_prefix())
    watch = WatchConfig(allowed_lateness_s=60, idle_after_s=600, checkpoint_every_s=0.3)
    return Config(state_dir=tmp_path, kafka=kafka, watch=watch, monitors=MonitorsConfig(file=rules))


def batches() -> list[pa.RecordBatch]:
    """Return a day of two partitions with a surge of an hour: its quiet part in large pieces, the surge in small."""
    surge = talk((245 + index / 3 for index in range(150)), "negative", "IBM")
    rows = sorted([*quiet_day(), *surge], key=lambda row: row.minute)
    found, at = [], [0, 0]
    for first in range(0, len(rows), 12):
        for partition in (0, 1):
            part = rows[first : first + 12][partition::2]
            found.append(scored(part, partition, at[partition]))
            at[partition] += len(part)
    return [batch for batch in found if batch.num_rows]


def undisturbed(config: Config, sent: Sequence[pa.RecordBatch]) -> dict[Telling, Alert]:
    watch = Watch(load_monitors(config.monitors.file), config.watch)
    watch.assign([0, 1])
    for batch in sent:
        watch.apply(batch)
    for partition in (0, 1):
        watch.heartbeat(partition, FAR)
    return {(alert.fingerprint, alert.updated_at): alert for alert in watch.close().alerts}


def told(connection: Connection) -> dict[Telling, list[Alert]]:
    """Return every telling on the stream with all its copies."""
    prefix = connection.kafka.prefix
    found = defaultdict(list)
    with StreamReader(connection, [stream_name("alerts", prefix)], group_name("archive", prefix)) as reader:
        reader.seek({})
        left = sum(reader.end_offsets().values())
        while left:
            for messages in reader.poll(0.2, 500).values():
                left -= len(messages)
                for message in messages:
                    alert = msgspec.json.decode(message.value, type=Alert)
                    found[alert.fingerprint, alert.updated_at].append(alert)
    return found


def windows_told(connection: Connection) -> int:
    prefix = connection.kafka.prefix
    with StreamReader(connection, [stream_name("windows", prefix)], group_name("archive", prefix)) as reader:
        return sum(reader.end_offsets().values())


def more_windows(connection: Connection, before: int) -> bool:
    return windows_told(connection) > before


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "WATCH ended by itself"
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def running(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run WATCH until the end of the `with`, and kill it there."""
    process = subprocess.Popen([sys.executable, "-m", "tests.integration.watch_process", str(file)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_ten_kills_in_a_surge_tell_the_same_alerts_and_none_twice(watched: Config, tmp_path: Path) -> None:
    file, chance, sent = tmp_path / "streamwatch.toml", random.Random(5), batches()
    file.write_text(to_toml(watched), encoding="utf-8")
    connection = connect(watched)
    ensure_streams(connection)
    scored_stream = stream_name("scored", watched.kafka.prefix)
    expected = undisturbed(watched, sent)
    assert len({fingerprint for fingerprint, _ in expected}) >= 3

    minutes = [(batch["published_at"][0].as_py() - START) / timedelta(minutes=1) for batch in sent]
    cuts = [0, *(bisect_left(minutes, 240 + 6 * kill) for kill in range(1, KILLS)), len(sent)]
    with Sink(connection) as sink:

        def promise(partitions: range) -> None:
            for partition in partitions:
                sink.send(scored_stream, None, partition=partition, headers=heartbeat_header(FAR))
            sink.flush()

        promise(range(2, watched.kafka.partitions))
        for first, until in pairwise(cuts):
            before = windows_told(connection)
            with running(file) as process:
                for batch in sent[first:until]:
                    sink.send(scored_stream, encode_batch(batch), partition=batch["source_partition"][0].as_py())
                sink.flush()
                wait_for(partial(more_windows, connection, before), process)
                time.sleep(chance.uniform(0.0, 0.5))
        promise(range(2))
    with running(file) as process:
        wait_for(lambda: told(connection).keys() >= expected.keys(), process)

    found = told(connection)
    assert found.keys() == expected.keys()
    for telling, copies in found.items():
        assert all(copy == expected[telling] for copy in copies), telling
    assert len(close_to_alert(watched, connection, START)) == len(expected), "each pane is known to have closed before"
