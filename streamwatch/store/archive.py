"""What ARCHIVE does: buffer what came from the streams, and append it to the tables exactly once.

A reader of Kafka hands messages in; after `flush` it may commit its Kafka offsets. Between any two steps it may
die: an Archive that is made anew reads from the tables' transactions how far each partition reached, and drops what
comes again at or below. `scored` is followed by source offsets, because SCORE may send the same posts again in other
messages; the other streams by the offsets of their own messages.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pyarrow as pa

from streamwatch.codec import DeadLetter, Message, decode_scored, read_heartbeat
from streamwatch.config import StoreConfig
from streamwatch.errors import BadRecord, StoreError
from streamwatch.offsets import AppliedOffsets
from streamwatch.store.rows import RECORD_OF_TABLE, Row, RowDecoder, rows_table
from streamwatch.store.schema import TABLES, TableName
from streamwatch.store.tables import Tables, transaction_id
from streamwatch.streams import Kind, stream_name

logger = logging.getLogger(__name__)

TABLE_OF_STREAM: dict[Kind, TableName] = {
    "scored": "posts",
    "windows": "windows",
    "alerts": "alerts",
    "labels": "labels",
}
"""The streams that are archived, and where to."""


class Archive:
    """The rows on their way into the tables, and how far each partition got.

    Args:
        tables: Where the rows go. No one else may append to them.
        config: When a flush is due, and how often the tables are tidied.
        prefix: Prefix of the streams' names, for the dead letters.

    Raises:
        StoreError: The tables cannot be read.
    """

    def __init__(self, tables: Tables, config: StoreConfig, *, prefix: str = "streamwatch") -> None:
        self._tables = tables
        self._config = config
        self._prefix = prefix
        self._decoders = {table: RowDecoder(table) for table in RECORD_OF_TABLE}
        self._written: dict[TableName, dict[int, int]] = {table: _partitions(tables, table) for table in TABLES}
        self._applied = {table: AppliedOffsets(offsets) for table, offsets in self._written.items()}
        self._batches: dict[TableName, list[pa.Table]] = {table: [] for table in TABLES}
        self._commits = dict.fromkeys(TABLES, 0)
        self._waiting = False
        self._waiting_since: float | None = None

    @property
    def rows_buffered(self) -> int:
        """Rows that the next flush appends."""
        return sum(batch.num_rows for batches in self._batches.values() for batch in batches)

    def applied(self, table: TableName = "posts") -> dict[int, int]:
        """Return the last offset in the table for each partition: source offsets for posts, else the stream's.

        A stream that ends below was made anew: everything on it would be dropped as known.
        """
        return dict(self._written[table])

    def add(self, stream: Kind, partition: int, messages: Sequence[Message]) -> list[DeadLetter]:
        """Buffer the rows of messages that are not in the tables yet.

        Args:
            stream: One of `TABLE_OF_STREAM`.
            partition: The stream's partition that the messages come from.
            messages: In the order of their offsets.

        Returns:
            The messages that cannot be read. They come again after a crash, even if rows around them were archived;
            write them to the dead letters before Kafka's offsets are committed.
        """
        table = TABLE_OF_STREAM[stream]
        self._waiting = self._waiting or bool(messages)
        bad: list[DeadLetter] = []
        rows: list[Row] = []
        for message in messages:
            try:
                if table != "posts":
                    rows.append(self._decoders[table].decode(message.value, message.offset))
                elif message.value is not None or read_heartbeat(message.headers) is None:
                    self._buffer(table, decode_scored(message.value))
            except BadRecord as error:
                name = stream_name(stream, self._prefix)
                bad.append(DeadLetter(name, partition, message.offset, str(error), message.value or b""))
        self._buffer_rows(table, partition, rows)
        return bad

    def _buffer(self, table: TableName, batch: pa.RecordBatch) -> None:
        fresh = self._applied[table].fresh(batch)
        if fresh.num_rows:
            self._batches[table].append(pa.Table.from_batches([fresh]))

    def _buffer_rows(self, table: TableName, partition: int, rows: list[Row]) -> None:
        last = self._applied[table].last
        fresh = [row for row in rows if row["version"] > last.get(partition, -1)]
        if fresh:
            last[partition] = fresh[-1]["version"]
            self._batches[table].append(rows_table(table, fresh))

    def due(self, now: float) -> bool:
        """Say whether a flush is due: enough rows wait, or something was added long enough ago.

        Messages without new rows (heartbeats, rows that came again) count too, so that their offsets get committed.

        Args:
            now: Seconds of a clock that never goes back. The wait counts from the first call that sees something.
        """
        if not self._waiting:
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        waited_s = now - self._waiting_since
        return waited_s >= self._config.flush_after_s or self.rows_buffered >= self._config.flush_rows

    def flush(self) -> dict[TableName, int]:
        """Append what is buffered, one commit a table; then Kafka's offsets may be committed.

        Returns:
            Rows appended for each table that got any.

        Raises:
            StoreError: A table refuses. Throw this Archive away and start again from the committed offsets.
        """
        appended: dict[TableName, int] = {}
        for table, batches in self._batches.items():
            if batches:
                rows = pa.concat_tables(batches)
                self._append(table, rows)
                appended[table] = rows.num_rows
                batches.clear()
        self._waiting = False
        self._waiting_since = None
        return appended

    def _append(self, table: TableName, rows: pa.Table) -> None:
        reached = self._applied[table].last
        moved = {part: last for part, last in reached.items() if last != self._written[table].get(part)}
        before = self._written[table]
        self._tables.append(
            table,
            rows,
            {transaction_id(table, part): last for part, last in moved.items()},
            expected={transaction_id(table, part): before.get(part, -1) for part in moved},
        )
        self._written[table].update(moved)
        self._commits[table] += 1

    def tidy(self) -> list[TableName]:
        """Compact and vacuum the tables that got enough commits since last time, and return their names.

        Call it after Kafka's offsets were committed. A failure is logged and tried again later: the rows are safe.
        """
        due = [table for table, commits in self._commits.items() if commits >= self._config.compact_every_commits]
        for table in due:
            self._commits[table] = 0
            try:
                self._tables.tidy(table, self._config.vacuum_after_h)
            except StoreError as error:
                logger.warning("table not tidied", extra={"table": table, "reason": str(error)})
        return due


def _partitions(tables: Tables, table: TableName) -> dict[int, int]:
    """Return the last offset in a table for each partition."""
    partitions: dict[int, int] = {}
    for app_id, offset in tables.transactions(table).items():
        partition = app_id.removeprefix(f"{table}/")
        if partition.isdecimal():
            partitions[int(partition)] = offset
    return partitions
