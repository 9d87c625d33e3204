"""Labels that people give at the desk, on their way to the stream, and what to ask them next."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import polars as pl

from streamwatch.desk.agreement import CONFLICT, settle
from streamwatch.desk.label_queue import next_questions
from streamwatch.desk.search import Filters, PostSearch, shown_post
from streamwatch.errors import BrokerError
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import Sink
from streamwatch.model.heads import ENTITY, TASKS
from streamwatch.records import Label
from streamwatch.store.follower import TableFollower
from streamwatch.store.schema import LABELS_SCHEMA
from streamwatch.store.tables import store_errors
from streamwatch.streams import stream_name

NEWEST = 20_000
"""Questions are about so many posts, the newest."""
SENT_KEPT = 10_000
"""Labels sent from here that may not be stored yet: a question that was answered is not asked again."""
FLUSH_TIMEOUT_S = 30.0
_COLUMNS = [name for name in LABELS_SCHEMA.names if name != "version"]
_NOT_STORED = 2**62
"""Version of a label that is not stored yet: above all that are."""


class Question(NamedTuple):
    """What somebody is asked: of this post the task, for `entity` about which one, and why."""

    post: Mapping[str, Any]
    task: str
    entity: str | None
    worth: float
    reasons: Sequence[Mapping[str, str]]


class LabelDesk:
    """Takes labels, and says what is labelled and what to ask.

    Args:
        connection: To Kafka; without it labels are read, and none are taken.
        posts: The table `posts`, followed.
        labels: The table `labels`, followed.
        agreeing: How many people must say the same.
    """

    def __init__(
        self, connection: Connection | None, posts: TableFollower, labels: TableFollower, agreeing: int
    ) -> None:
        self._connection = connection
        self._posts, self._labels = posts, labels
        self._search = PostSearch(posts)
        self._agreeing = dict.fromkeys([*TASKS, ENTITY], agreeing)
        self._sent: deque[dict[str, Any]] = deque(maxlen=SENT_KEPT)
        self._lock = threading.Lock()
        self._sink: Sink | None = None

    def unknown(self, labels: Sequence[Label]) -> list[str]:
        """Return which of the labelled posts are not stored."""
        ids = tuple(OrderedDict.fromkeys(label.post_id for label in labels))
        known = {post["id"] for post in self._search.page(Filters(ids=ids), len(ids)).posts}
        return [post_id for post_id in ids if post_id not in known]

    def give(self, labels: Sequence[Label]) -> None:
        """Send labels; they are acknowledged by the broker when this returns.

        Raises:
            BrokerError: The broker does not take them. Some may be written all the same; sending all again is safe,
                as the last label of a person counts.
        """
        if self._connection is None:
            message = "this desk has no connection to Kafka, so it takes no labels"
            raise BrokerError(message)
        stream = stream_name("labels", self._connection.kafka.prefix)
        with self._lock:
            self._sink = self._sink or Sink(self._connection)
            try:
                for label in labels:
                    self._sink.send(stream, msgspec.json.encode(label), key=label.post_id.encode())
                self._sink.flush(FLUSH_TIMEOUT_S)
            except BrokerError:
                self._drop_sink()
                raise
            self._sent += [msgspec.structs.asdict(label) for label in labels]

    def labels(self, post_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return every label of some posts, oldest first."""
        found = self._all().filter(pl.col("post_id").is_in(list(post_ids)))
        return found.sort("labelled_at", "version").select(_COLUMNS).to_dicts()

    def conflicts(self) -> list[dict[str, Any]]:
        """Return what people differ on."""
        settled = settle(self._all(), self._agreeing).filter(pl.col("status") == CONFLICT)
        return settled.select("post_id", "task", "entity", "votes", "said", "last_at").to_dicts()

    def questions(self, labeller: str, count: int) -> list[Question]:
        """Return what to ask a person next: what teaches the model most, first."""
        with store_errors("posts"):
            posts = self._posts.scan().top_k(NEWEST, by="published_at").collect()
        picks = next_questions(posts, self._all(), count, agreeing=self._agreeing, labeller=labeller)
        chosen = posts.filter(pl.col("id").is_in([pick.post_id for pick in picks])).unique("id", keep="last")
        shown = {row["id"]: shown_post(row) for row in chosen.to_dicts()}
        return [
            Question(
                shown[pick.post_id],
                pick.task,
                pick.entity,
                round(pick.worth, 4),
                [reason._asdict() for reason in pick.reasons],
            )
            for pick in picks
        ]

    def close(self) -> None:
        """Let go of the broker."""
        with self._lock:
            self._drop_sink()

    def _all(self) -> pl.DataFrame:
        """Return the labels that are stored, and those sent from here."""
        schema = pl.DataFrame(LABELS_SCHEMA.empty_table()).schema
        with store_errors("labels"):
            stored = self._labels.scan().collect()
        with self._lock:
            sent = pl.DataFrame([label | {"version": _NOT_STORED} for label in self._sent], schema=schema)
        return pl.concat([stored, sent], how="diagonal_relaxed")

    def _drop_sink(self) -> None:
        if self._sink:
            self._sink.close(timeout_s=1.0)
        self._sink = None
