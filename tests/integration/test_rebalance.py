"""Two SCORE members on the real Kafka: one is cut off, its partitions move, it comes back, and nothing is doubled."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.crash import running_parts
from jobs.feeder import Feeder
from jobs.monitor_process import MonitorProcess, free_port
from streamwatch.config import Config, MetricsConfig, ModelConfig, ScoreConfig
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.marketday import market_day
from streamwatch.ingest.progress import Progress, wait_until_archived
from streamwatch.records import Post
from streamwatch.store.tables import Tables

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DAY = (datetime.now(UTC) - timedelta(days=4)).date()


def wait_until_scored(connection: Connection) -> None:
    """Wait until the group has committed every post, whoever of it is left."""
    deadline = time.monotonic() + 120
    with Progress(connection) as progress:
        goal = progress.ends(["posts"])
        while progress.left("score", goal):
            assert time.monotonic() < deadline, "the partitions of the silent member did not move"


def feed(config: Config, connection: Connection, posts: list[Post], *, heartbeat: bool) -> None:
    feeder = Feeder(config, connection, posts, heartbeat=heartbeat)
    feeder.start()
    feeder.finish()


def test_partitions_of_a_silent_member_move_and_its_return_does_no_harm(kafka_home: Path, tmp_path: Path) -> None:
    config = Config(
        state_dir=tmp_path / "state",
        model=ModelConfig(max_tokens=32),
        score=ScoreConfig(members=2, micro_batch_posts=32, session_timeout_s=6),
        metrics=MetricsConfig(port=free_port()),
    )
    posts = list(market_day(DAY, posts=1_200, seed=8).posts)
    with MonitorProcess(config, os.environ | {"KAFKA_HOME": str(kafka_home)}) as monitor:
        monitor.wait_until_up()
        connection = connect(config)
        silent = running_parts(monitor)["SCORE-1"]
        feed(config, connection, posts[:400], heartbeat=False)
        os.kill(silent, signal.SIGSTOP)
        feed(config, connection, posts[400:800], heartbeat=False)
        wait_until_scored(connection)
        os.kill(silent, signal.SIGCONT)
        feed(config, connection, posts[800:], heartbeat=True)
        wait_until_archived(connection, lambda *_: None, timeout_s=120)
        monitor.stop()
    archived = Tables(config.store_url()).scan("posts").select("id").collect()["id"]
    assert Counter(archived) == Counter(post.id for post in posts)
