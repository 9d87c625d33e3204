"""Kill parts of a loaded monitor at random, and compare what is left with a run that nobody disturbed.

Both runs get the same posts at the same source offsets. The model runs in fp32, so that how micro-batches were cut does
not show. Then every post, window and alert must be the same, row for row; only when a row was written, and where WATCH
stood when it sent an alert, may differ.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
import psutil

from jobs.feeder import Feeder
from jobs.monitor_process import MonitorProcess, free_port
from streamwatch.config import (
    Config,
    MetricsConfig,
    ModelConfig,
    ScoreConfig,
    ServeConfig,
    StoreConfig,
    WatchConfig,
)
from streamwatch.ingest.connection import connect
from streamwatch.ingest.progress import wait_until_archived
from streamwatch.records import Post
from streamwatch.store.tables import Tables

log = logging.getLogger(__name__)


def crash_config(folder: Path) -> Config:
    """Return a configuration with small micro-batches and frequent commits: many moments in which a kill does harm."""
    return Config(
        state_dir=folder,
        model=ModelConfig(runtime="onnx-fp32", max_tokens=32),
        serve=ServeConfig(replicas=2),
        score=ScoreConfig(micro_batch_posts=32),
        watch=WatchConfig(checkpoint_every_s=1.0),
        store=StoreConfig(flush_after_s=0.5, compact_every_commits=20),
        metrics=MetricsConfig(port=free_port()),
    )


PARTS = ["SCORE-0", "WATCH", "ARCHIVE", "replica-0", "replica-1"]
REPLICA = "ServeReplica:streamwatch-scorer"
POSTS_PER_S = 60.0
"""Load while parts are killed: about a third of what two cores score, so that the monitor catches up between kills."""
SHORTEST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 4.0
TOLERANCE = 1e-4
"""Probabilities in fp32 may differ in the last digits where a matrix product was cut elsewhere."""


class Outcome(NamedTuple):
    """What a run left behind."""

    posts: pl.DataFrame
    windows: pl.DataFrame
    alerts: pl.DataFrame
    kills: Counter[str]
    seconds: float


def run_posts(
    folder: Path,
    posts: Sequence[Post],
    *,
    kills: int = 0,
    seed: int = 0,
    kafka_home: Path | None = None,
    on_kill: Callable[[str], None] = lambda part: None,
) -> Outcome:
    """Run a monitor over posts, kill parts of it on the way, and return what its tables hold in the end.

    Args:
        folder: A fresh state folder.
        posts: In event-time order; they go to the source partitions in turn.
        kills: How many SIGKILLs; the posts are spread over the time that they take.
        seed: Of the choice of parts and moments.
        kafka_home: An Apache Kafka, whose broker is killed too: it keeps what it acknowledged. None: noida-db, which
            does not, and is left alone.
        on_kill: Told the name of each part that was killed.

    Raises:
        StageError: The monitor does not come up, or does not end cleanly.
    """
    started = time.monotonic()
    config = crash_config(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "author.key").write_text("the same pseudonyms in both runs")
    with MonitorProcess(config, os.environ | {"KAFKA_HOME": str(kafka_home or "")}) as monitor:
        monitor.wait_until_up()
        connection = connect(config)
        done = threading.Event()
        killed: Counter[str] = Counter()
        feeder = Feeder(config, connection, posts, done, posts_per_s=POSTS_PER_S if kills else None)
        feeder.start()
        if kills:
            parts = [*PARTS, "broker"] if kafka_home else PARTS
            killed = _kill_parts(monitor, kills, parts, random.Random(seed), on_kill)
        done.set()
        feeder.finish()
        wait_until_archived(connection, lambda *_: None, timeout_s=300)
        monitor.stop()
    tables = Tables(config.store_url())
    posts_left, windows, alerts = (tables.latest(name).collect() for name in ("posts", "windows", "alerts"))
    return Outcome(posts_left, windows, alerts, killed, time.monotonic() - started)


def _kill_parts(
    monitor: MonitorProcess,
    kills: int,
    parts: Sequence[str],
    chance: random.Random,
    on_kill: Callable[[str], None],
) -> Counter[str]:
    killed: Counter[str] = Counter()
    while killed.total() < kills:
        time.sleep(chance.uniform(SHORTEST_PAUSE_S, LONGEST_PAUSE_S))
        running = running_parts(monitor)
        choice = [part for part in parts if part in running]
        if not choice:
            continue
        part = chance.choice(choice)
        try:
            os.kill(running[part], signal.SIGKILL)
        except ProcessLookupError:  # the last kill of this part is not yet in the monitor's status
            continue
        killed[part] += 1
        on_kill(part)
    return killed


def running_parts(monitor: MonitorProcess) -> dict[str, int]:
    """Return the processes of a monitor's parts that run now: stages, `replica-0` and on, its own `broker`."""
    status = monitor.status()
    if status is None:
        return {}
    pids = {name: stage["pid"] for name, stage in status["stages"].items() if stage["pid"]}
    replicas = [child.pid for child in psutil.Process(monitor.pid).children(recursive=True) if REPLICA in _title(child)]
    pids |= {f"replica-{number}": pid for number, pid in enumerate(replicas)}
    return pids | ({"broker": status["broker_pid"]} if status["broker_pid"] else {})


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def differences(calm: Outcome, crashed: Outcome) -> list[str]:
    """Return what the two runs disagree on, a line each; empty when they are equal."""
    return [
        *_compare(
            "posts", calm.posts, crashed.posts, ["source_partition", "source_offset"], ["scored_at", "appended_at"]
        ),
        *_compare("windows", calm.windows, crashed.windows, ["monitor", "group", "window_start"], ["version"]),
        *_compare("alerts", calm.alerts, crashed.alerts, ["fingerprint"], ["version", "provenance", "record"]),
    ]


def _compare(name: str, calm: pl.DataFrame, crashed: pl.DataFrame, key: list[str], free: list[str]) -> list[str]:
    left, right = (frame.drop(free, strict=False).sort(key) for frame in (calm, crashed))
    doubled = right.height - right.unique(key).height
    if doubled:
        return [f"{name}: {doubled} rows twice"]
    if left.select(key).rows() != right.select(key).rows():
        lost, new = left.join(right, on=key, how="anti").height, right.join(left, on=key, how="anti").height
        return [f"{name}: {lost} rows lost, {new} rows too many of {left.height}"]
    return [
        f"{name}: {column} differs in {rows} rows" for column in left.columns if (rows := _unequal(left, right, column))
    ]


def _unequal(left: pl.DataFrame, right: pl.DataFrame, column: str) -> int:
    """Return in how many rows a column differs, numbers beyond the tolerance."""
    one, other = left[column], right[column]
    kind = one.dtype
    if isinstance(kind, pl.List) and kind.inner.is_float():
        one, other = one.explode(), other.explode()
    if one.dtype.is_float():
        close = ((one - other).abs() <= TOLERANCE) | (one.is_null() & other.is_null())
        return int((~close.fill_null(value=False)).sum())
    return int((~one.eq_missing(other)).sum()) if one.dtype != pl.Object else 0
