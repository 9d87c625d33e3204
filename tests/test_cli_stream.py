"""`broker`, `replay`, `status` and `dead-letters` on a real broker of their own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka.consumer.fetcher import ConsumerRecord
from prometheus_client import CollectorRegistry

from jobs.endpoint import Endpoint
from streamwatch.cli.main import run_command
from streamwatch.codec import DeadLetter, read_heartbeat
from streamwatch.config import Config, MetricsConfig
from streamwatch.ingest.broker import running_broker, start_local_broker
from streamwatch.ingest.connection import connect
from streamwatch.ingest.deadletters import dead_letter_message
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.records import Post

pytestmark = pytest.mark.integration

START = datetime(2015, 8, 24, 13, 30, tzinfo=UTC)
PARTITIONS = 3


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    monkeypatch.chdir(tmp_path)
    settings = f'state_dir = "state"\n[kafka]\npartitions = {PARTITIONS}\n[metrics]\nport = 1\n'
    (tmp_path / "streamwatch.toml").write_text(settings, encoding="utf-8")
    config = Config(state_dir=Path("state"))
    with start_local_broker(config.state_dir, None):
        yield config


def posts_file(folder: Path, count: int, every: timedelta = timedelta(seconds=30)) -> Path:
    lines = [
        {
            "id": f"p{n}",
            "source": "twitter",
            "published_at": (START + n * every).isoformat(),
            "text": f"n {n}",
            "ticker": "X",
        }
        for n in range(count)
    ]
    file = folder / "posts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def read_stream(config: Config, stream: str) -> list[ConsumerRecord]:
    records: list[ConsumerRecord] = []
    with StreamReader(connect(config), [stream], "test-reader") as reader:
        reader.seek({})
        left = set(reader.end_offsets().items())
        while left - set(reader.positions().items()):
            records += [record for run in reader.poll(1.0, 1_000).values() for record in run]
    return records


def printed(capsys: pytest.CaptureFixture[str], *args: str, status: int = 0) -> Any:
    assert run_command([*args, "-o", "json"]) == status
    return json.loads(capsys.readouterr().out)


def test_replay_sends_every_post_once_and_closes_every_partition(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = posts_file(tmp_path, 40)
    with file.open("a", encoding="utf-8") as more:
        more.write("{broken\n")
    summary = printed(capsys, "replay", str(file), "--speed", "max", "--no-wait")
    assert (summary["posts"], summary["bad_lines"]) == (40, 1)
    assert summary["last"] == "2015-08-24T13:49:30Z"
    records = read_stream(config, "streamwatch.posts")
    posts = [msgspec.json.decode(record.value, type=Post) for record in records if record.value]
    assert sorted(post.id for post in posts) == sorted(f"p{n}" for n in range(40))
    assert posts[0].tickers == ["X"]
    beats = {record.partition: read_heartbeat(record.headers) for record in records if record.value is None}
    assert beats.keys() == set(range(PARTITIONS))
    assert all(instant and instant > START + timedelta(days=1) for instant in beats.values())
    for partition in range(PARTITIONS):
        assert [record for record in records if record.partition == partition][-1].value is None


def test_replay_at_a_pace_sends_heartbeats_between(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = posts_file(tmp_path, 2, every=timedelta(minutes=10))
    summary = printed(capsys, "replay", str(file), "--speed", "200", "--no-wait")
    assert summary["seconds_sending"] >= 3
    beats = [read_heartbeat(record.headers) for record in read_stream(config, "streamwatch.posts") if not record.value]
    assert sorted(beat for beat in beats if beat)[:PARTITIONS] == [START + timedelta(seconds=400)] * PARTITIONS


def test_a_strict_replay_stops_at_the_first_bad_line(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_text('{"id": 1}\n', encoding="utf-8")
    assert run_command(["replay", str(file), "--strict", "--no-wait"]) == 1
    assert f"{file}:1: not post.v1" in capsys.readouterr().err


def test_replay_says_when_no_stage_takes_the_posts(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = posts_file(tmp_path, 3)
    assert run_command(["replay", str(file), "--speed", "max", "--timeout", "1"]) == 1
    err = capsys.readouterr().err
    assert "no monitor runs" in err
    assert "stage score made no progress" in err


def test_status_tells_the_lag_even_without_a_monitor(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(["replay", str(posts_file(tmp_path, 5)), "--speed", "max", "--no-wait"])
    capsys.readouterr()
    status = printed(capsys, "status", status=1)
    lag = {(at["stage"], at["stream"]): at["lag"] for at in status["lag"]}
    assert lag["score", "streamwatch.posts"] == 5 + PARTITIONS
    assert status["dead_letters"] == 0


def test_status_shows_every_stage_of_a_running_monitor(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command(["replay", str(posts_file(tmp_path, 5)), "--speed", "max", "--no-wait"])
    capsys.readouterr()
    stage = {"state": "up", "restarts": 2, "last_error": None}
    told = {
        "healthy": True,
        "throughput_posts_s": 123.4,
        "stages": {"SCORE-0": stage, "WATCH": stage | {"watermark": START.isoformat()}, "ARCHIVE": stage},
    }
    endpoint = Endpoint(MetricsConfig(port=0), CollectorRegistry(), lambda: told)
    monkeypatch.setenv("STREAMWATCH_METRICS__PORT", endpoint.address.rpartition(":")[2])
    try:
        assert printed(capsys, "status")["monitor"] == told
        assert run_command(["status"]) == 0
        shown = capsys.readouterr()
        told["healthy"] = False
        assert run_command(["status"]) == 1
    finally:
        endpoint.close()
    assert re.search(r"SCORE-0 +up +streamwatch.posts +8 +0 +8 +2", shown.out)
    assert re.search(r"WATCH +up +streamwatch.scored +0 +0 +0 +2 +2015-08-24 13:30", shown.out)
    assert "healthy, 123.4 posts/s, 0 dead letters" in shown.err


def test_status_says_when_something_else_answers(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STREAMWATCH_METRICS__PORT", str(server.server_address[1]))
        assert run_command(["status"]) == 1
        server.shutdown()
    assert "does not answer as a monitor does" in capsys.readouterr().err


def test_dead_letters_are_listed_and_sent_back_once(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(["replay", str(posts_file(tmp_path, 1)), "--speed", "max", "--no-wait"])
    sink = Sink(connect(config))
    for offset, reason in enumerate(["not JSON: x", "no value", "not JSON: y"]):
        letter = DeadLetter("streamwatch.posts", 0, offset, reason, b"\x00{broken")
        value, headers = dead_letter_message(letter, "score")
        sink.send("streamwatch.dead-letters", value, headers=headers)
    sink.flush()
    sink.close()
    capsys.readouterr()
    listed = printed(capsys, "dead-letters", "list", "--reason", "not JSON")
    assert [(row["offset"], row["reason"], row["bytes"]) for row in listed] == [
        (0, "not JSON: x", 8),
        (2, "not JSON: y", 8),
    ]
    assert [row["offset"] for row in printed(capsys, "dead-letters", "list", "--limit", "1")] == [2]
    assert run_command(["dead-letters", "list"]) == 0
    assert "\x00" not in capsys.readouterr().out
    assert run_command(["dead-letters", "replay"]) == 1
    assert "add --yes" in capsys.readouterr().err
    assert printed(capsys, "dead-letters", "replay", "--yes")["sent_back"] == 3
    assert printed(capsys, "dead-letters", "replay", "--yes")["sent_back"] == 0
    again = [record.value for record in read_stream(config, "streamwatch.posts") if record.value == b"\x00{broken"]
    assert len(again) == 3


def test_the_broker_runs_until_sigterm_and_the_others_find_it(tmp_path: Path) -> None:
    environ = {"STREAMWATCH_STATE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "streamwatch.cli.main", "broker"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=tmp_path) as broker:
        assert broker.stdout is not None
        line = broker.stdout.readline()
        assert str(running_broker(tmp_path)) in line
        second = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)
        assert second.returncode == 1
        assert "already running" in second.stderr
        broker.send_signal(signal.SIGTERM)
        assert broker.wait(30) == 0
        assert broker.stdout.read() == ""
    assert running_broker(tmp_path) is None
