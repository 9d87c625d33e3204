"""`streamwatch ingest` on a real broker: every post of a feed once, over restarts and kills; lines from stdin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from jobs.ingest import FOLDER, Delivery, send_new
from streamwatch.cli.main import run_command
from streamwatch.config import Config
from streamwatch.errors import SourceError
from streamwatch.ingest.broker import start_local_broker
from streamwatch.ingest.connection import connect
from streamwatch.ingest.ledger import Ledgers
from streamwatch.ingest.post_source import Polled
from streamwatch.ingest.source import StreamReader
from streamwatch.records import Post
from streamwatch.replay import replay_post
from tests.feed_server import Answer, FeedServer, feed_server, item, rss

pytestmark = pytest.mark.integration


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamwatch.toml").write_text('state_dir = "state"\n', encoding="utf-8")
    config = Config(state_dir=Path("state"))
    with start_local_broker(config.state_dir, None):
        yield config


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with feed_server() as found:
        yield found


def posts_on_stream(config: Config) -> list[Post]:
    values: list[bytes] = []
    with StreamReader(connect(config), ["streamwatch.posts"], "test-reader") as reader:
        reader.seek({})
        left = set(reader.end_offsets().items())
        while left - set(reader.positions().items()):
            values += [record.value for run in reader.poll(1.0, 1_000).values() for record in run]
    return [msgspec.json.decode(value, type=Post) for value in values]


def feeds_file(server: FeedServer, *paths: str, interval: str = "10s") -> str:
    tables = [
        f'[[feed]]\nname = "{path.strip("/")}"\nurl = "{server.url(path)}"\nprivate = true\n'
        f'interval = "{interval}"\nmax_age = "9999d"\n'
        for path in paths
    ]
    Path("feeds.toml").write_text('[fetch]\nmin_gap = "0s"\n' + "".join(tables), encoding="utf-8")
    return "feeds.toml"


def reports(capsys: pytest.CaptureFixture[str], *args: str, status: int = 0) -> dict[str, Any]:
    assert run_command(["ingest", *args, "--once", "-o", "json"]) == status
    return {(report := json.loads(line))["feed"]: report for line in capsys.readouterr().out.splitlines()}


@contextmanager
def ingesting(*args: str) -> Iterator[subprocess.Popen[str]]:
    """Run `streamwatch ingest` beside the block."""
    command = [sys.executable, "-m", "streamwatch.cli.main", "ingest", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if sys.exc_info()[0]:
                process.kill()


def test_feeds_arrive_once_over_runs(config: Config, server: FeedServer, capsys: pytest.CaptureFixture[str]) -> None:
    items = [item(number) for number in range(30)]
    server.pages["/wire"] = Answer(200, rss(*items[:10]).encode())
    server.pages["/broken"] = Answer(200, b"<html>")
    file = feeds_file(server, "/broken", "/wire")
    first = reports(capsys, file, status=1)
    assert (first["wire"]["posts"], first["broken"]["outcome"]) == (10, "failed")
    assert "an HTML page" in first["broken"]["found"]
    second = reports(capsys, file)
    assert (second["wire"]["outcome"], second["broken"]["outcome"]) == ("unchanged", "waiting")

    server.pages["/wire"] = Answer(200, rss(*items).encode())
    third = reports(capsys, file)["wire"]
    assert (third["posts"], third["repeated"]) == (20, 10)
    found = posts_on_stream(config)
    assert Counter(post.text for post in found) == Counter(f"Headline number {number}" for number in range(30))
    assert {post.source for post in found} == {"wire"}


def is_sending(ledger: Path) -> bool:
    return ledger.exists() and b'"waiting":[{' in ledger.read_bytes()


def test_kills_at_any_moment_lose_and_double_nothing(
    config: Config, server: FeedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The feed grows all the while; an entry that left it again was read before the kill, or after."""
    items: list[str] = []

    def page(_: Message) -> Answer:
        items.extend(item(number) for number in range(len(items), len(items) + 40))
        return Answer(200, rss(*items).encode())

    server.pages["/wire"] = page
    file = feeds_file(server, "/wire")
    ledger = config.state_dir / FOLDER / "wire.json"
    for delay_s in (None, 0.3, None):  # None: while a batch is being sent
        asked = len(server.requests)
        with ingesting(file, "--once") as process:
            while len(server.requests) == asked and process.poll() is None:
                time.sleep(0.01)
            time.sleep(delay_s or 0)
            while delay_s is None and process.poll() is None and not is_sending(ledger):
                time.sleep(0.001)
            process.kill()
    assert reports(capsys, file)["wire"]["outcome"] == "read"
    found = Counter(post.text for post in posts_on_stream(config))
    assert found == Counter(f"Headline number {number}" for number in range(len(items)))


def test_the_readme_shows_how_a_source_is_written(config: Config, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = [block for block in readme.split("```python\n") if "send_new(" in block]
    (tmp_path / "notes.csv").write_text("when,text\n2026-01-05T09:30:00+00:00,Shares fall\n", encoding="utf-8")
    for _ in range(2):
        exec(block.partition("```")[0], {})
    (post,) = posts_on_stream(config)
    assert (post.id, post.source, post.text) == ("notes:1", "notes", "Shares fall")


class Notes:
    """A source of five posts, which fails at its third poll."""

    name = "notes"

    def __init__(self) -> None:
        self.posts = [
            Post(id=f"n{number}", source="notes", published_at=datetime(2026, 1, 5, tzinfo=UTC), text="x")
            for number in range(5)
        ]

    def poll(self, cursor: str) -> Polled:
        if cursor == "2":
            message = "no more"
            raise SourceError(message)
        return Polled(self.posts[:3] if not cursor else self.posts, str(int(cursor or 0) + 1))


@pytest.mark.parametrize("already_there", [0, 2, 3])
def test_a_kill_in_the_middle_of_a_batch_loses_and_doubles_nothing(config: Config, already_there: int) -> None:
    """The batch is written down; then, when the process dies, some of its posts are in the stream, or all."""
    connection, source = connect(config), Notes()
    polled = source.poll("")
    with Ledgers(config.state_dir / FOLDER) as ledgers, Delivery(config, connection) as delivery:
        ledgers.open("notes").begin(polled, polled.posts, {})
        for post in polled.posts[:already_there]:
            delivery._feed.send(replay_post(post))  # noqa: SLF001
    assert send_new(config, connection, [source]) == {"notes": 2}
    assert sorted(post.id for post in posts_on_stream(config)) == ["n0", "n1", "n2", "n3", "n4"]
    with pytest.raises(SourceError, match="no more"):
        send_new(config, connection, [source])


def test_ingest_runs_until_sigterm_and_shows_its_figures(config: Config, server: FeedServer) -> None:
    server.pages["/wire"] = Answer(200, rss(item(1)).encode(), {"ETag": "1"})
    with ingesting(feeds_file(server, "/wire"), "--metrics-port", "0") as process:
        assert process.stderr is not None
        address = process.stderr.readline().rpartition(" ")[2].strip()
        assert "posts sent feed=wire posts=1" in process.stderr.readline()
        assert 'streamwatch_ingest_posts_total{feed="wire"} 1.0' in httpx.get(address).text
        status = httpx.get(address.replace("/metrics", "/status")).json()
        assert (status["healthy"], status["feeds"]["wire"]["posts"]) == (True, 1)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 0, rest


def test_lines_from_stdin_are_posts_and_bad_ones_are_told(config: Config) -> None:
    good = {"source": "desk", "published_at": "2026-01-05T09:30:00Z", "text": "Shares fall"}
    lines = [
        json.dumps(good | {"id": "a", "ticker": "AAPL"}),
        "{broken",
        json.dumps(good | {"id": "b", "published_at": "2199-01-05T09:30:00Z"}),
        json.dumps(good | {"id": "c", "likes": 3}),
        json.dumps(good),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "streamwatch.cli.main", "ingest", "-", "-o", "json"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 1
    assert {name: json.loads(done.stdout)[name] for name in ("posts", "bad_lines")} == {"posts": 2, "bad_lines": 3}
    for told in ("stdin:2: not JSON", "stdin:3: published_at is in the future", "stdin:5: not post.v1", "likes (1)"):
        assert told in done.stderr
    assert sorted((post.id, *post.tickers) for post in posts_on_stream(config)) == [("a", "AAPL"), ("c",)]
