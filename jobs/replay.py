"""Replay a file of posts onto the stream: `streamwatch replay`, or on a cluster `python -m jobs.replay FILE`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from streamwatch.codec import heartbeat_header
from streamwatch.config import Config
from streamwatch.ingest.admin import ensure_streams, stream_partitions
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import Sink
from streamwatch.replay import Action, Beat, ReplayPost
from streamwatch.streams import stream_name


class Feed:
    """Send posts and heartbeats to the stream `posts`; a post's partition follows from the hash of its id.

    Leaving the `with` waits for the broker's acknowledgements.

    Raises:
        BrokerError: A post was not acknowledged; raised by whichever call notices first.
    """

    def __init__(self, config: Config, connection: Connection) -> None:
        ensure_streams(connection)
        self._stream = stream_name("posts", config.kafka.prefix)
        self._partitions = range(stream_partitions(connection, [self._stream])[self._stream])
        self._sink = Sink(connection)
        self._lateness = timedelta(seconds=config.watch.allowed_lateness_s)
        self.posts = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._sink.flush()
        finally:
            self._sink.close()

    def run(self, actions: Iterable[Action], stopping: threading.Event, on_sent: Callable[[], None]) -> None:
        """Do each action when it is due, until all are done or `stopping` is set."""
        started = time.monotonic()
        for action in actions:
            if stopping.wait(max(0.0, started + action.due_s - time.monotonic())):
                return
            if isinstance(action, Beat):
                self.beat(action.instant)
            else:
                self.send(action.post)
                on_sent()

    def send(self, post: ReplayPost) -> None:
        """Send a post."""
        self._sink.send(self._stream, post.value, key=post.key.encode())
        self.posts += 1
        self.first = min(self.first or post.published_at, post.published_at)
        self.last = max(self.last or post.published_at, post.published_at)

    def flush(self) -> None:
        """Wait until the broker has acknowledged everything."""
        self._sink.flush()

    def beat(self, instant: datetime) -> None:
        """Say in every partition that no post before `instant` follows, but nothing of what the clock has yet to show.

        Live posts may come after a replay; a promise about the future would make them late.
        """
        instant = min(instant, datetime.now(UTC) - self._lateness)
        for partition in self._partitions:
            self._sink.send(self._stream, None, partition=partition, headers=heartbeat_header(instant))


if __name__ == "__main__":
    from streamwatch.cli.main import run_command

    sys.exit(run_command(["replay", *sys.argv[1:]]))
