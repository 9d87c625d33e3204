"""Readers and subscribers of the desk's benchmark, each kind in a process of its own: `python -m jobs.desk_clients`.

A reader turns the dashboard's pages, and asks what they ask (serve/web/js/pages) as a browser does: over connections
that stay, with the tag of what it has. A subscriber listens to the alerts; it speaks HTTP/1.0, so that what comes is
the bare stream of events, and five hundred of them take little of the processor that they share with the desk.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

import httpx
import msgspec

from streamwatch.desk.aggregates import MEASURES

TIMEOUT_S = 30.0
NEVER_ASKED = 0.1
"""Share of questions that nobody asked before."""
TICKS = timedelta(minutes=5)
RANGES = {"6h": "15m", "24h": "30m", "3d": "1h", "7d": "3h", "30d": "12h"}
"""What an entity's page shows at once, and its windows."""
Query = list[tuple[str, str]]


class Plan(NamedTuple):
    """Whom to ask, and as whom.

    Attributes:
        port: Of the desk, on loopback.
        tokens: One for each reader; subscribers share them.
        clients: Readers, or subscribers.
        seconds: How long readers ask.
        tickers: Entities, the most talked about first.
    """

    port: int
    tokens: Sequence[str]
    clients: int
    seconds: float
    tickers: Sequence[str]


class Asked(NamedTuple):
    """One question and its answer."""

    kind: str
    new: bool
    status: int
    seconds: float


class Heard(NamedTuple):
    """One alert that a subscriber got: which subscriber, which alert, when by the clock."""

    subscriber: int
    fingerprint: str
    at_s: float


async def read(plan: Plan) -> list[Asked]:
    """Let readers ask for a time, about one question a second each."""
    found: list[Asked] = []
    await asyncio.gather(*(_reader(plan, number, found) for number in range(plan.clients)))
    return found


async def _reader(plan: Plan, number: int, found: list[Asked]) -> None:
    """Ask as one reader, with connections of its own: a pool of all would look at each for every question."""
    rng, tags = random.Random(number), dict[str, str]()
    asking = questions(rng, plan.tickers)
    headers = {"Authorization": f"Bearer {plan.tokens[number]}"}
    base = f"http://127.0.0.1:{plan.port}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        await asyncio.sleep(rng.random())
        end = time.monotonic() + plan.seconds
        while time.monotonic() < end:
            path, query, new = next(asking)
            url = f"{path}?{urlencode(query)}"
            started = time.perf_counter()
            status = await _status(client, url, tags)
            took_s = time.perf_counter() - started
            found.append(Asked(path, new, status, took_s))
            await asyncio.sleep(max(0.0, rng.uniform(0.5, 1.5) - took_s))


async def _status(client: httpx.AsyncClient, url: str, tags: dict[str, str]) -> int:
    """Ask as a browser does, and return the answer's status; 0 where none comes."""
    try:
        answer = await client.get(url, headers={"If-None-Match": tags.get(url, "")})
    except httpx.HTTPError:
        return 0
    tags[url] = answer.headers.get("etag", "")
    return answer.status_code


def questions(rng: random.Random, tickers: Sequence[str]) -> Iterator[tuple[str, Query, bool]]:
    """Yield paths and queries without end, and whether such a one is asked for the first time."""
    while True:
        at = _now()
        page = _overview(at) if rng.random() < 0.6 else _entity_page(rng, at, _some(rng, tickers))
        for path, query in page:
            if rng.random() < NEVER_ASKED:
                yield "/v1/aggregates", _new_question(rng, at, tickers), True
            yield path, query, False


def _overview(at: datetime) -> list[tuple[str, Query]]:
    """Return what the first page asks, `at` being the end of the last five minutes."""
    net = [("measure", "net_sentiment")]
    by_entity = [*net, ("group_by", "entity"), ("least", "10"), *_range(at, timedelta(hours=1))]
    usual = [("from", _iso(at - timedelta(hours=25))), ("to", _iso(at - timedelta(hours=1)))]
    heat = [*net, ("group_by", "topic"), ("window", "1h"), ("limit", "10000"), *_range(at, timedelta(hours=23))]
    figures = [
        [("measure", "count"), ("to", _iso(at))],
        [*net, *_range(at, timedelta(hours=1))],
        [*net, *usual],
        [*net, ("window", "30m"), ("limit", "10000"), *_range(at, timedelta(hours=24))],
        heat,
        [*by_entity, ("order", "value"), ("limit", "8")],
        [*by_entity, ("compare", "previous"), ("order", "change"), ("limit", "4")],
        [*by_entity, ("compare", "previous"), ("order", "-change"), ("limit", "4")],
    ]
    firing = [("status", "firing"), ("order", "mine"), ("limit", "50")]
    return [
        ("/v1/posts", [("limit", "1")]),
        *(("/v1/aggregates", query) for query in figures),
        ("/v1/alerts", firing),
        ("/v1/alerts", [("limit", "200"), *_range(at + timedelta(days=1), timedelta(days=2))]),
    ]


def _entity_page(rng: random.Random, at: datetime, ticker: str) -> list[tuple[str, Query]]:
    length = rng.choice(list(RANGES))
    span = _range(at, timedelta(hours=int(length[:-1])) * (24 if length.endswith("d") else 1))
    about = [("entity", ticker), *span]
    share = [("measure", "negative_share"), ("order", "-count"), ("limit", "10"), *about]
    return [
        ("/v1/aggregates", [("measure", "net_sentiment"), ("compare", "previous"), *about]),
        ("/v1/aggregates", [("measure", "net_sentiment"), ("window", RANGES[length]), ("limit", "10000"), *about]),
        ("/v1/aggregates", [("group_by", "topic"), *share]),
        ("/v1/aggregates", [("group_by", "intent"), *share]),
        ("/v1/indices", [("window", RANGES[length]), ("bars", "true"), *about]),
        ("/v1/posts", [("limit", "50"), *about]),
        ("/v1/alerts", [("group", ticker), ("limit", "100")]),
    ]


def _new_question(rng: random.Random, at: datetime, tickers: Sequence[str]) -> Query:
    """Return a question over a range and companies that nobody chose before."""
    start = at - timedelta(minutes=5 * rng.randrange(12, 8_000))
    end = min(at, start + timedelta(minutes=5 * rng.randrange(1, 2_000)))
    named = [("entity", _some(rng, tickers)) for _ in range(rng.randrange(3))]
    shapes = [
        [("group_by", "entity"), ("order", "-value"), ("limit", "20")],
        [("group_by", "topic"), ("window", "1h"), ("limit", "10000")],
        [("group_by", "entity,topic"), ("order", "-count"), ("limit", "100"), ("topic", "earnings")],
        [("window", "15m"), ("limit", "10000")],
    ]
    measure = [("measure", rng.choice(MEASURES))]
    return [*measure, *rng.choice(shapes), *named, ("from", _iso(start)), ("to", _iso(end))]


def _some(rng: random.Random, tickers: Sequence[str]) -> str:
    """Return a company; those that are talked about are looked at."""
    return tickers[int(len(tickers) ** rng.random()) - 1]


def _now() -> datetime:
    now = datetime.now(UTC)
    return now + (datetime.min.replace(tzinfo=UTC) - now) % TICKS


def _range(at: datetime, length: timedelta) -> Query:
    return [("from", _iso(at - length)), ("to", _iso(at))]


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


async def listen(plan: Plan) -> list[Heard]:
    """Subscribe, say so on stdout once all subscriptions hold, and listen until there is a line on stdin."""
    heard: list[Heard] = []
    holds = [asyncio.Event() for _ in range(plan.clients)]
    tasks = [asyncio.create_task(_subscriber(plan, number, holds[number], heard)) for number in range(plan.clients)]
    for hold in holds:
        await hold.wait()
    _tell(plan.clients)
    await asyncio.to_thread(sys.stdin.buffer.readline)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return heard


async def _subscriber(plan: Plan, number: int, holds: asyncio.Event, heard: list[Heard]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port, limit=2**20)
    token = plan.tokens[number % len(plan.tokens)]
    try:
        writer.write(f"GET /v1/live/alerts HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        await reader.readuntil(b": hello\n\n")
        holds.set()
        while True:
            event = await reader.readuntil(b"\n\n")
            at_s = time.time()
            _, known, after = event.partition(b'"fingerprint":"')
            if known:
                heard.append(Heard(number, after[:16].decode(), at_s))
    finally:
        writer.close()


def _tell(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asked_for = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    _tell(asyncio.run(listen(asked_for) if sys.argv[1] == "listen" else read(asked_for)))
