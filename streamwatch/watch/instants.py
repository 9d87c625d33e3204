"""Instants and spans as whole microseconds: what panes and windows are counted in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
NEVER = -(2**62)
"""An instant before all others, in microseconds."""


def to_us(instant: datetime) -> int:
    """Return an aware datetime as microseconds since 1970.

    >>> to_us(datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
    60000000
    """
    return (instant - EPOCH) // MICROSECOND


def from_us(instant_us: int) -> datetime:
    """Return microseconds since 1970 as a datetime in UTC.

    >>> from_us(60_000_000).isoformat()
    '1970-01-01T00:01:00+00:00'
    """
    return EPOCH + timedelta(microseconds=instant_us)


def span_us(span: timedelta) -> int:
    """Return a span in microseconds.

    >>> span_us(timedelta(minutes=5))
    300000000
    """
    return span // MICROSECOND
