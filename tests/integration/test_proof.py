"""An alert that WATCH told over a real broker is proved from what WATCH and ARCHIVE wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import polars as pl
import pytest

from jobs.archive import ArchiveStage
from jobs.watch import WatchStage
from streamwatch.codec import encode_batch, heartbeat_header
from streamwatch.config import Config
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import Sink
from streamwatch.store.history import History
from streamwatch.store.proof import Prover
from streamwatch.store.tables import Tables
from streamwatch.streams import stream_name
from streamwatch.watch.monitors import Monitors
from tests.scored_rows import START, Row, monitors, scored
from tests.stored_posts import RULES, quiet_day

pytestmark = pytest.mark.integration

MORE_RULES = Monitors((*RULES.monitors, *monitors(name='"more"', group_by='"source"').monitors))
TIMEOUT_S = 60


def send(connection: Connection, parts: Sequence[Sequence[Row]], first: Sequence[int], *, promise: float) -> None:
    """Send the rows of each partition twice, as SCORE may after a crash, then a heartbeat."""
    stream = stream_name("scored", connection.kafka.prefix)
    with Sink(connection) as sink:
        for partition, rows in enumerate(parts):
            for _ in range(2):
                sink.send(stream, encode_batch(scored(rows, partition, first[partition])), partition=partition)
        for partition in range(connection.kafka.partitions):
            sink.send(stream, None, partition=partition, headers=heartbeat_header(START + timedelta(minutes=promise)))
        sink.flush()


def run_until(stage: WatchStage | ArchiveStage, done: Callable[[], bool]) -> None:
    stage.open()
    try:
        until = time.monotonic() + TIMEOUT_S
        while not done():
            assert time.monotonic() < until
            stage.step()
        stage.drain()
    finally:
        stage.close()


def watch(config: Config, connection: Connection, rules: Monitors, minute: float) -> None:
    stage = WatchStage(config, connection, monitors=rules)
    watermark = (START + timedelta(minutes=minute)).isoformat()
    run_until(stage, lambda: stage.figures().get("watermark") == watermark)


def test_an_alert_that_lived_through_a_restart_and_another_file_is_proved(
    config: Config, connection: Connection
) -> None:
    rows = quiet_day()
    early, late = ([row for row in rows if (row.minute < 252) == side] for side in (True, False))
    posts = stream_name("posts", connection.kafka.prefix)
    with Sink(connection) as sink:
        for _ in rows:
            sink.send(posts, b"", partition=0)
            sink.send(posts, b"", partition=1)
        sink.flush()

    send(connection, (early[::2], early[1::2]), (0, 0), promise=250)
    watch(config, connection, RULES, 250)
    send(connection, (late[::2], late[1::2]), (len(early[::2]), len(early[1::2])), promise=600)
    watch(config, connection, MORE_RULES, 600)
    tables = Tables(config.store_url())
    run_until(
        ArchiveStage(config, connection),
        lambda: tables.rows("posts") == len(rows) and "resolved" in tables.scan("alerts").collect()["status"],
    )

    history = History(config.store_url(), connection.kafka.prefix)
    fingerprints = tables.latest("alerts").filter(pl.col("monitor") == "test").collect()["fingerprint"].to_list()
    assert len(fingerprints) == 1
    for from_start in (False, True):
        proof = Prover(tables, history, MORE_RULES, config.watch, from_start=from_start).prove(fingerprints[0])
        assert [telling.differences for telling in proof.tellings] == [[]] * len(proof.tellings)
        assert [replay.monitors_hash for replay in proof.replays] == [RULES.hash, MORE_RULES.hash]
