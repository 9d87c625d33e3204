"""What the commands share: the options that mean the same everywhere, and how they are read."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamwatch.config import Config, load_config

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Format(StrEnum):
    """How a command prints its data."""

    table = "table"
    json = "json"
    csv = "csv"


def _or_global(ctx: typer.Context, value: Path | None) -> Path | None:
    """Return the command's own `--config`, else the one before the command."""
    return value or ctx.find_root().params.get("config_file")


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", callback=_or_global, help="Configuration; see README, Configuration."),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print: for people, programs or spreadsheets.")]
From = Annotated[
    str, typer.Option("--from", metavar="TIME", help="From this event time on: 2015-08-20T14:00, or 2h (ago).")
]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="Before this event time.")]


def read_config(file: Path | None) -> Config:
    """Return the configuration of this process: the file, and the environment over it."""
    return load_config(file, os.environ)


def parse_instant(text: str, now: datetime) -> datetime | None:
    """Read a time as people type it; an empty one is None.

    Args:
        text: ISO 8601 (UTC when it names no zone), or a time ago such as `30m`, `2h`, `7d`.
        now: What a time ago counts from.

    Raises:
        typer.BadParameter: It is neither.

    >>> parse_instant("2015-08-24", datetime(2026, 1, 5, tzinfo=UTC)).isoformat()
    '2015-08-24T00:00:00+00:00'
    >>> parse_instant("90m", datetime(2026, 1, 5, tzinfo=UTC)).isoformat()
    '2026-01-04T22:30:00+00:00'
    """
    if not text:
        return None
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no time: write 2015-08-20, 2015-08-20T14:00Z, or 2h for two hours ago"
        raise typer.BadParameter(message) from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
