"""What the reads have in common: their parameters, and how these are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.routes.problems import Problem
from streamwatch.desk.cubes import BUCKET, DIMENSIONS, Where
from streamwatch.desk.times import parse_span, parse_time
from streamwatch.errors import BadRecord

OutputFormat = Literal["json", "csv", "arrow"]
Values = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=200)]
LONGEST_WINDOW = timedelta(days=366)
TIME_HELP = "ISO 8601 (UTC when it names no zone), or a span ago such as 24h."


class Range(BaseModel):
    """A range of event time, and posts in it by what they are about. Every parameter may be repeated."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_time: str | None = Field(None, alias="from", max_length=64, description=TIME_HELP, examples=["24h"])
    to_time: str | None = Field(None, alias="to", max_length=64, description=f"Exclusive. {TIME_HELP}")

    def instants(self) -> tuple[datetime | None, datetime | None]:
        """Return both ends; None leaves one open.

        Raises:
            Problem: One cannot be read, or they are not in order.
        """
        now = datetime.now(UTC)
        start = read_time(self.from_time, "from", now)
        end = read_time(self.to_time, "to", now)
        if start and end and start >= end:
            message = f"query.to: found {self.to_time!r}, expected an instant after from={self.from_time!r}"
            raise Problem(422, message)
        return start, end


class About(Range):
    """Of each that is named, a post must have one of the values."""

    entity: Values = Field(default_factory=list, description="Ticker, or name of an entity that has none.")
    topic: Values = Field(default_factory=list)
    intent: Values = Field(default_factory=list)
    source: Values = Field(default_factory=list)
    lang: Values = Field(default_factory=list)

    def where(self) -> Where:
        """Return the conditions by dimension."""
        return tuple((name, tuple(getattr(self, name))) for name in DIMENSIONS if getattr(self, name))


def read_time(text: str | None, name: str, now: datetime) -> datetime | None:
    """Return the instant that a parameter says."""
    if not text:
        return None
    try:
        return parse_time(text, now)
    except BadRecord as error:
        message = f"query.{name}: {error}"
        raise Problem(422, message) from error


def read_window(text: str | None) -> timedelta | None:
    """Return the window that a parameter says: whole five minutes."""
    if not text:
        return None
    try:
        window = parse_span(text)
    except BadRecord as error:
        message = f"query.window: {error}"
        raise Problem(422, message) from error
    if window % BUCKET or window > LONGEST_WINDOW:
        message = f"query.window: found {text!r}, expected a multiple of 5m, {LONGEST_WINDOW.days}d at most"
        raise Problem(422, message)
    return window
