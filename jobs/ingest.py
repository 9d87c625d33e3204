"""Bring posts from feeds and other sources onto the stream, each once: `streamwatch ingest`.

A source of your own is an object with a name and a `poll`, see `streamwatch.ingest.post_source`, and
`send_new(config, connect(config), [source])` sends what is new in it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobs.replay import Feed
from streamwatch.config import Config
from streamwatch.feeds.feed_source import FeedSource
from streamwatch.feeds.report import FeedReport
from streamwatch.feeds.rounds import Rounds
from streamwatch.feeds.subscriptions import Subscriptions
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.ledger import Ledger, Ledgers
from streamwatch.ingest.post_source import Polled, PostSource
from streamwatch.ingest.source import StreamReader, read_back
from streamwatch.records import Post
from streamwatch.replay import replay_post
from streamwatch.streams import group_name, stream_name

log = logging.getLogger(__name__)

FOLDER = "ingest"
"""Where in `state_dir` the ledgers are."""


class _Named(Struct):
    id: str


class Delivery:
    """Send what sources give, each post once, whatever is killed in between.

    Args:
        config: Names of the streams.
        connection: How to reach Kafka.
    """

    def __init__(self, config: Config, connection: Connection) -> None:
        self._connection = connection
        self._feed = Feed(config, connection)
        posts = stream_name("posts", config.kafka.prefix)
        self._reader = StreamReader(connection, [posts], group_name(FOLDER, config.kafka.prefix))

    def __enter__(self) -> Self:
        self._feed.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self._feed.__exit__(kind, error, trace)

    def recover(self, ledger: Ledger) -> None:
        """Send those posts that a run which was killed had written down, and that are not in the stream.

        Raises:
            BrokerError: The stream cannot be read or written.
        """
        missing = {post.id: post for post in ledger.waiting}
        for place, end in self._reader.end_offsets().items() if missing else ():
            start = ledger.ends.get(place.partition, 0)
            start = start if start <= end else 0  # the stream was made anew
            for messages in read_back(self._connection, place, start, end) if start < end else ():
                for message in messages:
                    missing.pop(_id_of(message.value), None)
        if ledger.waiting:
            log.info("going on after a stop", extra={"waiting": len(ledger.waiting), "unsent": len(missing)})
        self._send(missing.values())
        ledger.settle()

    def deliver(self, ledger: Ledger, polled: Polled) -> int:
        """Send what is new, and return how many posts that were.

        Raises:
            BrokerError: A post was not acknowledged; `recover` sends what is missing.
        """
        new = ledger.new(polled.posts)
        ends = {place.partition: end for place, end in self._reader.end_offsets().items()} if new else {}
        ledger.begin(polled, new, ends)
        self._send(new)
        ledger.settle()
        return len(new)

    def _send(self, posts: Iterable[Post]) -> None:
        for post in posts:
            self._feed.send(replay_post(post))
        self._feed.flush()


def send_new(config: Config, connection: Connection, sources: Sequence[PostSource]) -> dict[str, int]:
    """Poll each source once, send what is new, and return how many posts that were.

    Args:
        config: `state_dir` keeps where each source goes on.
        connection: How to reach Kafka.
        sources: Each with a name of its own.

    Raises:
        SourceError: A source cannot be read, or another process works in `state_dir`.
        BrokerError: Kafka does not take the posts.
    """
    sent = {}
    with Ledgers(config.state_dir / FOLDER) as ledgers, Delivery(config, connection) as delivery:
        for source in sources:
            ledger = ledgers.open(source.name)
            delivery.recover(ledger)
            sent[source.name] = delivery.deliver(ledger, source.poll(ledger.cursor))
    return sent


def visit_feeds(
    config: Config, connection: Connection, subscriptions: Subscriptions, stopping: threading.Event, *, once: bool
) -> Iterator[FeedReport]:
    """Visit feeds until `stopping` is set, and yield a report for each visit, its new posts in the stream by then.

    Args:
        config: `state_dir` keeps what is known of each feed.
        connection: How to reach Kafka.
        subscriptions: The feeds.
        stopping: Set to end.
        once: Visit each feed once.

    Raises:
        SourceError: Another process works in `state_dir`, or a ledger is damaged.
        BrokerError: Kafka does not take the posts.
    """
    sources = [FeedSource(feed, subscriptions.fetch) for feed in subscriptions.feeds]
    with Ledgers(config.state_dir / FOLDER) as folder, Delivery(config, connection) as delivery:
        ledgers = {source.name: folder.open(source.name) for source in sources}
        for ledger in ledgers.values():
            delivery.recover(ledger)
        cursors = {name: ledger.cursor for name, ledger in ledgers.items()}
        rounds = Rounds(sources, cursors, subscriptions.fetch.min_gap, stopping, once=once)
        for source, visit in rounds.visits():
            sent = delivery.deliver(ledgers[source.name], visit.polled)
            yield replace(visit.report, posts=sent, repeated=len(visit.polled.posts) - sent)


def _id_of(value: bytes | None) -> str:
    try:
        return msgspec.json.decode(value or b"", type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


if __name__ == "__main__":
    from streamwatch.cli.main import run_command

    sys.exit(run_command(["ingest", *sys.argv[1:]]))
