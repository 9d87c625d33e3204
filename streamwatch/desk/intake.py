"""Posts that programs send to the desk, on their way to the stream: checked as SCORE checks them, each id once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from streamwatch.codec import PostDecoder
from streamwatch.desk.search import Filters, PostSearch
from streamwatch.errors import BrokerError
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import Sink
from streamwatch.streams import stream_name

IDS_KEPT = 200_000
"""Ids of the last posts that were sent from here: they may not be stored yet."""
FLUSH_TIMEOUT_S = 30.0


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of a post: `accepted`, a `duplicate` of one that was sent before, or `refused`, and why."""

    status: Literal["accepted", "duplicate", "refused"]
    id: str | None = None
    reason: str | None = None


class Received(NamedTuple):
    """A message as the decoder takes it; its offset is its place among those that came together."""

    value: bytes | None
    offset: int
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


class _Named(Struct):
    id: str
    reply_to: str | None = None


class Intake:
    """Takes posts in.

    A post is a duplicate if one with its id and time of publication is stored, or was sent from here lately.

    Args:
        connection: To Kafka.
        search: In the stored posts.
        max_future_s: How far ahead of the clock a post may be published.
    """

    def __init__(self, connection: Connection, search: PostSearch, max_future_s: float) -> None:
        self._connection = connection
        self._stream = stream_name("posts", connection.kafka.prefix)
        self._search = search
        self._decoder = PostDecoder(max_future_s)
        self._sent: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._sink: Sink | None = None

    def take(self, posts: Sequence[bytes], now: datetime) -> list[Outcome]:
        """Send what is new and as it should be; it is acknowledged by the broker when this returns.

        Args:
            posts: Each as JSON.
            now: The present.

        Raises:
            BrokerError: The broker does not take them. Some may be written all the same; sending all again is safe.
        """
        decoded = self._decoder.decode(self._stream, 0, [Received(post, i) for i, post in enumerate(posts)], now)
        outcomes = {dead.offset: Outcome("refused", _id(dead.value), dead.reason) for dead in decoded.dead}
        columns = (decoded.batch.column(name).to_pylist() for name in ("source_offset", "id", "published_at"))
        good = list(zip(*columns, strict=True))
        with self._lock:
            known = self._stored([(post_id, at) for _, post_id, at in good]) | self._sent.keys()
            fresh: dict[str, bytes] = {}
            for place, post_id, _ in good:
                is_new = post_id not in known and post_id not in fresh
                outcomes[place] = Outcome("accepted" if is_new else "duplicate", post_id)
                if is_new:
                    fresh[post_id] = posts[place]
            self._send(fresh)
        return [outcomes[place] for place in range(len(posts))]

    def close(self) -> None:
        """Let go of the broker."""
        with self._lock:
            self._drop_sink()

    def _stored(self, named: list[tuple[str, datetime]]) -> set[str]:
        if not named:
            return set()
        times = [at for _, at in named]
        filters = Filters(
            ids=tuple(post_id for post_id, _ in named), start=min(times), end=max(times) + timedelta(microseconds=1)
        )
        found = self._search.page(filters, 2 * len(named)).posts
        return {post["id"] for post in found}

    def _send(self, fresh: dict[str, bytes]) -> None:
        if not fresh:
            return
        self._sink = self._sink or Sink(self._connection)
        try:
            for post in fresh.values():
                named = msgspec.json.decode(post, type=_Named)
                self._sink.send(self._stream, post, key=(named.reply_to or named.id).encode())
            self._sink.flush(FLUSH_TIMEOUT_S)
        except BrokerError:
            self._drop_sink()
            raise
        self._sent.update(dict.fromkeys(fresh))
        while len(self._sent) > IDS_KEPT:
            self._sent.popitem(last=False)

    def _drop_sink(self) -> None:
        if self._sink:
            self._sink.close(timeout_s=1.0)
        self._sink = None


def _id(post: bytes) -> str | None:
    try:
        return msgspec.json.decode(post, type=_Named).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
