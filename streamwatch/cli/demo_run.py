"""Run the demo: a broker, a monitor and a market day, all real, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self

import httpx
import msgspec

from jobs.memory import MemoryMeter
from jobs.monitor_process import MonitorProcess, free_port, stage_errors
from jobs.replay import Feed
from streamwatch.cli.demo_outcome import Outcome, read_outcome
from streamwatch.cli.demo_view import DemoView, read_counts
from streamwatch.config import Config, MetricsConfig
from streamwatch.errors import BrokerError, StageError, StreamwatchError
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import running_broker, start_local_broker
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.marketday import MarketDay
from streamwatch.ingest.progress import Waiting, wait_until_archived
from streamwatch.ingest.source import StreamReader
from streamwatch.records import Alert, Window
from streamwatch.replay import closing_instant, replay_post, schedule
from streamwatch.store.tables import Tables
from streamwatch.streams import stream_name
from streamwatch.watch.monitors import load_monitors

LOOK_EVERY_S = 0.5
NO_PROGRESS_S = 180.0
POLL_S = 0.05
POLL_RECORDS = 2_000
POLLS = 10
"""Most polls in a row before the screen is drawn again."""
PHASES = {"score": "scoring", "watch": "watching", "archive": "storing"}


class Stopped(Exception):
    """The person did not want to watch any longer."""


class Demo:
    """The parts of a running demo. Use it in a `with`: leaving it ends whatever still runs.

    Args:
        config: The user's configuration: of it the demo takes the model and the sizes, nothing of Kafka or the store.
        day: What happens.
        posts: How many posts the day has.
        refresh: Called a few times a second to show the view.
        stopping: Set when the person asks for the end.
    """

    def __init__(
        self,
        config: Config,
        day: MarketDay,
        *,
        posts: int,
        refresh: Callable[[DemoView], None],
        stopping: threading.Event,
    ) -> None:
        self.config = demo_config(config)
        self.view = DemoView(title="demo", total=posts)
        self._day = day
        self._refresh = refresh
        self._stopping = stopping
        self._monitors = load_monitors(None).monitors
        self._by_company = {monitor.name for monitor in self._monitors if monitor.group_by == ("entity",)}
        self._started = time.monotonic()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as stack:
            fresh_folder(self.config.state_dir)
            self._memory = stack.enter_context(MemoryMeter(os.getpid()))
            home = os.environ.get("KAFKA_HOME")
            stack.enter_context(start_local_broker(self.config.state_dir, Path(home) if home else None))
            self._connection = connect(self.config)
            ensure_streams(self._connection)
            self._monitor = stack.enter_context(MonitorProcess(self.config, os.environ))
            self._http = stack.enter_context(httpx.Client(trust_env=False, timeout=2.0))
            self._outputs = stack.enter_context(_outputs(self.config, self._connection))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, speed: float) -> None:
        """Start the monitor, send the day, and return when all of it stands in the tables.

        Raises:
            Stopped: The person asked for the end before that.
            StageError: The monitor ended, or makes no progress.
            BrokerError: The broker does not take the posts.
        """
        if not self._monitor.wait_until_up(self._stopping, self._tick):
            raise Stopped
        with ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
            work = pool.submit(self._feed, speed)
            try:
                self._watch_until(work)
            except StreamwatchError:
                self._stopping.set()
                raise
        self.view.phase = "done"
        self._tick()

    def watch(self) -> None:
        """Go on showing until the person asks for the end."""
        while not self._stopping.wait(LOOK_EVERY_S):
            self._tick()

    def finish(self) -> Outcome:
        """End the monitor, which drains and commits, and read what came of the day.

        Raises:
            StageError: The monitor does not end with 0.
        """
        self._show("stopping")
        self._monitor.stop()
        return read_outcome(
            Tables(self.config.store_url()),
            self._day,
            posts_in=self.view.sent,
            seconds=time.monotonic() - self._started,
            peak_bytes=self._memory.peak_bytes,
        )

    def _feed(self, speed: float) -> None:
        """Send the day and its closing heartbeats, then wait; in a thread of its own."""
        self.view.phase = "streaming"
        with Feed(self.config, self._connection) as feed:

            def sent() -> None:
                self.view.sent, self.view.event_time = feed.posts, feed.last

            feed.run(schedule(map(replay_post, self._day.posts), speed), self._stopping, sent)
            if feed.last and not self._stopping.is_set():
                lateness = timedelta(seconds=self.config.watch.allowed_lateness_s)
                feed.beat(closing_instant(feed.last, self._monitors, lateness))
        wait_until_archived(self._connection, self._waiting, NO_PROGRESS_S)

    def _waiting(self, waiting: Waiting) -> None:
        self.view.phase = PHASES.get(waiting.stage, waiting.stage)
        if self._stopping.is_set():
            raise Stopped

    def _watch_until(self, work: Future[None]) -> None:
        while not work.done():
            self._monitor.check()
            self._tick()
            time.sleep(LOOK_EVERY_S)
        try:
            work.result()
        except StageError as error:
            message = f"{error}{stage_errors(self._monitor.status())}; the monitor's log is {self._monitor.log}"
            raise StageError(message) from error
        if self._stopping.is_set():
            raise Stopped

    def _tick(self) -> None:
        """Gather what is new, and show it."""
        if status := self._monitor.status():
            self.view.take_status(status)
            self._take_counts()
        for _ in range(POLLS):
            polled = self._outputs.poll(POLL_S, POLL_RECORDS)
            for message in (message for messages in polled.values() for message in messages):
                self._take(message.topic, message.value)
            if not polled:
                break
        self._show()

    def _take_counts(self) -> None:
        metrics = self.config.metrics
        try:
            answer = self._http.get(f"http://{metrics.host}:{metrics.port}/metrics")
        except httpx.TransportError:
            return
        self.view.counts = read_counts(answer.text)

    def _take(self, stream: str, value: bytes) -> None:
        if stream == stream_name("alerts", self.config.kafka.prefix):
            self.view.take_alert(msgspec.json.decode(value, type=Alert))
            return
        window = msgspec.json.decode(value, type=Window)
        if window.monitor in self._by_company:
            self.view.take_window(window)

    def _show(self, phase: str = "") -> None:
        self.view.phase = phase or self.view.phase
        self.view.elapsed_s = time.monotonic() - self._started
        self.view.memory_bytes = self._memory.now_bytes
        self._refresh(self.view)


def demo_config(config: Config) -> Config:
    """Return the demo's configuration: its own folder, broker, tables and port; the user's model and sizes."""
    return Config(
        state_dir=config.state_dir.resolve() / "demo",
        model=config.model,
        serve=config.serve,
        score=config.score,
        metrics=MetricsConfig(port=free_port()),
    )


def fresh_folder(folder: Path) -> None:
    """Make an empty folder, and wipe what the last demo left there.

    Raises:
        BrokerError: A demo still runs there.
    """
    if address := running_broker(folder):
        message = f"a demo is running in {folder} (its broker is at {address}): end it first"
        raise BrokerError(message)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _outputs(config: Config, connection: Connection) -> StreamReader:
    prefix = config.kafka.prefix
    reader = StreamReader(connection, [stream_name("windows", prefix), stream_name("alerts", prefix)], f"{prefix}-demo")
    reader.seek({})
    return reader
