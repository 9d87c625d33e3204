"""Times and spans as they stand in a query."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from streamwatch.errors import BadRecord

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FIRST_YEAR, LAST_YEAR = 1970, 9000


def parse_span(text: str) -> timedelta:
    """Read a span such as `15m`, `1h` or `7d`.

    Raises:
        BadRecord: It is none.

    >>> parse_span("90m")
    datetime.timedelta(seconds=5400)
    """
    match = re.fullmatch(r"([1-9]\d{0,5})([smhdw])", text, re.ASCII)
    if not match:
        message = f"found {text[:80]!r}, expected a span such as 15m, 1h or 7d"
        raise BadRecord(message)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def parse_time(text: str, now: datetime) -> datetime:
    """Read an instant: ISO 8601 (UTC when it names no zone), or a span ago such as `24h`.

    Raises:
        BadRecord: It is neither, or before 1970.

    >>> parse_time("90m", datetime(2026, 1, 5, tzinfo=UTC)).isoformat()
    '2026-01-04T22:30:00+00:00'
    >>> parse_time("2026-01-05T12:00+01:00", datetime(2026, 1, 5, tzinfo=UTC)).isoformat()
    '2026-01-05T11:00:00+00:00'
    """
    try:
        if re.fullmatch(r"\d+[smhdw]", text, re.ASCII):
            instant = now - parse_span(text)
        else:
            instant = datetime.fromisoformat(text)
            instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"found {text[:80]!r}, expected an instant such as 2026-01-05T14:00Z, or 24h for a day ago"
        raise BadRecord(message) from error
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        message = f"found {text[:80]!r}, expected an instant between {FIRST_YEAR} and {LAST_YEAR}"
        raise BadRecord(message)
    return instant
