"""The whole monitor, as a user starts it, on each broker."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import polars as pl
import pytest

from jobs.feeder import Feeder
from jobs.monitor_process import MonitorProcess, free_port
from streamwatch.config import Config, MetricsConfig, ModelConfig
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.deadletters import read_dead_letters
from streamwatch.ingest.marketday import market_day
from streamwatch.ingest.progress import wait_until_archived
from streamwatch.ingest.sink import Sink
from streamwatch.records import Post
from streamwatch.store.tables import Tables
from streamwatch.streams import stream_name
from streamwatch.watch.monitors import load_monitors

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DAY = (datetime.now(UTC) - timedelta(days=4)).date()


@pytest.fixture(params=["noida-db", "apache-kafka"])
def environ(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The environment that makes the monitor start one broker or the other."""
    home = "" if request.param == "noida-db" else str(request.getfixturevalue("kafka_home"))
    return os.environ | {"KAFKA_HOME": home}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        state_dir=tmp_path / "state", model=ModelConfig(max_tokens=32), metrics=MetricsConfig(port=free_port())
    )


@pytest.fixture
def monitor(config: Config, environ: Mapping[str, str]) -> Iterator[MonitorProcess]:
    with MonitorProcess(config, environ) as process:
        process.wait_until_up()
        yield process


def feed(config: Config, connection: Connection, posts: list[Post], *, heartbeat: bool = True) -> None:
    feeder = Feeder(config, connection, posts, heartbeat=heartbeat)
    feeder.start()
    feeder.finish()


def recount(posts: pl.DataFrame, window: pl.DataFrame) -> pl.Series:
    """Count, the slow way, the posts of every window row."""
    groups = {
        "entity": [[e["ticker"] or e["name"] for e in row] for row in posts["entities"]],
        **{name: [[value] for value in posts[name]] for name in ("topic", "intent", "source", "lang")},
        "all": [["all"]] * posts.height,
    }
    rules = {monitor.name: monitor.group_by for monitor in load_monitors(None).monitors}
    times = posts["published_at"].to_list()
    counts = []
    for row in window.iter_rows(named=True):
        dimensions = rules[row["monitor"]]
        wanted = row["group"].split("|") if len(dimensions) == 2 else [row["group"]]
        counts.append(
            sum(
                row["window_start"] <= at < row["window_end"]
                and all(part in groups[dimension][index] for part, dimension in zip(wanted, dimensions, strict=True))
                for index, at in enumerate(times)
            )
        )
    return pl.Series(counts)


@pytest.mark.parametrize("environ", ["apache-kafka"], indirect=True)
def test_a_day_with_a_stop_in_it_is_scored_archived_and_watched_once(
    config: Config, environ: Mapping[str, str]
) -> None:
    posts = list(market_day(DAY, posts=1_200, seed=4).posts)
    with MonitorProcess(config, environ) as monitor:
        monitor.wait_until_up()
        feed(config, connect(config), posts[:500], heartbeat=False)
        monitor.stop()  # with posts still on their way
    with MonitorProcess(config, environ) as monitor:
        monitor.wait_until_up()
        connection = connect(config)
        feed(config, connection, posts[500:])
        wait_until_archived(connection, lambda *_: None, timeout_s=240)

        status = monitor.status()
        assert status is not None
        assert status["healthy"]
        assert {stage["restarts"] for stage in status["stages"].values()} == {0}
        assert httpx.get(f"{monitor.address}/health").status_code == 200
        assert "streamwatch_score_posts_total" in httpx.get(f"{monitor.address}/metrics").text
        monitor.stop()

    tables = Tables(config.store_url())
    archived = tables.scan("posts").collect()
    assert Counter(archived["id"]) == Counter(post.id for post in posts)
    assert archived.select("source_partition", "source_offset").is_unique().all()

    windows = tables.latest("windows").collect()
    assert set(windows["monitor"]) == {rule.name for rule in load_monitors(None).monitors}
    sample = windows.sample(400, seed=1)
    assert sample["count"].to_list() == recount(archived, sample).to_list()


def hostile_messages(now: datetime) -> list[bytes | None]:
    """Return one message of every kind that must not stop the stream."""
    good = {"id": "x", "source": "wire", "published_at": now.isoformat(), "text": "Shares fall."}

    def but(**changes: object) -> bytes:
        return msgspec.json.encode({key: value for key, value in (good | changes).items() if value is not ...})

    return [
        None,
        b"",
        b"{",
        b"[1, 2, 3]",
        b'"text"',
        b"\xff\xfe\x00",
        but(text="caf\u00e9").replace("é".encode(), b"\xe9"),
        but(schema="post.v9"),
        but(version=2),
        but(id=7),
        but(id=...),
        but(text=...),
        but(published_at=...),
        but(published_at="yesterday"),
        but(published_at="2024-05-01T10:00:00"),
        but(published_at=(now + timedelta(days=400)).isoformat()),
        but(text="a" * 20_001),
        but(text=None),
        but(tickers="AAPL"),
        b"{" * 2_000,
    ]


def test_hostile_messages_become_dead_letters_and_good_posts_go_on(monitor: MonitorProcess, config: Config) -> None:
    connection = connect(config)
    now = datetime.now(UTC)
    hostile = hostile_messages(now)
    kinds = len(hostile)
    texts = [f"Analysts see {name} earnings {change}." for name in ("Apple", "Tesla") for change in ("up", "down")]
    with Sink(connection) as sink:
        stream = stream_name("posts", config.kafka.prefix)
        for number in range(10_000):
            sink.send(stream, hostile[number % kinds], key=b"%d" % number)
            at = now - timedelta(seconds=(10_000 - number) / 10)
            good = Post(id=str(number), source="wire", published_at=at, text=texts[number % 4])
            sink.send(stream, msgspec.json.encode(good), key=b"%d" % number)
        sink.send(stream, b"{" * 10_000_000, key=b"braces")
        sink.flush()
    wait_until_archived(connection, lambda *_: None, timeout_s=240)
    letters = list(read_dead_letters(connection))
    assert len(letters) == 10_001
    assert all(stored.letter.reason and stored.stage == "SCORE" for stored in letters)
    assert Tables(config.store_url()).scan("posts").select(pl.col("id").n_unique(), rows=pl.len()).collect().row(0) == (
        10_000,
        10_000,
    )
