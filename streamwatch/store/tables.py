"""The Delta tables: appended with transaction ids, so that rows that are sent twice count once.

A table lies at `<url>/<table>`, in a folder or an object store. It is not partitioned: appends are small and often,
a partition column would multiply their files, and compaction with the statistics of each file serves queries by time
as well. One process writes; any number may read.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from streamwatch.errors import StoreError
from streamwatch.store.queries import run_query
from streamwatch.store.schema import TABLES, table_spec

logger = logging.getLogger(__name__)

COMMIT_TRIES = 6
FIRST_BACK_OFF_S = 0.05
COMPACTED_FILE_BYTES = 64 * 1024 * 1024
"""Files are compacted up to this size, then left alone: it bounds what a compaction rewrites."""
GROWING = ("labels",)
"""Tables to which columns may be added that earlier rows lack; of the others every column is asked for by name."""
SETTINGS = {
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
}


class Tables:
    """The tables of one store.

    Args:
        url: The root: a folder, or such as `s3://bucket/prefix`.
        storage_options: Settings of the object store; what is left out comes from its own environment variables.
    """

    def __init__(self, url: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._options = dict(storage_options or {})
        self._writers: dict[str, DeltaTable] = {}
        self._known: dict[str, dict[str, int]] = {}

    def transactions(self, table: str) -> dict[str, int]:
        """Return the last version of every transaction id of a table; none if the table is not there yet."""
        table_spec(table)
        with store_errors(table):
            handle = self._open(table)
            return {} if handle is None else _transactions(handle, table)

    def append(
        self,
        table: str,
        data: pa.Table,
        transactions: Mapping[str, int],
        *,
        expected: Mapping[str, int] | None = None,
    ) -> None:
        """Append rows in one commit, together with the transactions that say how far they reach.

        Args:
            table: Name of the table; it is made when absent.
            data: Rows with the columns of the table.
            transactions: Transaction id, as `transaction_id` makes it, to the last offset in `data`.
            expected: Where each transaction must stand before (-1: nowhere); another writer moved it otherwise, and
                `data` may hold rows that it appended. None: anywhere below.

        Raises:
            StoreError: The table has other columns; or it already holds one of these transactions, because someone
                else writes too or an earlier try did succeed. Start again from `transactions`.
        """
        with store_errors(table):
            data = data.cast(table_spec(table).schema)
        back_off_s = FIRST_BACK_OFF_S
        for attempt in range(1, COMMIT_TRIES + 1):
            with store_errors(table):
                try:
                    return self._commit(table, data, transactions, expected)
                except CommitFailedError as error:
                    self._forget(table)
                    if attempt == COMMIT_TRIES:
                        raise
                    logger.warning("commit refused, trying again", extra={"table": table, "reason": str(error)})
            time.sleep(back_off_s)
            back_off_s *= 2

    def _commit(
        self, table: str, data: pa.Table, transactions: Mapping[str, int], expected: Mapping[str, int] | None
    ) -> None:
        handle = self._writer(table)
        known = self._known[table]
        for app_id, version in transactions.items():
            reached = known.get(app_id, -1)
            if version <= reached or (expected is not None and expected[app_id] != reached):
                message = (
                    f"table {table} already holds {app_id} up to {reached}, asked to add {version}: "
                    "another process writes to this store, or an earlier try did succeed"
                )
                raise StoreError(message)
        written = {**transactions, **_new_count(table, known, transactions)}
        write_deltalake(
            handle,
            data,
            mode="append",
            writer_properties=WriterProperties(compression="ZSTD"),
            commit_properties=CommitProperties(
                app_transactions=[Transaction(app_id, version) for app_id, version in written.items()]
            ),
        )
        known.update(written)

    def rows(self, table: str) -> int:
        """Return how many rows a table has, all versions counted; read from the log alone."""
        table_spec(table)
        with store_errors(table):
            handle = self._open(table)
            return 0 if handle is None else handle.count()

    def scan(self, table: str) -> pl.LazyFrame:
        """Return every row of a table, all versions; empty with the right columns while the table is not there."""
        spec = table_spec(table)
        with store_errors(table):
            handle = self._open(table)
            if handle is None:
                return _empty(spec.schema)
            rows = pl.scan_delta(handle, storage_options=self._options or None)
            later = {field.name for field in _later_columns(table, handle)}
            typed = _empty(spec.schema).collect_schema()
            return rows.with_columns(pl.lit(None, typed[name]).alias(name) for name in typed if name in later)

    def open(self, table: str) -> DeltaTable | None:
        """Return the Delta table itself, to follow its versions; None while it is not there."""
        table_spec(table)
        with store_errors(table):
            return self._open(table)

    def scan_files(self, table: str, uris: list[str]) -> pl.LazyFrame:
        """Return the rows of some files of a table."""
        if not uris:
            return _empty(table_spec(table).schema)
        return pl.scan_parquet(uris, storage_options=self._options or None)

    def latest(self, table: str) -> pl.LazyFrame:
        """Return the rows of a table that count: of each window and alert the last version."""
        key = table_spec(table).key
        rows = self.scan(table)
        return rows.sort("version").unique(subset=list(key), keep="last") if key else rows

    def query(self, sql: str) -> pl.DataFrame:
        """Answer one SELECT over the tables; of windows and alerts only what counts is seen.

        Raises:
            StoreError: The statement is not a SELECT, is wrong, or names an unknown table or column.
        """
        frames: dict[str, pl.LazyFrame] = {}
        for table, spec in TABLES.items():
            frames[table] = self.latest(table) if table in sql else _empty(spec.schema)
        return run_query(sql, frames)

    def tidy(self, table: str, vacuum_after_h: float = 24.0) -> None:
        """Compact small files, delete files that no version of the last hours needs, and shorten the log.

        Args:
            table: Name of the table; nothing happens while it is not there.
            vacuum_after_h: Readers may still use a version that is so many hours old; rounded up to hours.

        Raises:
            StoreError: The store refuses. The rows are safe and the next call tries again.
        """
        table_spec(table)
        with store_errors(table):
            handle = self._open(table)
            if handle is None:
                return
            handle.optimize.compact(target_size=COMPACTED_FILE_BYTES, max_concurrent_tasks=1)
            handle.vacuum(math.ceil(vacuum_after_h), dry_run=False, enforce_retention_duration=False)
            handle.create_checkpoint()
            handle.cleanup_metadata()
        self._forget(table)

    def _open(self, table: str) -> DeltaTable | None:
        """Return a table as it is now, or None while it is not there."""
        url = f"{self.url}/{table}"
        if not DeltaTable.is_deltatable(url, storage_options=self._options or None):
            return None
        handle = DeltaTable(url, storage_options=self._options or None)
        _check_columns(table, handle)
        return handle

    def _writer(self, table: str) -> DeltaTable:
        """Return the handle that this process appends with; it keeps up with its own commits."""
        if table not in self._writers:
            handle = self._open(table) or self._create(table)
            if later := _later_columns(table, handle):
                handle.alter.add_columns(later)
            self._known[table] = _transactions(handle, table)
            self._writers[table] = handle
        return self._writers[table]

    def _create(self, table: str) -> DeltaTable:
        DeltaTable.create(
            f"{self.url}/{table}",
            schema=table_spec(table).schema,
            mode="ignore",
            name=table,
            configuration=SETTINGS,
            storage_options=self._options or None,
        )
        return DeltaTable(f"{self.url}/{table}", storage_options=self._options or None)

    def _forget(self, table: str) -> None:
        self._writers.pop(table, None)
        self._known.pop(table, None)


def transaction_id(table: str, partition: int) -> str:
    """Return the transaction id of a table's rows from one partition.

    >>> transaction_id("posts", 3)
    'posts/3'
    """
    return f"{table}/{partition}"


def _count_id(table: str) -> str:
    """Return the transaction id that holds how many partitions a table has; Delta cannot list its transactions."""
    return f"{table}/partitions"


def _transactions(handle: DeltaTable, table: str) -> dict[str, int]:
    partitions = handle.transaction_version(_count_id(table)) or 0
    ids = [_count_id(table), *(transaction_id(table, partition) for partition in range(partitions))]
    versions = {app_id: handle.transaction_version(app_id) for app_id in ids}
    return {app_id: version for app_id, version in versions.items() if version is not None}


def _new_count(table: str, known: Mapping[str, int], transactions: Mapping[str, int]) -> dict[str, int]:
    """Return the transaction that counts the partitions, when these transactions bring new ones."""
    needed = 1 + max((int(app_id.rpartition("/")[2]) for app_id in transactions), default=-1)
    return {_count_id(table): needed} if needed > known.get(_count_id(table), 0) else {}


def _later_columns(table: str, handle: DeltaTable) -> list[Field]:
    """Return the columns that a table, made by an earlier version, lacks and can get: those that may be null."""
    if table not in GROWING:
        return []
    found = {field.name for field in handle.schema().fields}
    return [field for field in _fields(table) if field.nullable and field.name not in found]


def _fields(table: str) -> list[Field]:
    return list(Schema.from_arrow(table_spec(table).schema).fields)


def _check_columns(table: str, handle: DeltaTable) -> None:
    expected = {field.name: field for field in _fields(table)}
    found = {field.name: field for field in handle.schema().fields}
    found |= {field.name: field for field in _later_columns(table, handle)}
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            message = (
                f"table {table}: column {name} is {_shown(found.get(name))}, expected {_shown(expected.get(name))}"
            )
            raise StoreError(message)


def _shown(field: object) -> str:
    return "absent" if field is None else str(field)


def _empty(schema: pa.Schema) -> pl.LazyFrame:
    frame = pl.from_arrow(schema.empty_table())
    return pl.DataFrame(frame).lazy()


@contextmanager
def store_errors(table: str) -> Iterator[None]:
    """Turn what the store and its libraries raise into a StoreError that names the table."""
    try:
        yield
    except (DeltaError, OSError, ValueError) as error:
        message = f"table {table}: {_one_line(str(error))}"
        raise StoreError(message) from error


def _one_line(reason: str) -> str:
    r"""Return what delta-rs says in colours and over many lines as one plain line.

    >>> _one_line("Generic S3 error\n  \x1b[31m↳\x1b[0m Connection refused")
    'Generic S3 error: Connection refused'
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", reason)
    return " ".join(re.sub(r"\s*\n\s*↳?\s*", ": " if "↳" in plain else " ", plain).split())
