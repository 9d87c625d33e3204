"""From bytes to columns and back: JSON posts in, Arrow micro-batches between the stages.

A micro-batch is one Arrow RecordBatch of one source partition, offsets rising. It is formed here from what a poll
gave, and the same columns grow through scoring until ARCHIVE appends them to the `posts` table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from streamwatch.errors import BadRecord
from streamwatch.records import SENTIMENTS, Post

INSTANT = pa.timestamp("us", tz="UTC")
PROBS = pa.list_(pa.float32())
ENTITY = pa.struct(
    [("name", pa.string()), ("ticker", pa.string()), ("sentiment", pa.string()), ("sentiment_probs", PROBS)]
)

POST_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        ("lang", pa.string()),
        ("author", pa.string()),
        ("url", pa.string()),
        pa.field("published_at", INSTANT, nullable=False),
        pa.field("text", pa.string(), nullable=False),
        ("tickers", pa.list_(pa.string())),
        ("reply_to", pa.string()),
        pa.field("appended_at", INSTANT, nullable=False),
        pa.field("source_partition", pa.int32(), nullable=False),
        pa.field("source_offset", pa.int64(), nullable=False),
    ]
)
"""A decoded micro-batch. `appended_at` is when the broker or the producer stamped the message."""

SCORED_SCHEMA = pa.schema(
    [
        *POST_SCHEMA,
        ("entities", pa.list_(ENTITY)),
        ("novelty", pa.int64()),
        ("sentiment", pa.string()),
        ("topic", pa.string()),
        ("intent", pa.string()),
        ("sentiment_probs", PROBS),
        ("topic_probs", PROBS),
        ("intent_probs", PROBS),
        ("model_version", pa.string()),
        ("scored_at", INSTANT),
    ]
)
"""A scored micro-batch: the value of a message on `scored`, and the columns of the `posts` table.

The three vectors are in the order of `records.SENTIMENTS`, `TOPICS` and `INTENTS`. `novelty` is a hash of the
text's words without links, mentions and marks: copies of a text share it, near copies differ from it in few bits.
"""


HEARTBEAT_HEADER = "heartbeat"
_LAST_STAMP_MS = int(datetime(9998, 1, 1, tzinfo=UTC).timestamp()) * 1_000


class Message(Protocol):
    """What a poll gives: kafka-python's ConsumerRecord, as far as it is used here."""

    @property
    def value(self) -> bytes | None:
        """The message's bytes, if it has any."""

    @property
    def offset(self) -> int:
        """Where it stands in its partition."""

    @property
    def timestamp(self) -> int:
        """When it was stamped, in milliseconds since 1970."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Names and values."""


class DeadLetter(NamedTuple):
    """A message that could not be handled: where it stood, why, and its bytes."""

    stream: str
    partition: int
    offset: int
    reason: str
    value: bytes

    def place(self) -> str:
        """Return where the message stood, as logs and errors write it: `stream[partition]@offset`."""
        return f"{self.stream}[{self.partition}]@{self.offset}"


class Decoded(NamedTuple):
    """What a poll of one partition became: the good posts as columns, the bad ones with their reasons."""

    batch: pa.RecordBatch
    dead: list[DeadLetter]


class PostDecoder:
    """Decode JSON posts strictly: whatever is not schema `post.v1` becomes a dead letter with its reason."""

    def __init__(self, max_future_s: float) -> None:
        self._max_future = timedelta(seconds=max_future_s)
        self._json = msgspec.json.Decoder(Post)

    def decode(self, stream: str, partition: int, messages: Sequence[Message], now: datetime) -> Decoded:
        """Turn the messages of one partition into one micro-batch.

        Args:
            stream: Name of the stream they came from.
            partition: The source partition.
            messages: What the poll gave, offsets rising.
            now: The time at which a post may be published at the latest, give or take `max_future_s`.
        """
        latest = now + self._max_future
        posts: list[Post] = []
        kept: list[Message] = []
        dead: list[DeadLetter] = []
        for message in messages:
            try:
                posts.append(self._post(message.value, latest))
                kept.append(message)
            except BadRecord as error:
                dead.append(DeadLetter(stream, partition, message.offset, str(error), message.value or b""))
        return Decoded(_columns(posts, kept, partition), dead)

    def _post(self, value: bytes | None, latest: datetime) -> Post:
        if value is None:
            message = "no value"
            raise BadRecord(message)
        try:
            post = self._json.decode(value)
        except UnicodeDecodeError as error:
            message = f"invalid UTF-8: {error.reason} in a string of the JSON"
            raise BadRecord(message) from error
        except msgspec.ValidationError as error:
            message = f"not post.v1: {error}"
            raise BadRecord(message) from error
        except (msgspec.DecodeError, RecursionError) as error:
            message = f"not JSON: {error}"
            raise BadRecord(message) from error
        if not _instant_fits(post.published_at):
            message = f"published_at out of range: {post.published_at}"
            raise BadRecord(message)
        if post.published_at > latest:
            message = f"published_at is in the future: {post.published_at.astimezone(UTC).isoformat()}"
            raise BadRecord(message)
        return post


def _instant_fits(instant: datetime) -> bool:
    """Say whether an instant is between 1970 and 9999 in UTC: what Arrow, Delta and JSON readers all can hold."""
    return 1970 <= instant.year <= 9998 and instant.timestamp() >= 0


def _appended_us(timestamp_ms: int) -> int:
    """Return a message's stamp in microseconds, held between 1970 and 9998: a producer may write anything there."""
    return min(max(0, timestamp_ms), _LAST_STAMP_MS) * 1_000


def _columns(posts: list[Post], messages: list[Message], partition: int) -> pa.RecordBatch:
    rows = len(posts)
    return pa.record_batch(
        [
            pa.array([post.id for post in posts], pa.string()),
            pa.array([post.source for post in posts], pa.string()),
            pa.array([post.lang for post in posts], pa.string()),
            pa.array([post.author for post in posts], pa.string()),
            pa.array([post.url for post in posts], pa.string()),
            pa.array([post.published_at for post in posts], INSTANT),
            pa.array([post.text for post in posts], pa.string()),
            pa.array([post.tickers for post in posts], pa.list_(pa.string())),
            pa.array([post.reply_to for post in posts], pa.string()),
            pa.array([_appended_us(message.timestamp) for message in messages], pa.int64()).cast(INSTANT),
            pa.array([partition] * rows, pa.int32()),
            pa.array([message.offset for message in messages], pa.int64()),
        ],
        schema=POST_SCHEMA,
    )


def with_scores(batch: pa.RecordBatch, scores: Mapping[str, pa.Array], scored_at: datetime) -> pa.RecordBatch:
    """Return an enriched micro-batch with its scores: a batch of `SCORED_SCHEMA`.

    Args:
        batch: Columns of `enrich.ENRICHED_SCHEMA`.
        scores: The columns that the model adds, `(rows,)` each; `entity_probs` holds, for each entity of a row, the
            probabilities of its own sentiment.
        scored_at: When they were scored.
    """
    columns = {name: batch.column(name) for name in batch.schema.names} | dict(scores)
    columns["entities"] = _with_sentiment(columns["entities"], columns["entity_probs"])
    columns["scored_at"] = pa.array([scored_at] * batch.num_rows, INSTANT)
    return pa.record_batch([columns[name] for name in SCORED_SCHEMA.names], schema=SCORED_SCHEMA)


def _with_sentiment(entities: pa.ListArray, probs: pa.ListArray) -> pa.ListArray:
    """Give every entity its own sentiment."""
    values, vectors = entities.flatten(), probs.flatten()
    matrix = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, len(SENTIMENTS))
    labels = pa.array(SENTIMENTS, pa.string()).take(pa.array(matrix.argmax(axis=1)))
    columns = [values.field("name"), values.field("ticker"), labels, vectors]
    filled = pa.StructArray.from_arrays(columns, fields=list(ENTITY))
    lengths = pc.fill_null(pc.list_value_length(entities), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets, filled)


def heartbeat_header(instant: datetime) -> list[tuple[str, bytes]]:
    """Return the headers of a heartbeat: no post before `instant` follows in this partition.

    A source that knows its time says so with a message without value and with these headers. It closes the last
    windows of a replay, which would else wait for the next post.
    """
    return [(HEARTBEAT_HEADER, instant.astimezone(UTC).isoformat().encode())]


def read_heartbeat(headers: Sequence[tuple[str, bytes]]) -> datetime | None:
    """Return the instant of a heartbeat, or None when the headers hold none that can be read.

    >>> read_heartbeat(heartbeat_header(datetime(2026, 1, 5, 9, 30, tzinfo=UTC))).isoformat()
    '2026-01-05T09:30:00+00:00'
    >>> read_heartbeat([("heartbeat", b"soon")]) is None
    True
    """
    for name, value in headers:
        if name == HEARTBEAT_HEADER:
            try:
                instant = datetime.fromisoformat((value or b"").decode())
            except ValueError:
                return None
            return instant if instant.tzinfo is not None and _instant_fits(instant) else None
    return None


def encode_batch(batch: pa.RecordBatch) -> bytes:
    """Write a micro-batch as an Arrow IPC stream; a slice takes only its own rows along."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode_scored(value: bytes | None) -> pa.RecordBatch:
    """Read a micro-batch from `scored`.

    Raises:
        BadRecord: The bytes are no Arrow IPC stream with the columns of `SCORED_SCHEMA`, or its rows are not of one
            source partition with rising offsets.
    """
    if value is None:
        message = "no value"
        raise BadRecord(message)
    try:
        with pa.ipc.open_stream(value) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"not an Arrow IPC stream: {error}"
        raise BadRecord(message) from error
    if not table.schema.equals(SCORED_SCHEMA):
        names = set(SCORED_SCHEMA.names) ^ set(table.schema.names)
        message = f"not scored.v1: columns differ: {', '.join(sorted(names)) or 'types'}"
        raise BadRecord(message)
    batches = table.combine_chunks().to_batches()
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=SCORED_SCHEMA)
    _check_rows(batches[0])
    return batches[0]


def _check_rows(batch: pa.RecordBatch) -> None:
    """Refuse rows that a table would refuse, and offsets that would make readers drop or double rows."""
    for field in SCORED_SCHEMA:
        if not field.nullable and batch.column(field.name).null_count:
            message = f"not scored.v1: {field.name} has no value in some rows"
            raise BadRecord(message)
    partitions = pc.min_max(batch.column("source_partition")).as_py()
    offsets = batch.column("source_offset")
    rising = pc.all(pc.less(offsets[:-1], offsets[1:])).as_py() is not False
    if partitions["min"] != partitions["max"] or not rising:
        message = "not scored.v1: rows are not of one source partition with rising offsets"
        raise BadRecord(message)
