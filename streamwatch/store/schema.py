"""The tables: their columns, and what makes a row a new version of an older one."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pyarrow as pa

from streamwatch.codec import INSTANT, SCORED_SCHEMA
from streamwatch.errors import StoreError

TableName = Literal["posts", "windows", "alerts", "labels"]

VERSION = pa.field("version", pa.int64(), nullable=False)
"""Offset of the message in its stream: of rows with the same key, the one with the highest version counts."""

PROVENANCE = pa.struct(
    [
        ("model_version", pa.string()),
        ("monitors_hash", pa.string()),
        ("watermark", INSTANT),
        ("source_offsets", pa.list_(pa.struct([("partition", pa.string()), ("offset", pa.int64())]))),
    ]
)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


WINDOWS_SCHEMA = pa.schema(
    [
        _required("monitor", pa.string()),
        _required("group", pa.string()),
        _required("window_start", INSTANT),
        _required("window_end", INSTANT),
        _required("count", pa.int64()),
        _required("negative", pa.int64()),
        _required("measure", pa.float64()),
        ("expected", pa.float64()),
        _required("surprise", pa.float64()),
        VERSION,
    ]
)

ALERTS_SCHEMA = pa.schema(
    [
        _required("fingerprint", pa.string()),
        _required("monitor", pa.string()),
        _required("group", pa.string()),
        _required("group_by", pa.string()),
        _required("severity", pa.string()),
        _required("status", pa.string()),
        _required("onset", INSTANT),
        _required("window_start", INSTANT),
        _required("window_end", INSTANT),
        _required("updated_at", INSTANT),
        ("ended_at", INSTANT),
        _required("measure", pa.string()),
        _required("seen", pa.float64()),
        _required("expected", pa.float64()),
        _required("surprise", pa.float64()),
        _required("count", pa.int64()),
        _required("negative", pa.int64()),
        ("evidence", pa.list_(pa.string())),
        ("provenance", PROVENANCE),
        ("corroboration", pa.string()),
        ("incident", pa.string()),
        ("muted_by", pa.string()),
        _required("record", pa.string()),
        VERSION,
    ]
)
"""`evidence` holds the ids of the posts; `record` the whole alert as JSON (schema `alert.v1`), texts included."""

LABELS_SCHEMA = pa.schema(
    [
        _required("post_id", pa.string()),
        _required("task", pa.string()),
        _required("gold_label", pa.string()),
        _required("labeller", pa.string()),
        _required("labelled_at", INSTANT),
        _required("origin", pa.string()),
        VERSION,
        ("entity", pa.string()),
    ]
)
"""`entity` came later than the rest: a table without it is read as if it had it, and gets it when it is written."""


class TableSpec(NamedTuple):
    """A table: its columns, and the key of which only the last version counts (empty: every row counts)."""

    schema: pa.Schema
    key: tuple[str, ...] = ()


TABLES: dict[TableName, TableSpec] = {
    "posts": TableSpec(SCORED_SCHEMA),
    "windows": TableSpec(WINDOWS_SCHEMA, ("monitor", "group", "window_start")),
    "alerts": TableSpec(ALERTS_SCHEMA, ("fingerprint",)),
    "labels": TableSpec(LABELS_SCHEMA),
}


def table_spec(table: str) -> TableSpec:
    """Return the columns and the key of a table.

    >>> table_spec("alerts").key
    ('fingerprint',)

    Raises:
        StoreError: There is no such table.
    """
    for name, spec in TABLES.items():
        if name == table:
            return spec
    message = f"no table {table!r}: there are {', '.join(TABLES)}"
    raise StoreError(message)
