"""The desk on a real Kafka, over real HTTP; and beside the scorer on a real Ray Serve."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec
import pytest
import uvicorn
import websockets

from jobs.monitor_process import MonitorProcess, free_port
from serve.api import create_app
from streamwatch.config import Config, DeskConfig, KafkaConfig, MetricsConfig, ModelConfig
from streamwatch.desk.access import Tokens
from streamwatch.desk.desk import Desk
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import LocalBroker
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.schema_files import EXAMPLES
from streamwatch.streams import stream_name
from tests.conftest import fresh_prefix

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NOW = datetime(2026, 1, 5, tzinfo=UTC)
BACKLOG = 16
T = TypeVar("T")


class Served(NamedTuple):
    """A desk on a port of its own, and a way to write to its streams."""

    base: str
    headers: dict[str, str]
    connection: Connection
    sink: Sink

    def alert(self, number: int) -> None:
        """Send an alert onto the stream, its number as fingerprint."""
        alert = msgspec.structs.replace(EXAMPLES["alert.v1"], fingerprint=f"{number:016x}")
        name = stream_name("alerts", self.connection.kafka.prefix)
        self.sink.send(name, msgspec.json.encode(alert), key=alert.fingerprint.encode())  # type: ignore[attr-defined]
        self.sink.flush()


@pytest.fixture(scope="module")
def served(apache: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_port()
    kafka = KafkaConfig(bootstrap_servers=apache.bootstrap_servers, prefix=fresh_prefix())
    settings = DeskConfig(port=port, live_backlog=BACKLOG, requests_per_s=10_000, burst=10_000)
    config = Config(state_dir=tmp_path_factory.mktemp("desk"), kafka=kafka, desk=settings)
    connection = connect(config)
    ensure_streams(connection)
    desk = Desk(config, connection)
    token = desk.tokens.add("ann", "operator", "main", NOW)
    server = uvicorn.Server(
        uvicorn.Config(create_app(desk), port=port, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    with Sink(connection) as sink:
        yield Served(f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}, connection, sink)
    server.should_exit = True
    thread.join()


def wait_for(condition: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run(doing: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(doing, 120))


class Got(NamedTuple):
    """An event of a stream of events."""

    id: str
    name: str
    data: Any


@asynccontextmanager
async def listening(served: Served, channel: str, last: str | None = None) -> AsyncIterator[AsyncIterator[Got]]:
    """Subscribe, and give the events; when this begins, the subscription holds."""
    headers = served.headers | ({"Last-Event-ID": last} if last else {})
    url = f"{served.base}/v1/live/{channel}"
    async with httpx.AsyncClient(timeout=60) as client, client.stream("GET", url, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = parsed(answer.aiter_lines())
        assert (await anext(events)).name == ""
        yield events


async def parsed(lines: AsyncIterator[str]) -> AsyncIterator[Got]:
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        else:
            data = json.loads(fields["data"]) if "data" in fields else None
            yield Got(fields.get("id", ""), fields.get("event", ""), data)
            fields = {}


async def numbers(events: AsyncIterator[Got], count: int) -> tuple[list[int], str]:
    """Return the alerts of the next events, by number, and the last id."""
    found: list[int] = []
    last = ""
    while len(found) < count:
        event = await anext(events)
        last = event.id
        if event.name == "alert":
            found.append(int(event.data["fingerprint"], 16))
    return found, last


def test_who_comes_back_misses_nothing_and_gets_nothing_twice(served: Served) -> None:
    async def go() -> tuple[list[int], list[int], list[int]]:
        async with listening(served, "alerts") as events:
            for number in range(3):
                await asyncio.to_thread(served.alert, number)
            first, last = await numbers(events, 3)
        for number in range(3, 3 + 2 * BACKLOG):  # more than the feed holds
            await asyncio.to_thread(served.alert, number)
        async with listening(served, "alerts", last) as events:
            again, last = await numbers(events, 2 * BACKLOG)
            await asyncio.to_thread(served.alert, 1_000)
            after, _ = await numbers(events, 1)
        return first, again, after

    first, again, after = run(go())
    assert (first, after) == ([0, 1, 2], [1_000])
    assert again == list(range(3, 3 + 2 * BACKLOG))


def test_many_subscribers_get_every_alert(served: Served) -> None:
    async def one(ready: asyncio.Barrier) -> list[int]:
        async with listening(served, "alerts") as events:
            await ready.wait()
            found, _ = await numbers(events, 5)
            return found

    async def go() -> list[list[int]]:
        ready = asyncio.Barrier(101)
        tasks = [asyncio.create_task(one(ready)) for _ in range(100)]
        await ready.wait()
        for number in range(5):
            await asyncio.to_thread(served.alert, number)
        return await asyncio.gather(*tasks)

    assert run(go()) == [[0, 1, 2, 3, 4]] * 100


def test_a_socket_carries_the_channels_that_it_asks_for(served: Served) -> None:
    async def go() -> tuple[Any, Any]:
        url = served.base.replace("http", "ws") + "/v1/live"
        async with websockets.connect(url, additional_headers=served.headers) as socket:
            await socket.send('{"subscribe": "moods"}')
            wrong = json.loads(await socket.recv())
            await socket.send('{"subscribe": "alerts", "filters": {"severity": ["page"]}}')
            await asyncio.sleep(0.5)
            await asyncio.to_thread(served.alert, 77)
            return wrong, json.loads(await socket.recv())

    wrong, message = run(go())
    assert "expected" in wrong["error"]
    assert message["channel"] == "alerts"
    assert int(message["items"][0]["fingerprint"], 16) == 77


def test_a_socket_needs_a_token_and_an_own_page(served: Served) -> None:
    async def refused(headers: dict[str, str]) -> bool:
        url = served.base.replace("http", "ws") + "/v1/live"
        try:
            async with websockets.connect(url, additional_headers=headers):
                return False
        except websockets.InvalidStatus as error:
            return error.response.status_code == 403

    token = served.headers["Authorization"].removeprefix("Bearer ")
    cookie = httpx.post(f"{served.base}/v1/session", json={"token": token}).headers["set-cookie"].split(";")[0]
    host = served.base
    assert run(refused({}))
    assert run(refused({"Cookie": cookie, "Origin": "http://evil.example"}))
    assert not run(refused({"Cookie": cookie, "Origin": host}))


def test_posts_are_taken_in_once(served: Served) -> None:
    at = datetime.now(UTC) - timedelta(minutes=1)
    post = {"id": "one", "source": "wire", "published_at": at.isoformat(), "text": "Shares fall."}
    ahead = post | {"id": "ahead", "published_at": (at + timedelta(days=1)).isoformat()}
    sent = [post, post | {"id": "two"}, post | {"text": "again"}, ahead, {"id": "three"}, 7]
    answer = httpx.post(f"{served.base}/v1/posts", json={"posts": sent}, headers=served.headers, timeout=60)
    assert answer.status_code == 202
    told = answer.json()
    assert [one["status"] for one in told["posts"]] == ["accepted", "accepted", "duplicate", *["refused"] * 3]
    assert "in the future" in told["posts"][3]["reason"]
    assert "not post.v1" in told["posts"][4]["reason"]
    again = httpx.post(f"{served.base}/v1/posts", json={"posts": sent[:2]}, headers=served.headers, timeout=60).json()
    assert (again["accepted"], again["duplicate"], again["refused"]) == (0, 2, 0)
    with StreamReader(served.connection, [stream_name("posts", served.connection.kafka.prefix)], "reader") as reader:
        assert sum(reader.end_offsets().values()) == 2
    wrong = httpx.post(f"{served.base}/v1/posts", json={"posts": []}, headers=served.headers)
    assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/problem+json")


def test_run_serves_the_desk_beside_the_scorer(tmp_path: Path) -> None:
    settings = DeskConfig(port=free_port(), refresh_every_s=0.2)
    model = ModelConfig(max_tokens=32)
    config = Config(state_dir=tmp_path / "state", model=model, metrics=MetricsConfig(port=free_port()), desk=settings)
    headers = {"Authorization": f"Bearer {Tokens(config.state_dir).add('ann', 'operator', 'main', NOW)}"}
    base = f"http://127.0.0.1:{settings.port}"
    monitored = MonitorProcess(config, os.environ | {"KAFKA_HOME": ""})
    with monitored as monitor, httpx.Client(base_url=base, headers=headers, timeout=60) as client:
        monitor.wait_until_up()
        assert f"desk at {base}" in monitor.log.read_text()
        assert httpx.get(f"{base}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{base}/v1/about").status_code == 401

        scored = client.post("/v1/score", json={"texts": [{"text": "$AAPL shares plunge after a profit warning"}]})
        (score,) = scored.json()["scores"]
        assert score["sentiment"] == max(score["sentiment_probs"], key=score["sentiment_probs"].get)
        assert score["entities"][0]["ticker"] == "AAPL"

        served = Served(base, headers, connect(config), None)  # type: ignore[arg-type]
        live = run(send_and_hear(served, client))
        wait_for(lambda: client.get("/v1/aggregates").json().get("rows"))
        assert client.get("/v1/aggregates").json()["rows"][0]["count"] == 3
        stored = client.get("/v1/posts", params={"entity": "AAPL"}).json()["posts"]
        assert sorted(post["id"] for post in stored) == sorted(post["id"] for post in live) == ["p0", "p1", "p2"]
        sql = client.post("/v1/sql", json={"sql": "SELECT count(*) AS posts FROM posts"})
        assert sql.json()["rows"] == [{"posts": 3}]
        monitor.stop()


async def send_and_hear(served: Served, client: httpx.Client) -> list[dict[str, Any]]:
    """Send three posts, and return what comes of them, live."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    posts = [
        {"id": f"p{n}", "source": "wire", "published_at": at.isoformat(), "text": f"$AAPL shares fall {n}%"}
        for n in range(3)
    ]
    heard: list[dict[str, Any]] = []
    async with listening(served, "posts") as events:
        answer = await asyncio.to_thread(client.post, "/v1/posts", json={"posts": posts})
        assert answer.json()["accepted"] == 3
        while len(heard) < 3:
            event = await anext(events)
            heard += event.data if event.name == "posts" else []
    return heard
