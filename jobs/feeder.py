"""Feed posts to a running monitor, for benchmarks and crash tests: the same posts get the same offsets each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta

from jobs.replay import Feed
from streamwatch.config import Config
from streamwatch.errors import StreamwatchError
from streamwatch.ingest.connection import Connection
from streamwatch.records import Post
from streamwatch.replay import replay_post

PAST_EVERY_WINDOW = timedelta(days=2)
"""More than the longest window of the monitors that come with streamwatch."""


class Feeder(threading.Thread):
    """Send posts from a thread of its own.

    Args:
        config: Names of the streams.
        connection: How to reach Kafka; it may be killed meanwhile.
        posts: What to send.
        hurry: Set when there is no more reason to be slow; None: at the same speed to the end.
        posts_per_s: Speed until then; None: as fast as the broker takes them.
        heartbeat: Whether to say at the end that nothing older follows, which closes every window.
    """

    def __init__(
        self,
        config: Config,
        connection: Connection,
        posts: Sequence[Post],
        hurry: threading.Event | None = None,
        *,
        posts_per_s: float | None = None,
        heartbeat: bool = True,
    ) -> None:
        super().__init__(name="feeder")
        self._config = config
        self._connection = connection
        self._posts = posts
        self._hurry = hurry or threading.Event()
        self._pause_s = 1 / posts_per_s if posts_per_s else 0.0
        self._heartbeat = heartbeat
        self._fault: StreamwatchError | None = None

    def run(self) -> None:
        """Send everything."""
        try:
            with Feed(self._config, self._connection) as feed:
                due = time.monotonic()
                for post in self._posts:
                    feed.send(replay_post(post))
                    due += self._pause_s
                    self._hurry.wait(max(0.0, due - time.monotonic()))
                if self._heartbeat:
                    feed.beat(self._posts[-1].published_at + PAST_EVERY_WINDOW)
        except StreamwatchError as error:
            self._fault = error

    def finish(self) -> None:
        """Wait until everything is sent and acknowledged; raises what kept it from that."""
        self.join()
        if self._fault:
            raise self._fault
