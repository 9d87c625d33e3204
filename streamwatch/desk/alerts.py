"""The alerts as the desk shows them: the last telling of each, with what people said of it."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec import Struct

from streamwatch.desk.notes import DeskState, Notes
from streamwatch.errors import BadRecord
from streamwatch.store.follower import TableFollower
from streamwatch.store.tables import store_errors
from streamwatch.watch.instants import from_us, to_us

FILTERED = ("fingerprint", "monitor", "group", "group_by", "severity", "status", "onset", "corroboration", "incident")
LONG = ("evidence", "curve", "phrases", "entities", "provenance", "volumes", "spread")
"""Members of an alert that a list leaves out."""


class AlertFilters(Struct, frozen=True, kw_only=True):
    """Which alerts; every field that has values must fit. `start` and `end` are of the onset."""

    status: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    monitor: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    incident: tuple[str, ...] = ()
    corroboration: tuple[str, ...] = ()
    acknowledged: bool | None = None
    start: datetime | None = None
    end: datetime | None = None

    def expressions(self) -> list[pl.Expr]:
        """Return what a row must fulfil."""
        columns = ("status", "severity", "monitor", "group", "incident", "corroboration")
        found = [pl.col(name).is_in(list(getattr(self, name))) for name in columns if getattr(self, name)]
        if self.start:
            found.append(pl.col("onset") >= self.start)
        if self.end:
            found.append(pl.col("onset") < self.end)
        return found


class AlertPlace(NamedTuple):
    """Where an alert stands in the order of pages: by onset, newest first, then by fingerprint."""

    onset_us: int
    fingerprint: str

    def cursor(self) -> str:
        """Return this place as an opaque word."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(tuple(self))).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> AlertPlace:
        """Return the place that a cursor names.

        Raises:
            BadRecord: It is none of ours.
        """
        try:
            data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            place = cls(*msgspec.msgpack.decode(data, type=tuple[int, str]))
            from_us(place.onset_us)
        except (binascii.Error, ValueError, msgspec.DecodeError, OverflowError) as error:
            message = f"cursor {cursor[:80]!r} is none that this desk gave; leave it out to begin with the newest alert"
            raise BadRecord(message) from error
        return place


class AlertPage(NamedTuple):
    """Some alerts, newest onset first, and the cursor of the next page; None at the end."""

    alerts: list[dict[str, Any]]
    next_cursor: str | None


class AlertBoard:
    """The alerts of the table `alerts`, as of the last `refresh`.

    Args:
        table: The table, as far as it was followed.
        notes: What people said of them.

    Attributes:
        table_version: Of the table, as it is shown.
    """

    def __init__(self, table: TableFollower, notes: Notes) -> None:
        self._table = table
        self._notes = notes
        self._alerts = pl.DataFrame(
            schema=dict.fromkeys(FILTERED, pl.String) | {"onset": pl.Datetime("us", "UTC"), "record": pl.String}
        )
        self.table_version = table.version

    @property
    def version(self) -> str:
        """Something else whenever an alert or a note is."""
        return f"{self.table_version}.{self._notes.count()}"

    def refresh(self) -> None:
        """Take over the newest version of the table."""
        with store_errors("alerts"):
            rows = self._table.scan().select(*FILTERED, "record", "version")
            last = rows.sort("version").unique("fingerprint", keep="last").drop("version")
            self._alerts = last.sort("onset", "fingerprint", descending=True).collect()
        self.table_version = self._table.version

    def page(self, filters: AlertFilters, tenant: str, limit: int, after: AlertPlace | None = None) -> AlertPage:
        """Return the next alerts that fit, without their `LONG` members."""
        states = self._notes.states(tenant)
        rows = self._alerts.filter(*filters.expressions())
        if filters.acknowledged is not None:
            known = [name for name, state in states.items() if state.acknowledged]
            rows = rows.filter(pl.col("fingerprint").is_in(known) == filters.acknowledged)
        if after is not None:
            onset, name = pl.col("onset").dt.epoch("us"), pl.col("fingerprint")
            at, fingerprint = after
            rows = rows.filter((onset < at) | ((onset == at) & (name < fingerprint)))
        alerts = [_short(_told(row, states)) for row in rows.head(limit).iter_rows(named=True)]
        if rows.height <= limit:
            return AlertPage(alerts, None)
        last = rows.row(limit - 1, named=True)
        return AlertPage(alerts, AlertPlace(to_us(last["onset"]), last["fingerprint"]).cursor())

    def alert(self, fingerprint: str, tenant: str) -> dict[str, Any] | None:
        """Return an alert whole, or None where there is none of this fingerprint."""
        rows = self._alerts.filter(pl.col("fingerprint") == fingerprint)
        return _told(rows.row(0, named=True), self._notes.states(tenant)) if rows.height else None


def _told(row: dict[str, Any], states: dict[str, DeskState]) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(row["record"])
    return told | {"desk": states.get(row["fingerprint"], DeskState())}


def _short(alert: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in alert.items() if name not in LONG}
