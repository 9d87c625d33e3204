"""Feed posts to a running monitor: for benchmarks and crash tests, where offsets must be the same each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from streamwatch.codec import heartbeat_header
from streamwatch.config import KafkaConfig
from streamwatch.errors import StreamwatchError
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import Sink
from streamwatch.records import Post
from streamwatch.streams import stream_name

PAST_EVERY_WINDOW = timedelta(days=2)
"""More than the longest window of the monitors that come with streamwatch."""


class Feeder(threading.Thread):
    """Send posts to the source partitions in turn, from a thread of its own.

    Args:
        connection: How to reach Kafka; it may be killed meanwhile.
        posts: What to send.
        hurry: Set when there is no more reason to be slow; None: at the same speed to the end.
        posts_per_s: Speed until then; None: as fast as the broker takes them.
        heartbeat: Whether to say at the end that nothing older follows, which closes every window.
    """

    def __init__(
        self,
        connection: Connection,
        posts: Sequence[Post],
        hurry: threading.Event | None = None,
        *,
        posts_per_s: float | None = None,
        heartbeat: bool = True,
    ) -> None:
        super().__init__(name="feeder")
        self._connection = connection
        self._posts = posts
        self._hurry = hurry or threading.Event()
        self._pause_s = 1 / posts_per_s if posts_per_s else 0.0
        self._heartbeat = heartbeat
        self._fault: StreamwatchError | None = None

    def run(self) -> None:
        """Send everything."""
        try:
            with Sink(self._connection) as sink:
                self._send(sink, self._connection.kafka)
        except StreamwatchError as error:
            self._fault = error

    def finish(self) -> None:
        """Wait until everything is sent and acknowledged; raises what kept it from that."""
        self.join()
        if self._fault:
            raise self._fault

    def _send(self, sink: Sink, kafka: KafkaConfig) -> None:
        stream = stream_name("posts", kafka.prefix)
        due = time.monotonic()
        for number, post in enumerate(self._posts):
            sink.send(stream, msgspec.json.encode(post), partition=number % kafka.partitions)
            due += self._pause_s
            self._hurry.wait(max(0.0, due - time.monotonic()))
        if self._heartbeat:
            end = min(self._posts[-1].published_at + PAST_EVERY_WINDOW, datetime.now(UTC))
            for partition in range(kafka.partitions):
                sink.send(stream, None, partition=partition, headers=heartbeat_header(end))
        sink.flush()
