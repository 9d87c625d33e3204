"""A real file of posts through the whole monitor: every post once, every window's count right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from jobs.monitor_process import MonitorProcess, free_port
from streamwatch.config import Config, MetricsConfig, ModelConfig
from streamwatch.store.tables import Tables
from streamwatch.watch.monitors import Monitor, load_monitors

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

FILE = Path(__file__).parents[2].parent / "shared" / "data" / "replay" / "stocknet_2015.jsonl"


UNTIL = "2015-07-26"
"""The tweets before this day: over three weeks of time, a third of the file."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not FILE.exists():
        reason = f"no {FILE}: the StockNet tweets of 2015"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    lines = FILE.read_bytes().splitlines(keepends=True)
    file = tmp_path_factory.mktemp("tweets") / FILE.name
    file.write_bytes(b"".join(line for line in lines if msgspec.json.decode(line)["published_at"] < UNTIL))
    return file


@pytest.fixture(scope="module")
def replayed(
    file: Path, kafka_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tables, dict[str, object]]:
    """The tables after a replay at full speed, and the summary that the command printed."""
    config = Config(
        state_dir=tmp_path_factory.mktemp("replay"),
        model=ModelConfig(max_tokens=24),  # what is counted is the same, in half of the time
        metrics=MetricsConfig(port=free_port()),
    )
    with MonitorProcess(config, os.environ | {"KAFKA_HOME": str(kafka_home)}) as monitor:
        monitor.wait_until_up()
        done = subprocess.run(
            [sys.executable, "-m", "streamwatch.cli.main", "--config", str(config.state_dir / "streamwatch.toml")]
            + ["replay", str(file), "--speed", "max", "-o", "json"],
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        monitor.stop()
    return Tables(config.store_url()), msgspec.json.decode(done.stdout)


def test_every_post_is_in_the_table_once(file: Path, replayed: tuple[Tables, dict[str, object]]) -> None:
    ids = [msgspec.json.decode(line)["id"] for line in file.read_bytes().splitlines()]
    archived = replayed[0].scan("posts").select("id").collect()["id"]
    assert Counter(archived) == Counter(ids)
    assert replayed[1]["posts"] == len(ids) > 3_000


def test_every_window_counts_what_a_recount_counts(replayed: tuple[Tables, dict[str, object]]) -> None:
    tables = replayed[0]
    posts = tables.scan("posts").collect()
    windows = tables.latest("windows").collect()
    for monitor in load_monitors(None).monitors:
        kept = windows.filter(pl.col("monitor") == monitor.name)
        counted = {
            (row["group"], row["window_start"]): (row["count"], row["negative"])
            for row in kept.iter_rows(named=True)
            if row["count"]
        }
        assert counted == recount(posts, monitor), monitor.name


def recount(posts: pl.DataFrame, monitor: Monitor) -> dict[tuple[str, datetime], tuple[int, int]]:
    """Count posts and negative posts of every window the slow way: post by post, window by window."""
    counts: Counter[tuple[str, datetime]] = Counter()
    negative: Counter[tuple[str, datetime]] = Counter()
    (dimension,) = monitor.group_by
    epoch = datetime(1970, 1, 1, tzinfo=posts["published_at"][0].tzinfo)
    for row in posts.iter_rows(named=True):
        if dimension == "entity":
            groups = {entity["ticker"] or entity["name"]: entity["sentiment"] for entity in row["entities"][::-1]}
        else:
            groups = {"all" if dimension == "all" else row[dimension]: row["sentiment"]}
        into_hop: timedelta = (row["published_at"] - epoch) % monitor.hop
        last_start = row["published_at"] - into_hop
        for hops in range(monitor.window // monitor.hop):
            for group, sentiment in groups.items():
                counts[group, last_start - hops * monitor.hop] += 1
                negative[group, last_start - hops * monitor.hop] += sentiment == "negative"
    return {key: (count, negative[key]) for key, count in counts.items()}


def test_the_summary_says_what_alerted(replayed: tuple[Tables, dict[str, object]]) -> None:
    stored = replayed[0].latest("alerts").select("monitor", "group", "onset").collect()
    told = replayed[1]["alerts"]
    assert isinstance(told, list)
    assert len(told) == stored.height > 0
    # Apple's quarterly results of 21 July 2015, after the close.
    assert any(alert["group"] == "AAPL" and "2015-07-21" in str(alert["onset"]) for alert in told)
