"""`streamwatch alerts`: the alerts, and the posts that drove one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from streamwatch.cli.alert_view import alert_lines
from streamwatch.cli.options import ConfigFile, Format, From, Output, To, parse_instant, read_config
from streamwatch.cli.output import emit, emit_json, note
from streamwatch.errors import StoreError
from streamwatch.records import Alert

if TYPE_CHECKING:
    import polars as pl

EXAMPLE = "Example: streamwatch alerts --from 2015-08-20 --to 2015-08-25; streamwatch alerts --show 3f9c"
COLUMNS = ("fingerprint", "status", "severity", "monitor", "group", "onset", "ended_at", "seen", "expected")
TOLD = ("corroboration", "incident", "muted_by")
MORE_COLUMNS = ("updated_at", "window_start", "window_end", "measure", "surprise", "count", "negative", "evidence")


def command(
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only alerts that are firing.")] = False,
    from_time: From = "",
    to_time: To = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="The same as --from.")] = "",
    show: Annotated[str, typer.Option(metavar="FINGERPRINT", help="One alert whole; its first digits do.")] = "",
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """List the alerts, or show one with evidence.

    They come by onset; the evidence is the posts that drove one.
    """
    from streamwatch.store.tables import Tables

    alerts = Tables(read_config(config_file).store_url()).latest("alerts")
    if show:
        _show(_find(alerts, show), output)
        return
    now = datetime.now(UTC)
    rows = between(alerts, parse_instant(from_time or since, now), parse_instant(to_time, now))
    rows = [row for row in rows if row["status"] == "firing" or not only_open]
    emit(rows, COLUMNS + TOLD if output is Format.table else COLUMNS + MORE_COLUMNS + TOLD, output)
    if not rows:
        note("no alerts")


def between(alerts: pl.LazyFrame, start: datetime | None, end: datetime | None) -> list[dict[str, Any]]:
    """Return the alerts whose onset is in `[start, end)`, by onset; None leaves a side open."""
    import polars as pl

    chosen = alerts.filter(pl.col("onset") >= start) if start else alerts
    chosen = chosen.filter(pl.col("onset") < end) if end else chosen
    return chosen.sort("onset", "monitor", "group").collect().to_dicts()


def _find(alerts: pl.LazyFrame, fingerprint: str) -> Alert:
    import polars as pl

    found = alerts.filter(pl.col("fingerprint").str.starts_with(fingerprint.lower())).collect()["record"].to_list()
    if len(found) != 1:
        many = f"{len(found)} alerts begin with" if found else "no alert has the fingerprint"
        message = f"{many} {fingerprint!r}: `streamwatch alerts` lists them"
        raise StoreError(message)
    return msgspec.json.decode(found[0], type=Alert)


def _show(alert: Alert, output: Format) -> None:
    if output is Format.json:
        emit_json(alert)
    elif output is Format.csv:
        columns = ("id", "published_at", "source", "author", "sentiment", "negative_prob", "copies", "text")
        emit([msgspec.structs.asdict(post) for post in alert.evidence], columns, output)
    else:
        typer.echo("\n".join(alert_lines(alert)))
