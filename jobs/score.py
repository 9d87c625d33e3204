"""SCORE: from `posts` to `scored`.

A micro-batch holds the posts of one source partition, in order. Several are with the scorer at once, and they leave in
the order in which they came, so a partition's rows in `scored` never change places. Source offsets are committed
only after the broker has acknowledged the scores and the dead letters: after a crash rows may be sent again, with the
same offsets, and the readers of `scored` drop them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition
from ray.exceptions import RayTaskError
from ray.serve.handle import DeploymentHandle

from jobs.scoring import Call, sift
from jobs.stage import Stage
from streamwatch.codec import DeadLetter, PostDecoder, encode_batch, heartbeat_header, read_heartbeat, with_scores
from streamwatch.config import Config
from streamwatch.errors import MembershipLost
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.deadletters import dead_letter_message
from streamwatch.ingest.enrich import Enricher
from streamwatch.ingest.parents import Parents
from streamwatch.ingest.sink import MAX_SEND_BYTES, Sink
from streamwatch.ingest.source import GroupMember, read_back
from streamwatch.metrics import ScoreMetrics
from streamwatch.streams import group_name, stream_name

log = logging.getLogger(__name__)

IDLE_POLL_S = 0.5
BUSY_POLL_S = 0.02
LARGEST_MESSAGE_BYTES = MAX_SEND_BYTES - 1_024
"""What fits with key and headers."""


class Flight:
    """One micro-batch between poll and commit."""

    def __init__(self, taken: TopicPartition, messages: Sequence[ConsumerRecord]) -> None:
        self.taken = taken
        self.messages = messages
        self.batch: pa.RecordBatch | None = None
        self.call: Call | None = None
        self.dead: list[DeadLetter] = []
        self.heartbeat: datetime | None = None


class ScoreStage(Stage[ScoreMetrics]):
    """A member of the consumer group that scores posts.

    Args:
        config: Sizes of micro-batches, how many are in flight, how long calls are repeated.
        connection: How to reach Kafka.
        member: Number of this member; it keeps its place in the group over restarts.
        scorer: The scorer's handle.
        enricher: Adds entities and novelty, and masks personal data.
    """

    def __init__(
        self, config: Config, connection: Connection, *, member: int, scorer: DeploymentHandle[Any], enricher: Enricher
    ) -> None:
        super().__init__(ScoreMetrics())
        self._config = config
        self._connection = connection
        self._member = member
        self._scorer = scorer
        self._enricher = enricher
        self._decoder = PostDecoder(config.score.max_future_s)
        self._parents = Parents(config.score.reply_reach if config.model.context_tokens else 0)
        self._flights: deque[Flight] = deque()

    def open(self) -> None:
        """Join the group; the committed offsets say where each partition goes on."""
        prefix = self._config.kafka.prefix
        self._posts = stream_name("posts", prefix)
        self._scored = stream_name("scored", prefix)
        self._dead_letters = stream_name("dead-letters", prefix)
        self._sink = Sink(self._connection)
        self._source = GroupMember(
            self._connection,
            self._posts,
            group_name("score", prefix),
            instance_id=f"score-{self._member}",
            session_timeout_s=self._config.score.session_timeout_s,
            on_revoked=self._hand_over,
        )

    def step(self) -> None:
        """Take micro-batches while there is room for them, and send on those that are back."""
        if len(self._flights) < self._config.score.in_flight:
            wait_s = BUSY_POLL_S if self._flights else IDLE_POLL_S
            polled = self._source.poll(wait_s, self._config.score.micro_batch_posts)
            for taken, messages in polled.items():
                self._flights += [self._take(taken, run) for run in self._runs(messages)]
            self._send_on(wait_s=0.0)
        else:
            self._send_on(wait_s=1.0)
        self.metrics.in_flight.set(len(self._flights))

    def drain(self) -> None:
        """Send on and commit everything in flight; what is no longer ours to commit is scored again elsewhere."""
        try:
            self._finish()
        except MembershipLost as error:
            log.warning("not all was committed at the end", extra={"error": str(error)})

    def close(self) -> None:
        """Leave Kafka."""
        self._source.close()
        self._sink.close()

    def figures(self) -> dict[str, Any]:
        """Return what `streamwatch status` shows of this member."""
        return {"in_flight": len(self._flights)}

    def _take(self, taken: TopicPartition, messages: Sequence[ConsumerRecord]) -> Flight:
        """Decode, enrich and mask the messages of one partition, and send them to the scorer."""
        flight = Flight(taken, messages)
        self._recall(taken, messages[0].offset)
        self.metrics.polled.inc(len(messages))
        flight.heartbeat = self._heartbeat(messages[-1])
        posts = messages[:-1] if flight.heartbeat else messages
        decoded = self._decoder.decode(taken.topic, taken.partition, posts, datetime.now(UTC))
        flight.dead = decoded.dead
        if decoded.batch.num_rows:
            flight.batch = self._parents.add(self._enricher.enrich(decoded.batch))
            flight.call = Call(self._scorer, flight.batch, self._config.serve.retry_for_s)
        return flight

    def _recall(self, taken: TopicPartition, offset: int) -> None:
        """Read again what the next replies of a partition may answer, where this member does not know it."""
        start = self._parents.starts_at(taken.partition, offset)
        if start == offset:
            return
        for messages in read_back(self._connection, taken, start, offset):
            decoded = self._decoder.decode(taken.topic, taken.partition, messages, datetime.now(UTC))
            self._parents.add(self._enricher.enrich(decoded.batch))

    def _runs(self, messages: Sequence[ConsumerRecord]) -> Iterator[Sequence[ConsumerRecord]]:
        """Cut messages after each heartbeat: what follows one must not be judged before it."""
        start = 0
        for index, message in enumerate(messages):
            if self._heartbeat(message):
                yield messages[start : index + 1]
                start = index + 1
        if start < len(messages):
            yield messages[start:]

    def _heartbeat(self, message: ConsumerRecord) -> datetime | None:
        """Return a heartbeat's instant; one from the future would make every post until then late, and is none."""
        if message.value is not None:
            return None
        instant = read_heartbeat(message.headers)
        latest = datetime.now(UTC) + timedelta(seconds=self._config.score.max_future_s)
        return instant if instant and instant <= latest else None

    def _send_on(self, wait_s: float) -> None:
        """Send the micro-batches that are back, oldest first, then commit: acknowledged before committed."""
        commits: dict[TopicPartition, int] = {}
        sent: list[pa.RecordBatch] = []
        while self._flights and (batches := self._landed(self._flights[0], wait_s)) is not None:
            flight = self._flights.popleft()
            self._produce(flight, batches)
            commits[flight.taken] = flight.messages[-1].offset + 1
            sent += batches
            wait_s = 0.0
        if commits:
            self._sink.flush()
            self._count(sent)
            self._source.commit(commits)

    def _landed(self, flight: Flight, wait_s: float) -> list[pa.RecordBatch] | None:
        """Return the scored rows of a flight, or None when the scorer is not done with it."""
        if flight.call is None or flight.batch is None:
            return []
        retries = flight.call.retries
        try:
            answer = flight.call.result(timeout_s=wait_s)
        except RayTaskError as error:
            log.warning("the model failed on a micro-batch, scoring it row by row", extra={"error": str(error.cause)})
            return self._sifted(flight, flight.batch)
        finally:
            self.metrics.retries.inc(flight.call.retries - retries)
        if answer is None:
            return None
        self.metrics.scoring.observe(time.monotonic() - flight.call.sent_at)
        self.metrics.batch_tokens.observe(answer.tokens)
        return [with_scores(flight.batch, _by_name(answer.columns), datetime.now(UTC))]

    def _sifted(self, flight: Flight, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Score a flight row by row; a text that the model cannot take becomes a dead letter."""
        sifted = sift(self._scorer, batch, self._config.serve.retry_for_s)
        values = {message.offset: message.value for message in flight.messages}
        for row, reason in sifted.failed.items():
            offset = batch.column("source_offset")[row].as_py()
            flight.dead.append(DeadLetter(flight.taken.topic, flight.taken.partition, offset, reason, values[offset]))
        now = datetime.now(UTC)
        return [with_scores(batch.slice(row, 1), _by_name(answer.columns), now) for row, answer in sifted.scored]

    def _produce(self, flight: Flight, batches: list[pa.RecordBatch]) -> None:
        partition = flight.taken.partition
        key = str(partition).encode()
        for message in (message for batch in batches for message in _messages(batch)):
            self._sink.send(self._scored, message, key=key, partition=partition)
        if flight.heartbeat:
            headers = heartbeat_header(flight.heartbeat)
            self._sink.send(self._scored, None, key=key, partition=partition, headers=headers)
        for letter in flight.dead:
            value, headers = dead_letter_message(letter, "SCORE")
            self._sink.send(self._dead_letters, value, headers=headers)
            log.warning("dead letter", extra={"kafka": letter.place(), "reason": letter.reason})
        self.metrics.dead_letters.inc(len(flight.dead))

    def _count(self, sent: list[pa.RecordBatch]) -> None:
        now = time.time()
        for batch in sent:
            self.metrics.posts.inc(batch.num_rows)
            self.metrics.batch_posts.observe(batch.num_rows)
            for appended_us in batch.column("appended_at").cast(pa.int64()).to_pylist():
                self.metrics.latency.observe(max(0.0, now - appended_us / 1e6))

    def _hand_over(self, leaving: Collection[TopicPartition]) -> None:
        """Finish everything in flight before partitions leave."""
        try:
            self._finish()
        finally:
            for place in leaving:
                self._parents.forget(place.partition)

    def _finish(self) -> None:
        """Send on and commit everything in flight."""
        while self._flights:
            self._send_on(wait_s=1.0)


def _messages(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Encode a micro-batch, in halves where it is larger than a message may be; the order stays."""
    message = encode_batch(batch)
    if len(message) <= LARGEST_MESSAGE_BYTES or batch.num_rows == 1:
        yield message
        return
    half = batch.num_rows // 2
    yield from _messages(batch.slice(0, half))
    yield from _messages(batch.slice(half))


def _by_name(columns: pa.RecordBatch) -> dict[str, pa.Array]:
    return dict(zip(columns.schema.names, columns.columns, strict=True))
