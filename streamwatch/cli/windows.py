"""`streamwatch windows`: the windows that were closed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from streamwatch.cli.options import ConfigFile, Format, From, Output, To, parse_instant, read_config
from streamwatch.cli.output import emit, note

EXAMPLE = "Example: streamwatch windows --group AAPL --from 2015-08-24 --to 2015-08-25 --limit 10"
COLUMNS = ("monitor", "group", "window_start", "window_end", "count", "negative", "measure", "expected", "surprise")


def command(
    *,
    monitor: Annotated[str, typer.Option(metavar="NAME", help="Only this monitor.")] = "",
    group: Annotated[str, typer.Option(metavar="NAME", help="Only this group, such as AAPL.")] = "",
    from_time: From = "",
    to_time: To = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the last ones.")] = 50,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """List the windows that closed.

    The last are at the bottom: how many posts, how many negative, what was measured and what expected.
    """
    import polars as pl

    from streamwatch.store.tables import Tables

    now = datetime.now(UTC)
    start, end = parse_instant(from_time, now), parse_instant(to_time, now)
    frame = Tables(read_config(config_file).store_url()).latest("windows")
    for column, wanted in (("monitor", monitor), ("group", group)):
        frame = frame.filter(pl.col(column) == wanted) if wanted else frame
    frame = frame.filter(pl.col("window_start") >= start) if start else frame
    frame = frame.filter(pl.col("window_start") < end) if end else frame
    rows = frame.sort("window_start", "monitor", "group").tail(limit).collect().to_dicts()
    emit(rows, COLUMNS, output)
    if len(rows) == limit and output is Format.table:
        note(f"the last {limit:,}; --limit shows more")
