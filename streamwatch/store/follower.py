"""A table followed as it grows: which version is the newest, which files it has, and which rows came since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from streamwatch.store.schema import TableName
from streamwatch.store.tables import Tables, store_errors

_NO_FILES = pl.DataFrame(
    schema={
        "uri": pl.String,
        "rows": pl.Int64,
        "first_at": pl.Datetime("us", "UTC"),
        "last_at": pl.Datetime("us", "UTC"),
    }
)
ABSENT = -1
"""The version of a table that is not there yet."""


class TableFollower:
    """One table of a store, as of the last `refresh`. Only what changed is read of its log.

    Args:
        tables: The store.
        table: Which table.

    Attributes:
        version: Of the table.
    """

    def __init__(self, tables: Tables, table: TableName) -> None:
        self._tables = tables
        self._table = table
        self._handle: DeltaTable | None = None
        self.version = ABSENT
        self.files = _NO_FILES

    def refresh(self) -> bool:
        """Look for a newer version, and say whether there is one.

        Raises:
            StoreError: The table cannot be read, or has other columns than expected.
        """
        with store_errors(self._table):
            if self._handle is None:
                self._handle = self._tables.open(self._table)
            else:
                self._handle.update_incremental()
            if self._handle is None or self._handle.version() == self.version:
                return False
            self.files = _files(self._handle)
            self.version = self._handle.version()
        return True

    def scan(self, uris: list[str] | None = None) -> pl.LazyFrame:
        """Return the rows of some files; of all, when they are not named."""
        uris = self.files["uri"].to_list() if uris is None else uris
        return self._tables.scan_files(self._table, uris)


class NewRows:
    """The rows that came to `posts` since the last time, each once.

    Compaction writes old rows into new files, so a new file does not mean new rows. But offsets rise within a source
    partition: what is above the last one seen is new.

    Args:
        follower: Of the table `posts`.
    """

    def __init__(self, follower: TableFollower, reached: Mapping[int, int] | None = None) -> None:
        self._follower = follower
        self._known: set[str] = set()
        self.reached = dict(reached or {})

    def take(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        """Yield the new rows of the follower's version, a file at a time.

        They count as seen once all of them were taken; before, the next call begins again.

        Args:
            columns: Which to read; source partition and offset come along.
        """
        place = ["source_partition", "source_offset"]
        fresh = self._follower.files.filter(~pl.col("uri").is_in(list(self._known)))
        reached = dict(self.reached)
        for uri in fresh["uri"].to_list():
            rows = self._follower.scan([uri]).filter(_above(self.reached)).select(*place, *columns)
            with store_errors("posts"):
                found = rows.collect()
            for partition, offset in found.group_by(place[0]).agg(pl.col(place[1]).max()).iter_rows():
                reached[partition] = max(offset, reached.get(partition, -1))
            if found.height:
                yield found
        self.reached = reached
        self._known = set(self._follower.files["uri"].to_list())


def _above(reached: Mapping[int, int]) -> pl.Expr:
    offset, partition = pl.col("source_offset"), pl.col("source_partition")
    if not reached:
        return pl.lit(value=True)
    return offset > partition.replace_strict(reached, default=-1, return_dtype=pl.Int64)


def _files(handle: DeltaTable) -> pl.DataFrame:
    """Return `uri`, `rows` and, of the table `posts`, the first and last event time of every file."""
    actions = pl.DataFrame(pa.table(handle.get_add_actions(flatten=True)))
    if actions.is_empty():
        return _NO_FILES
    uris = pl.Series("uri", [_uri(handle, path) for path in actions["path"]], pl.String)
    times = [
        pl.col(f"{least}.published_at").alias(name) if f"{least}.published_at" in actions.columns else None
        for least, name in (("min", "first_at"), ("max", "last_at"))
    ]
    return actions.select(uris, pl.col("num_records").alias("rows"), *(time for time in times if time is not None))


def _uri(handle: DeltaTable, path: str) -> str:
    root = handle.table_uri.removeprefix("file://")
    return f"{root.rstrip('/')}/{path}"
