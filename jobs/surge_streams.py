"""Made-up streams of counts with surges in them at known places: what the surge benchmark is run on.

They have what makes real ones hard: a few loud keys and many quiet ones, hours and weekends, days on which everything
is louder, attention that wanders for hours, and posts that draw others after them. No detector is told any of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PANE_MINUTES = 5
PANES_A_DAY = 24 * 60 // PANE_MINUTES
WARM_UP_DAYS = 4
"""No surge begins earlier, and no alarm counts."""
SHAPES = ("step", "ramp", "burst")

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Surge(NamedTuple):
    """Extra posts of one key in the panes `[start, end)`: their shape, and how many times the usual they are."""

    key: int
    start: int
    end: int
    shape: str
    size: float


class Streams(NamedTuple):
    """Posts by pane and key, `(panes, keys)`, and the surges that are in them."""

    counts: Counts
    surges: list[Surge]


def make_streams(days: int, keys: int, surges: int, seed: int) -> Streams:
    """Return streams; the same seed gives the same ones.

    Args:
        days: Length, warm-up included.
        keys: How many streams.
        surges: How many surges, at most one a key.
        seed: Of every draw.
    """
    draw = np.random.default_rng(seed)
    level = np.exp(draw.normal(-0.5, 1.5, keys)).clip(0.02, 60.0)
    rate = level * _rhythm(days, keys, draw) * _wandering(days, keys, draw)
    placed = _place(days, level, surges, draw)
    for surge in placed:
        usual = rate[surge.start : surge.end, surge.key]
        # A surge is news to somebody: however quiet a key is, some posts come.
        rate[surge.start : surge.end, surge.key] = usual + np.maximum(usual * (surge.size - 1), 1.0) * _course(surge)
    dispersion = draw.uniform(0.05, 0.6, keys)
    return Streams(_drawn(rate, dispersion, draw), placed)


def _rhythm(days: int, keys: int, draw: np.random.Generator) -> Floats:
    """Return hours and weekends, `(panes, keys)`, one on average: three continents, each key a little its own."""
    panes = np.arange(days * PANES_A_DAY)
    hour = (panes % PANES_A_DAY) / PANES_A_DAY * 24
    peak = draw.choice([2.0, 10.0, 16.0], keys, p=[0.25, 0.25, 0.5]) + draw.normal(0, 1.0, keys)
    distance = np.abs((hour[:, None] - peak + 12) % 24 - 12)
    day = 0.15 + np.exp(-0.5 * (distance / draw.uniform(3.0, 5.0, keys)) ** 2)
    weekend = np.where((panes // PANES_A_DAY % 7 >= 5)[:, None], draw.uniform(0.2, 0.8, keys), 1.0)
    rhythm = day * weekend
    return np.asarray(rhythm / rhythm.mean(axis=0))


def _wandering(days: int, keys: int, draw: np.random.Generator) -> Floats:
    """Return what lifts and lowers keys for hours, each for itself and all together, one in the middle."""
    panes = days * PANES_A_DAY
    own = _slow(panes, keys, hours=8.0, draw=draw) * draw.uniform(0.05, 0.25, keys)
    common = _slow(panes, 1, hours=24.0, draw=draw) * 0.15
    return np.asarray(np.exp(own + common))


def _slow(panes: int, series: int, *, hours: float, draw: np.random.Generator) -> Floats:
    """Return an Ornstein-Uhlenbeck process of unit variance, `(panes, series)`."""
    keep = np.exp(-PANE_MINUTES / 60 / hours)
    steps = draw.normal(0, np.sqrt(1 - keep * keep), (panes, series))
    values = np.empty_like(steps)
    values[0] = draw.normal(0, 1, series)
    for pane in range(1, panes):
        values[pane] = keep * values[pane - 1] + steps[pane]
    return values


def _place(days: int, level: Floats, surges: int, draw: np.random.Generator) -> list[Surge]:
    """Return surges of other sizes, lengths and shapes on different keys, loud and quiet alike."""
    placed = []
    for key in draw.choice(len(level), surges, replace=False).tolist():
        length = int(draw.integers(6, 72))
        start = int(draw.integers(WARM_UP_DAYS * PANES_A_DAY, days * PANES_A_DAY - length))
        size = float(np.exp(draw.uniform(np.log(2.5), np.log(20.0))))
        placed.append(Surge(key, start, start + length, str(draw.choice(SHAPES)), size))
    return placed


def _course(surge: Surge) -> Floats:
    """Return how much of a surge there is in each of its panes, at most 1."""
    place = (np.arange(surge.end - surge.start) + 0.5) / (surge.end - surge.start)
    if surge.shape == "ramp":
        return np.asarray(np.minimum(1.0, 2.0 * place))
    return np.asarray(np.exp(-3.0 * place)) if surge.shape == "burst" else np.ones_like(place)


def _drawn(rate: Floats, dispersion: Floats, draw: np.random.Generator) -> Counts:
    """Return counts of these rates: over-dispersed, and some posts draw a few more (a compound distribution)."""
    shape = 1.0 / dispersion
    authors = draw.poisson(rate / 1.25 * draw.gamma(shape, dispersion, rate.shape))
    followed = draw.binomial(authors, 0.1)
    drawn: Counts = authors + draw.negative_binomial(np.maximum(followed, 1), 0.4) * (followed > 0)
    return drawn
