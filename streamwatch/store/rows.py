"""From messages to rows: windows, alerts and labels as the tables hold them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from streamwatch.errors import BadRecord
from streamwatch.records import Alert, Label, Window
from streamwatch.store.schema import TableName, table_spec

Record = Window | Alert | Label
Row = dict[str, Any]

RECORD_OF_TABLE: dict[TableName, type[Record]] = {"windows": Window, "alerts": Alert, "labels": Label}


class RowDecoder:
    """Decode the JSON messages of one table's stream strictly, into rows of that table."""

    def __init__(self, table: TableName) -> None:
        kind = RECORD_OF_TABLE[table]
        self._schema_name = msgspec.structs.fields(kind)[0].default
        self._json = msgspec.json.Decoder(kind)

    def decode(self, value: bytes | None, version: int) -> Row:
        """Return the row that a message makes.

        Args:
            value: The message's JSON.
            version: The message's offset.

        Raises:
            BadRecord: The value is not JSON of the right schema, or holds an instant that UTC cannot tell.
        """
        if value is None:
            message = "no value"
            raise BadRecord(message)
        try:
            return _row(self._json.decode(value)) | {"version": version}
        except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError) as error:
            message = f"not {self._schema_name}: {error}"
            raise BadRecord(message) from error


def rows_table(table: TableName, rows: Sequence[Row]) -> pa.Table:
    """Return rows with the columns of their table."""
    return pa.Table.from_pylist(list(rows), schema=table_spec(table).schema)


def _row(record: Record) -> Row:
    row = {name: getattr(record, name) for name in record.__struct_fields__ if name != "schema"}
    row |= {name: value.astimezone(UTC) for name, value in row.items() if isinstance(value, datetime)}
    if isinstance(record, Alert):
        row |= _nested(record)
    return row


def _nested(alert: Alert) -> Row:
    provenance = alert.provenance
    offsets = [{"partition": partition, "offset": offset} for partition, offset in provenance.source_offsets.items()]
    return {
        "evidence": [post.id for post in alert.evidence],
        "provenance": {
            "model_version": provenance.model_version,
            "monitors_hash": provenance.monitors_hash,
            "watermark": provenance.watermark.astimezone(UTC),
            "source_offsets": offsets,
        },
        "record": msgspec.json.encode(alert).decode(),
    }
