"""How often one may ask: a token bucket for each caller."""

from __future__ import annotations

from collections import OrderedDict

CALLERS_KEPT = 10_000
"""Who has not asked for longest is forgotten first: that bucket is full again."""


class RateLimit:
    """Let a caller ask `per_s` times a second over time, and `burst` times at once.

    >>> limit = RateLimit(per_s=2, burst=2)
    >>> [limit.wait_s("ann", 0.0) for _ in range(3)], limit.wait_s("ann", 0.5), limit.wait_s("bob", 0.0)
    ([0.0, 0.0, 0.5], 0.0, 0.0)
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str, now_s: float) -> float:
        """Take one request of a caller: 0 if it may go on, else the seconds after which to ask again.

        Args:
            caller: Who asks.
            now_s: Seconds of a clock that never goes back.
        """
        left, at_s = self._buckets.get(caller, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._per_s)
        allowed = left >= 1
        self._buckets[caller] = (left - allowed, now_s)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > CALLERS_KEPT:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_s
