"""`streamwatch query`: SQL over the tables."""

from __future__ import annotations

from typing import Annotated

import typer

from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import emit, note

EXAMPLE = 'Example: streamwatch query "SELECT source, count(*) AS posts FROM posts GROUP BY source"'
TABLE_ROWS = 500
"""So many rows a table shows; a program reads JSON or CSV, which have them all."""


def command(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over posts, windows, alerts and labels.")],
    *,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Answer a SQL question over the tables.

    It reads only; the SQL is that of Polars.
    """
    from streamwatch.store.tables import Tables

    frame = Tables(read_config(config_file).store_url()).query(sql)
    shown = frame.head(TABLE_ROWS) if output is Format.table else frame
    emit(shown.to_dicts(), frame.columns, output)
    if shown.height < frame.height:
        note(f"the first {shown.height:,} of {frame.height:,} rows; -o csv or -o json prints them all")
