from __future__ import annotations

import numpy as np
import pytest

from streamwatch.watch.detector import Pace
from streamwatch.watch.seasonal import HOUR_US, Season

DAY_HOPS = 24
PACE = Pace(HOUR_US, 1, 7.0 * DAY_HOPS)
MONDAY = 4 * DAY_HOPS
"""Hours from 1970 to the first Monday."""


def learned(counts: np.ndarray, level: float | np.ndarray) -> Season:
    """Return a season that learned hourly counts, shape `(hours, keys)`, from the first Monday on."""
    season = Season(PACE)
    season.grow(counts.shape[1])
    for hour, count in enumerate(counts, start=MONDAY):
        season.learn(count.astype(float), np.full(len(count), level, float), (hour + 1) * HOUR_US, hops=1)
    return season


def factor(season: Season, hour: int, key: int = 0) -> float:
    """Return the factor of the hour that begins so many hours after the first Monday."""
    return float(season.factors((MONDAY + hour + 1) * HOUR_US)[key])


def test_nothing_known_is_flat() -> None:
    season = Season(PACE)
    season.grow(3)
    assert season.factors(5 * HOUR_US, np.array([0.0, 1.0, 1e6])).tolist() == [1.0, 1.0, 1.0]


def test_it_learns_the_hours_and_weekends_and_half_way_between_hours() -> None:
    hours = np.arange(6 * 7 * DAY_HOPS)
    day = np.where(hours % 24 < 12, 15.0, 5.0) * np.where(hours // 24 % 7 < 5, 1.0, 0.5)
    season = learned(day[:, None], 10.0 * 6 / 7)
    start = 6 * 7 * DAY_HOPS
    morning, evening, weekend = (factor(season, start + hour) for hour in (6, 18, 5 * DAY_HOPS + 6))
    assert morning == pytest.approx(3 * evening, rel=0.35)
    assert weekend < 0.8 * morning
    noon = float(season.factors((MONDAY + start + 12) * HOUR_US + HOUR_US // 2)[0])
    assert evening < noon < morning


def test_a_key_that_is_hardly_known_has_the_rhythm_of_all() -> None:
    hours = np.arange(14 * DAY_HOPS)
    busy = np.where(hours % 24 < 12, 150.0, 50.0)
    season = learned(np.stack([busy, busy, np.zeros_like(busy)], axis=1), np.array([100.0, 100.0, 0.01]))
    season.grow(4)
    level = np.array([100.0, 100.0, 0.01, 100.0])
    factors = season.factors((MONDAY + 14 * DAY_HOPS + 7) * HOUR_US, level)
    assert factors[0] > 1.2
    assert factors[2] > 1.15, "it shares the morning of the others"
    assert factors[3] > 1.15, "so does one that is new"


def test_forgetting_keys_keeps_the_others() -> None:
    counts = np.random.default_rng(1).poisson(5.0, (50, 3))
    season = learned(counts, 5.0)
    before = season.factors(0).tolist()
    season.keep(np.array([2, 0]))
    assert season.factors(0).tolist() == [before[2], before[0]]
