"""Speed, latency and memory of the chain: beside its model alone, and beside a plain loop on the same posts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import polars as pl
import pyarrow as pa
from prometheus_client.parser import text_string_to_metric_families

from jobs.close_latency import close_to_alert
from jobs.feeder import Feeder
from jobs.memory import MemoryMeter
from jobs.monitor_process import MonitorProcess, free_port
from jobs.plain_loop import build_pipeline, plain_loop
from streamwatch.config import Config, MetricsConfig
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.marketday import market_day
from streamwatch.ingest.progress import wait_until_archived
from streamwatch.model.scorer import Scorer
from streamwatch.records import Post
from streamwatch.store.tables import Tables

MICRO_BATCH = 256
PLAIN_POSTS = 400
"""The plain loop is slow: a part of the posts tells its speed."""
DAYS_APART = timedelta(days=3)
"""Further than the heartbeat at the end of a day: nothing of the next one may come late."""
PERCENTILES = (0.5, 0.95, 0.99)


class Figure(NamedTuple):
    """A line of a benchmark's answer."""

    figure: str
    value: float | str
    remark: str = ""


@dataclass
class ChainFigures:
    """What was measured, a value a round."""

    bare: list[float] = field(default_factory=list)
    chain: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    to_scored_s: dict[float, float] = field(default_factory=dict)
    to_alert_s: dict[float, float] = field(default_factory=dict)
    close_to_alert_s: dict[float, float] = field(default_factory=dict)
    half_load: float = 0.0
    memory_bytes: int = 0

    def rows(self) -> list[Figure]:
        """Return the figures as name, value and remark."""
        over_bare = [chain / bare for chain, bare in zip(self.chain, self.bare, strict=True)]
        over_plain = [chain / plain for chain, plain in zip(self.chain, self.plain, strict=True)]
        rows = [
            Figure("bare scorer, posts/s", round(median(self.bare), 1), "in one process, micro-batches of 256"),
            Figure("whole chain, posts/s", round(median(self.chain), 1), "from first append to last row archived"),
            Figure("chain / bare scorer", round(median(over_bare), 3), "median of the paired rounds"),
            Figure("plain loop, posts/s", round(median(self.plain), 1), "kafka-python and transformers pipeline"),
            Figure("chain / plain loop", round(median(over_plain), 2), "median of the paired rounds"),
            Figure("half load, posts/s", round(self.half_load, 1), "while the latencies below were taken"),
        ]
        latencies = {
            "append to scored": self.to_scored_s,
            "append to alert": self.to_alert_s,
            "pane closed to alert": self.close_to_alert_s,
        }
        for name, latency in latencies.items():
            rows += [Figure(f"{name} p{share * 100:.0f}, s", round(value, 3)) for share, value in latency.items()]
        memory = Figure("memory, MB", round(self.memory_bytes / 1e6), "all processes and the broker, PSS, at most")
        return [*rows, memory]


def measure_chain(folder: Path, posts: int, rounds: int, say: Callable[[str], None]) -> ChainFigures:
    """Measure the chain in paired rounds: scorer, chain and plain loop take the same posts in turn.

    Args:
        folder: Where the state goes.
        posts: Posts of each round.
        rounds: How many rounds; each is a market day of its own.
        say: Told what is being done.
    """
    figures = ChainFigures()
    last_day = (datetime.now(UTC) - timedelta(days=4)).date()
    days = [
        list(market_day(last_day - DAYS_APART * (rounds - at), posts=posts, seed=at).posts) for at in range(rounds + 1)
    ]
    scorer, pipeline = Scorer.load(Config().model), build_pipeline()
    config = Config(state_dir=folder, metrics=MetricsConfig(port=free_port()))
    with MonitorProcess(config, os.environ) as monitor, MemoryMeter(monitor.pid) as memory:
        monitor.wait_until_up()
        connection = connect(config)
        for number, day in enumerate(days[:-1], 1):
            say(f"round {number} of {rounds}: bare scorer")
            figures.bare.append(_bare(scorer, day))
            say(f"round {number} of {rounds}: chain")
            figures.chain.append(_chain(config, connection, day))
            say(f"round {number} of {rounds}: plain loop")
            figures.plain.append(plain_loop(pipeline, connection, day[:PLAIN_POSTS]))
        figures.half_load = median(figures.chain) / 2
        say(f"latencies at {figures.half_load:.0f} posts/s")
        _latencies(figures, config, monitor, connection, days[-1])
        figures.memory_bytes = memory.peak_bytes
        monitor.stop()
    return figures


def _bare(scorer: Scorer, day: Sequence[Post]) -> float:
    texts = [post.text for post in day]
    scorer.predict(texts[:MICRO_BATCH])  # the first call warms up
    started = time.perf_counter()
    for start in range(0, len(texts), MICRO_BATCH):
        scorer.predict(pa.array(texts[start : start + MICRO_BATCH]))
    return len(texts) / (time.perf_counter() - started)


def _chain(config: Config, connection: Connection, day: Sequence[Post]) -> float:
    started = time.perf_counter()
    feeder = Feeder(config, connection, day)
    feeder.start()
    feeder.finish()
    wait_until_archived(connection, lambda *_: None, timeout_s=600)
    return len(day) / (time.perf_counter() - started)


def _latencies(
    figures: ChainFigures, config: Config, monitor: MonitorProcess, connection: Connection, day: Sequence[Post]
) -> None:
    before = _alert_buckets(monitor)
    feeder = Feeder(config, connection, day, posts_per_s=figures.half_load)
    feeder.start()
    feeder.finish()
    wait_until_archived(connection, lambda *_: None, timeout_s=600)
    rows = Tables(config.store_url()).scan("posts").filter(pl.col("id").is_in([post.id for post in day]))
    waits = (
        rows.select((pl.col("scored_at") - pl.col("appended_at")).dt.total_microseconds() / 1e6).collect().to_series()
    )
    figures.to_scored_s = {share: float(waits.quantile(share) or 0.0) for share in PERCENTILES}
    after = _alert_buckets(monitor)
    taken = {limit: count - before.get(limit, 0.0) for limit, count in after.items()}
    figures.to_alert_s = {share: histogram_quantile(share, taken) for share in PERCENTILES}
    closed = pl.Series(close_to_alert(config, connection, day[0].published_at), dtype=pl.Float64)
    figures.close_to_alert_s = {share: closed.quantile(share) or 0.0 for share in PERCENTILES if closed.len()}


def _alert_buckets(monitor: MonitorProcess) -> dict[float, float]:
    text = httpx.get(f"{monitor.address}/metrics", timeout=30).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    name = "streamwatch_append_to_alert_seconds_bucket"
    return {float(sample.labels["le"]): sample.value for sample in samples if sample.name == name}


def histogram_quantile(share: float, buckets: dict[float, float]) -> float:
    """Return a quantile of a cumulative histogram, straight lines between its limits, as PromQL does.

    >>> histogram_quantile(0.5, {1.0: 2.0, 2.0: 4.0, float("inf"): 4.0})
    1.0
    >>> histogram_quantile(0.75, {1.0: 2.0, 2.0: 4.0, float("inf"): 4.0})
    1.5
    """
    wanted = share * buckets[float("inf")]
    below, floor = 0.0, 0.0
    for limit, count in sorted(buckets.items()):
        if count >= wanted and count > below:
            return floor + (limit - floor) * (wanted - below) / (count - below) if limit != float("inf") else floor
        below, floor = count, limit
    return float("nan")
