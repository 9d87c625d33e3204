"""Labels onto the stream `labels`, each once however often it is handed in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
import polars as pl
from kafka import TopicPartition

from streamwatch.errors import BadRecord
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.records import Label
from streamwatch.store.rows import RowDecoder
from streamwatch.store.tables import Tables
from streamwatch.streams import group_name, stream_name

POLL_S = 1.0
MESSAGES_PER_POLL = 1_000


class Vote(NamedTuple):
    """What makes two labels the same: who said what of which post, and when. From where does not count."""

    post_id: str
    task: str
    entity: str | None
    gold_label: str
    labeller: str
    labelled_at: datetime

    @classmethod
    def of(cls, label: Label) -> Vote:
        """Return what a label says."""
        at = label.labelled_at.astimezone(UTC)
        return cls(label.post_id, label.task, label.entity, label.gold_label, label.labeller, at)


class LabelStream:
    """Writes labels to the stream; those that it or the tables hold already are left out.

    Leaving the `with` waits for the broker's acknowledgements.

    Args:
        connection: Where the stream is; it is made when absent.
        tables: Where ARCHIVE puts labels.

    Raises:
        BrokerError: A label was not acknowledged; raised by whichever call notices first.
        StoreError: The table cannot be read.
    """

    def __init__(self, connection: Connection, tables: Tables) -> None:
        ensure_streams(connection)
        self._stream = stream_name("labels", connection.kafka.prefix)
        self._known = _stored(tables) | _waiting(connection, tables, self._stream)
        self._sink = Sink(connection)
        self.sent = 0
        self.repeated = 0

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

    def send(self, labels: Iterable[Label]) -> None:
        """Send labels, in their order."""
        for label in labels:
            vote = Vote.of(label)
            if vote in self._known:
                self.repeated += 1
                continue
            self._known.add(vote)
            self._sink.send(self._stream, msgspec.json.encode(label), key=label.post_id.encode())
            self.sent += 1


def _stored(tables: Tables) -> set[Vote]:
    """Return the votes in the table."""
    rows = tables.scan("labels").select(Vote._fields).with_columns(pl.col("labelled_at").dt.convert_time_zone("UTC"))
    return {Vote(*row) for row in rows.collect().iter_rows()}


def _waiting(connection: Connection, tables: Tables, stream: str) -> set[Vote]:
    """Return the votes on the stream that are not in the table yet."""
    decoder = RowDecoder("labels")
    found = set()
    with StreamReader(connection, [stream], group_name("labels", connection.kafka.prefix)) as reader:
        archived = tables.transactions("labels")
        names = {f"labels/{place.partition}": place for place in reader.partitions}
        reader.seek({TopicPartition(*names[name]): last + 1 for name, last in archived.items() if name in names})
        ends = reader.end_offsets()
        while any(reader.positions()[place] < end for place, end in ends.items()):
            for messages in reader.poll(POLL_S, MESSAGES_PER_POLL).values():
                for message in messages:
                    try:
                        row = decoder.decode(message.value, message.offset)
                    except BadRecord:
                        continue  # ARCHIVE tells of it
                    found.add(Vote(*(row[name] for name in Vote._fields)))
    return found
