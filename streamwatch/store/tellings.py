"""What was told of an alert: every version of it in the table, oldest first."""

from __future__ import annotations

import msgspec
import polars as pl

from streamwatch.errors import StoreError
from streamwatch.records import Alert
from streamwatch.store.tables import Tables, store_errors


class Tellings:
    """The tellings in the table `alerts`.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def of(self, fingerprint: str) -> list[Alert]:
        """Return the tellings of an alert that were made from posts: all but an end that only new monitors made.

        Args:
            fingerprint: Or its first digits.

        Raises:
            StoreError: There is not exactly one such alert, or it has no such telling.
        """
        alerts = self._read(pl.col("fingerprint").str.starts_with(fingerprint.lower()))
        names = {alert.fingerprint for alert in alerts}
        if len(names) != 1:
            many = f"{len(names)} alerts begin with" if names else "no alert has the fingerprint"
            message = f"{many} {fingerprint!r}: `streamwatch alerts` lists them"
            raise StoreError(message)
        by_time = {alert.updated_at: alert for alert in alerts if _is_from_posts(alert)}
        if not by_time:
            message = f"the alert {alerts[0].fingerprint} of {alerts[0].monitor!r} was not made from posts"
            raise StoreError(message)
        return [by_time[at] for at in sorted(by_time)]

    def reach(self, telling: Alert) -> dict[int, int]:
        """Return the last source offset of each partition that counted by the time of a telling.

        An alert is told again when another one joins its incident, and then names the offsets that it had before.
        """
        beside = pl.col("fingerprint").is_in(telling.related) & (pl.col("updated_at") <= telling.updated_at)
        reached: dict[int, int] = {}
        for alert in [telling, *(self._read(beside) if telling.related else [])]:
            for partition, offset in alert.provenance.source_offsets.items():
                reached[int(partition)] = max(offset, reached.get(int(partition), -1))
        return reached

    def _read(self, which: pl.Expr) -> list[Alert]:
        with store_errors("alerts"):
            rows = self._tables.scan("alerts").filter(which).sort("version").select("record").collect()
        return [msgspec.json.decode(record, type=Alert) for record in rows["record"]]


def _is_from_posts(alert: Alert) -> bool:
    was_abandoned = alert.status == "resolved" and alert.provenance.watermark < alert.updated_at
    return bool(alert.provenance.source_offsets) and not was_abandoned
