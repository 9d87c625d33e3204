"""When a feed is asked again: by its interval while all is well, ever later while it is not."""

from __future__ import annotations

import random
from datetime import timedelta

LONGEST = timedelta(hours=6)
"""Longest wait after failures, unless the feed's own interval is longer or its server asks for more."""
GONE = timedelta(days=1)
"""How often a feed that is gone for good is asked, in case it is not."""
MOST_ASKED = timedelta(days=1)
"""Longest wait that a server may ask for."""
SPREAD = 0.1
"""By how much each wait is longer at random, so that feeds do not come all at once."""


def next_wait(interval: timedelta, rng: random.Random) -> timedelta:
    """Return the wait after a good answer: the interval, and up to a tenth more."""
    return interval * (1 + SPREAD * rng.random())


def failure_wait(
    interval: timedelta, failures: int, rng: random.Random, *, retry_after_s: float | None = None, gone: bool = False
) -> timedelta:
    """Return the wait after failures: twice as long each time, a random half of it left out ("equal jitter").

    Args:
        interval: The feed's own.
        failures: How many in a row, this one included.
        rng: The jitter's.
        retry_after_s: How long the server asks to be left alone: at least so long.
        gone: The server says that the feed is gone for good.

    >>> waits = [failure_wait(timedelta(minutes=10), failures, random.Random(1)) for failures in (1, 2, 3, 9)]
    >>> [round(wait / timedelta(minutes=1)) for wait in waits]
    [11, 23, 45, 204]
    """
    if gone:
        return max(GONE, interval)
    longest_s = max(LONGEST, interval).total_seconds()
    full_s = min(interval.total_seconds() * 2.0 ** min(failures, 30), longest_s)
    asked_s = min(retry_after_s or 0.0, MOST_ASKED.total_seconds())
    return timedelta(seconds=max(full_s * (0.5 + 0.5 * rng.random()), asked_s))
