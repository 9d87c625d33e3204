"""Detectors: how surprising a window is, given what came before it.

One interface: `update(observed, at_us) -> verdict`, for all keys of a monitor at once. A detector reads no clock and
does no I/O; its state is a few arrays, and the same observations give the same verdicts.

A baseline learns only from windows that ended before the judged one began, so a surge does not raise its own
bar, and what surprised is learned clipped or at reduced weight. There is no verdict (`ready` is False) until one
whole window of history lies before the judged one: two window lengths after the first row. From then on the
variance of what is expected carries how little is known yet. A key that is new has a history of zeros as long as
the monitor's, and shares the monitor-wide level.

Every detector is a model of its measure (counts.py, shares.py) with a rhythm (seasonal.py), whose surprise is
calibrated by what the key's own past has shown (combined.py, extremes.py, shift.py).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streamwatch.watch.baseline import Memory
from streamwatch.watch.groups import SUMS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COUNT, NEGATIVE, POSITIVE = (SUMS.index(name) for name in ("count", "negative", "positive"))


class Observed(NamedTuple):
    """What one step of a monitor brings.

    Attributes:
        window: Sums of the window that ends now, shape `(sums, keys)`.
        earlier: Sums of the window that ended where this one begins: what the baseline may learn now. None while
            that window would begin before the first row.
        keys: Which keys to judge.
    """

    window: Ints
    earlier: Ints | None
    keys: Ints


class Verdict(NamedTuple):
    """What a detector says of the judged keys; arrays of the same length."""

    measure: Floats
    expected: Floats
    surprise: Floats
    ready: bool


class Detector(Protocol):
    """What every detector does."""

    pasts: tuple[Memory, ...]
    """What it remembers of every key."""
    common: tuple[Memory, ...]
    """What it remembers of all keys together; one column of sums each."""

    def update(self, observed: Observed, at_us: int) -> Verdict:
        """Learn what is due and judge the window that ends at an instant."""
        ...


class Pace(NamedTuple):
    """The measures of a monitor's time.

    Attributes:
        hop_us: The hop.
        panes: Hops of a window.
        half_life_hops: Half-life of the baseline.
        silence_is_zero: Whether hops that brought nothing count as zeros; if not, nothing is known of them.
    """

    hop_us: int
    panes: int
    half_life_hops: float
    silence_is_zero: bool = True

    @property
    def length_us(self) -> int:
        """Length of the window."""
        return self.hop_us * self.panes

    def hops(self, span_us: int, windows: int) -> int:
        """Return how many hops a span has, at least those of so many windows."""
        return max(round(span_us / self.hop_us), windows * self.panes)

    def independent(self, samples: float) -> float:
        """Return how many windows that do not overlap a number of windows one hop apart is worth."""
        return 1.0 + (samples - 1.0) / self.panes if samples else 0.0


def not_ready(measure: Floats) -> Verdict:
    """Return the verdict of a detector that knows nothing yet."""
    return Verdict(measure, np.full(len(measure), np.nan), np.zeros(len(measure)), ready=False)
