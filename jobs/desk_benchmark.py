"""How fast the desk answers many readers over many stored posts, while alerts go out to many subscribers.

The desk runs as users start it, `streamwatch desk serve --live`, over a store of made-up posts of the last 30 days, and
beside a broker. While it is asked, posts go on being stored, so that answers are made anew as they are with a monitor
running. Readers, subscribers and the desk share the machine's cores: what they take from one another is in the
figures, and they mean little beside other work.

What shaped the desk: sums kept by day, so that a new post changes one day and a question reads its own; the rows of
an entity looked up, not searched for (cubes.py); questions that never wait for what is added (rollups.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import httpx
import msgspec
import numpy as np
import pyarrow as pa

from jobs.chain_benchmark import Figure
from jobs.desk_clients import Asked, Heard, Plan
from jobs.memory import MemoryMeter, tree_bytes
from jobs.monitor_process import free_port, to_toml
from jobs.windows_streams import Posts
from streamwatch.config import Config, DeskConfig, KafkaConfig, MetricsConfig
from streamwatch.desk.access import DEFAULT_TENANT, Tokens
from streamwatch.errors import StageError
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import end_with_us, start_local_broker
from streamwatch.ingest.connection import connect
from streamwatch.ingest.sink import Sink
from streamwatch.schema_files import EXAMPLES
from streamwatch.store.tables import Tables, transaction_id
from streamwatch.streams import stream_name
from streamwatch.watch.instants import to_us

DAYS = 30
COMPANIES = 2_000
SEED = 6
ROWS_A_COMMIT = 250_000
ALERT_EVERY_S = 2.0
STORE_EVERY_S = 2.0
"""As ARCHIVE does."""
POSTS_A_STORE = 200
READY_TIMEOUT_S = 600.0
SETTLE_S = 3.0
"""How long after the last alert a subscriber may still get it."""
FIGURES = ("/v1/aggregates", "/v1/indices")
CLOCK_TICKS_S = os.sysconf("SC_CLK_TCK")
T = TypeVar("T")


class Load(NamedTuple):
    """What is measured.

    Attributes:
        posts: That are stored.
        users: That ask about a question a second.
        subscribers: That listen to alerts.
        seconds: How long.
    """

    posts: int
    users: int
    subscribers: int
    seconds: float


class Sent(NamedTuple):
    """An alert: which, and when it was handed to the broker's client."""

    fingerprint: str
    at_s: float


def measure_desk(folder: Path, load: Load, say: Callable[[str], None]) -> list[Figure]:
    """Measure the desk.

    Args:
        folder: Where store and state go: about 130 bytes a post.
        load: How much of everything.
        say: Told what is being done.
    """
    say(f"writing {load.posts:,} posts")
    writer = Writer(Tables(str(folder / "tables")), Posts(COMPANIES, SEED))
    started = time.perf_counter()
    writer.fill(load.posts)
    written_s = time.perf_counter() - started
    with ExitStack() as stack:
        broker = stack.enter_context(start_local_broker(folder / "broker", _kafka_home()))
        config = Config(
            state_dir=folder,
            kafka=KafkaConfig(bootstrap_servers=broker.bootstrap_servers),
            desk=DeskConfig(port=free_port()),
            metrics=MetricsConfig(port=free_port()),
        )
        connection = connect(config)
        ensure_streams(connection)
        sink = stack.enter_context(Sink(connection))
        tokens = [
            Tokens(folder).add(f"reader {number}", "viewer", DEFAULT_TENANT, datetime.now(UTC))
            for number in range(load.users)
        ]
        say("the desk starts")
        started = time.perf_counter()
        pid = stack.enter_context(_desk(config))
        _wait_until_ready(config, tokens[0])
        ready_s, ready_bytes = time.perf_counter() - started, tree_bytes(pid)
        say(f"{load.users} users and {load.subscribers} subscribers for {load.seconds:.0f} s")
        plan = Plan(config.desk.port, tokens, load.users, load.seconds, writer.tickers)
        memory = stack.enter_context(MemoryMeter(pid))
        busy_s, began = _busy_s(pid), time.perf_counter()
        asked, heard, sent = _under_load(plan, load, writer, sink, stream_name("alerts", config.kafka.prefix))
        cores = (_busy_s(pid) - busy_s) / (time.perf_counter() - began)
    stored = [
        Figure("posts", load.posts, f"over {DAYS} days, of {COMPANIES:,} companies, written in {written_s:.0f} s"),
        Figure("desk ready after, s", round(ready_s, 1), "from its start to its first figure"),
        Figure("memory then, MB", round(ready_bytes / 1e6)),
        Figure("memory at most, MB", round(memory.peak_bytes / 1e6), "while it was asked"),
        Figure("cores, of the desk", round(cores, 2), f"of {os.cpu_count()}, which the clients use as well"),
    ]
    return [*stored, *answer_figures(asked, load), *alert_figures(heard, sent, load.subscribers)]


class Writer:
    """Stores made-up posts, as ARCHIVE does.

    Args:
        tables: Where.
        posts: Which.
    """

    def __init__(self, tables: Tables, posts: Posts) -> None:
        self._tables = tables
        self._posts = posts
        self._written = 0
        self.tickers = [f"T{key:06d}" for key in range(posts.keys)]

    def fill(self, posts: int) -> None:
        """Store posts of the last `DAYS` days, evenly, in large commits."""
        end = to_us(datetime.now(UTC))
        start = end - timedelta(days=DAYS) // timedelta(microseconds=1)
        edges = [*range(0, posts, ROWS_A_COMMIT), posts]
        times = np.linspace(start, end, posts + 1)
        for first, last in zip(edges, edges[1:], strict=False):
            self._store(int(times[first]), int(times[last]), last - first)

    def go_on(self) -> None:
        """Store what was published in the last moments."""
        now = to_us(datetime.now(UTC))
        self._store(now - round(STORE_EVERY_S * 1e6), now, POSTS_A_STORE)

    def _store(self, start_us: int, end_us: int, posts: int) -> None:
        batch = self._posts.batch(start_us, end_us, posts)
        self._written += posts
        self._tables.append("posts", pa.Table.from_batches([batch]), {transaction_id("posts", 0): self._written - 1})


@contextmanager
def _desk(config: Config) -> Iterator[int]:
    """Run a desk in a process of its own, and give its number."""
    file, log = config.state_dir / "streamwatch.toml", config.state_dir / "desk.log"
    file.write_text(to_toml(config), encoding="utf-8")
    command = [sys.executable, "-m", "streamwatch.cli.main", "--config", str(file), "desk", "serve", "--live"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    watcher = end_with_us(process.pid)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        watcher.kill()
        watcher.communicate()


def _wait_until_ready(config: Config, token: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    url = f"http://127.0.0.1:{config.desk.port}/v1/aggregates"
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    message = f"the desk is not ready within {READY_TIMEOUT_S:.0f} s: see {config.state_dir / 'desk.log'}"
    raise StageError(message)


def _under_load(
    plan: Plan, load: Load, writer: Writer, sink: Sink, stream: str
) -> tuple[list[Asked], list[Heard], list[Sent]]:
    with Clients("listen", plan._replace(clients=load.subscribers)) as subscribers:
        subscribers.told(int)
        with Clients("read", plan) as readers, _storing(writer):
            sent = _send_alerts(sink, stream, load.seconds)
            asked = readers.told(list[Asked])
        time.sleep(SETTLE_S)
        heard = subscribers.stop().told(list[Heard])
    return asked, heard, sent


class Clients:
    """Clients of the desk in a process of their own, which is light: `jobs.desk_clients`.

    Args:
        kind: `read` or `listen`.
        plan: What they do.
    """

    def __init__(self, kind: str, plan: Plan) -> None:
        command = [sys.executable, "-m", "jobs.desk_clients", kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._write(msgspec.json.encode(plan))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def told(self, kind: type[T]) -> T:
        """Return what they say next."""
        assert self._process.stdout
        return msgspec.json.decode(self._process.stdout.readline(), type=kind)

    def stop(self) -> Self:
        """Let them end."""
        self._write(b"")
        return self

    def _write(self, line: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()


@contextmanager
def _storing(writer: Writer) -> Iterator[None]:
    stopping = threading.Event()

    def store() -> None:
        while not stopping.wait(STORE_EVERY_S):
            writer.go_on()

    thread = threading.Thread(target=store, name="storing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _send_alerts(sink: Sink, stream: str, seconds: float) -> list[Sent]:
    example: Any = EXAMPLES["alert.v1"]
    sent: list[Sent] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        alert = msgspec.structs.replace(example, fingerprint=f"{len(sent):016x}")
        sent.append(Sent(alert.fingerprint, time.time()))
        sink.send(stream, msgspec.json.encode(alert), key=alert.fingerprint.encode())
        sink.flush()
        time.sleep(ALERT_EVERY_S)
    return sent


def answer_figures(asked: Sequence[Asked], load: Load) -> list[Figure]:
    """Return how questions were answered."""
    figures = [one.seconds for one in asked if one.kind in FIGURES]
    new = [one.seconds for one in asked if one.new]
    faults = Counter(one.status for one in asked if one.status not in (200, 304))
    unchanged = sum(one.status == 304 for one in asked) / len(asked)
    return [
        Figure("questions", len(asked), f"of {load.users} users in {load.seconds:.0f} s; {unchanged:.0%} unchanged"),
        Figure("errors", faults.total(), ", ".join(f"{count} x {status}" for status, count in faults.items())),
        Figure("aggregates p50, ms", _percentile(figures, 50), f"{len(figures)} of them"),
        Figure("aggregates p99, ms", _percentile(figures, 99)),
        Figure("never asked before p99, ms", _percentile(new, 99), f"{len(new)} of them"),
        Figure("all p50, ms", _percentile([one.seconds for one in asked], 50)),
        Figure("all p99, ms", _percentile([one.seconds for one in asked], 99)),
        *(
            Figure(f"{kind} p99, ms", _percentile([one.seconds for one in asked if one.kind == kind], 99))
            for kind in ("/v1/posts", "/v1/alerts")
        ),
    ]


def alert_figures(heard: Sequence[Heard], sent: Sequence[Sent], subscribers: int) -> list[Figure]:
    """Return how alerts arrived."""
    got = Counter((one.subscriber, one.fingerprint) for one in heard)
    wanted = {(number, one.fingerprint) for number in range(subscribers) for one in sent}
    sent_at = {one.fingerprint: one.at_s for one in sent}
    delays = [one.at_s - sent_at[one.fingerprint] for one in heard if one.fingerprint in sent_at]
    return [
        Figure("alerts sent", len(sent), f"to {subscribers} subscribers"),
        Figure("alerts missed", len(wanted - got.keys())),
        Figure("alerts got twice", sum(count - 1 for count in got.values())),
        Figure("delivery p50, ms", _percentile(delays, 50), "from the producer to the subscriber"),
        Figure("slowest delivery, ms", _percentile(delays, 100)),
    ]


def _percentile(seconds: Sequence[float], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)) * 1e3, 1) if seconds else float("nan")


def _busy_s(pid: int) -> float:
    """Return the processor's seconds that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_S


def _kafka_home() -> Path | None:
    return Path(os.environ["KAFKA_HOME"]) if os.environ.get("KAFKA_HOME") else None
