"""One calibrated surprise: on quiet streams, as many windows as it says; and what is no surprise any more."""

from __future__ import annotations

import numpy as np
import pytest

from streamwatch.watch.combined import Combined
from streamwatch.watch.counts import CountDetector
from streamwatch.watch.detector import COUNT, Observed, Pace
from streamwatch.watch.groups import SUMS

HOUR_US = 3_600_000_000
PACE = Pace(HOUR_US, 1, 24.0 * 7)
KEYS = 120


def quiet(panes: int, days: int) -> np.ndarray:
    """Return the surprise of every window of quiet streams, shape `(windows, keys)`: over-dispersed, with a rhythm."""
    random, detector = np.random.default_rng(1), CountDetector(COUNT, Pace(HOUR_US, panes, 24.0 * 7))
    usual, everyone = np.geomspace(2.0, 50.0, KEYS), np.arange(KEYS)
    hours: list[np.ndarray] = []
    found = []
    for hour in range(24 * days):
        if hour % panes == 0:
            scatter = random.gamma(10.0, 0.1, KEYS)
        sums = np.zeros((len(SUMS), KEYS), np.int64)
        sums[COUNT] = random.poisson(usual * scatter * (1.0 + 0.7 * np.sin(2 * np.pi * hour / 24)))
        hours = [*hours, sums][-2 * panes :]
        earlier = np.sum(hours[:panes], axis=0) if len(hours) == 2 * panes else None
        observed = Observed(np.sum(hours[-panes:], axis=0), earlier, everyone)
        found.append(detector.update(observed, (hour + 1) * HOUR_US).surprise)
    return np.array(found)


@pytest.mark.parametrize("panes", [1, 3])
def test_as_many_windows_surprise_as_the_surprise_says(panes: int) -> None:
    found = quiet(panes, days=30)[24 * 10 :]
    for surprise in (1.0, 2.0, 3.0):
        assert 0.3 < (found >= surprise).mean() * 10**surprise < 2.5, f"surprise {surprise}"
    assert (found >= 4.0).mean() * 10**4 < 3.0


def judge(combined: Combined, surprise: float, residual: float, hour: int) -> float:
    return float(combined.judge(np.array([surprise]), np.array([residual]), np.array([0]), hour * HOUR_US)[0])


def test_what_comes_every_day_surprises_less_every_time() -> None:
    combined, heights = Combined(PACE), []
    for hour in range(24 * 10):
        surprise = judge(combined, 20.0 if hour % 24 == 0 else 0.3, 0.1, hour)
        if hour % 24 == 0:
            heights.append(surprise)
    assert heights[0] > heights[3] > heights[9]
    assert heights[9] < np.log10(24) + 0.5, "about once a day"


def test_surprise_stays_finite() -> None:
    combined = Combined(PACE)
    for hour in range(24 * 9):
        judge(combined, 0.01, 0.0, hour)
    assert 10 < judge(combined, 300.0, 1e6, 24 * 9) < 1_000
    assert np.isfinite(judge(combined, 1e300, 1e6, 24 * 9 + 1))


def test_what_was_not_above_what_was_expected_never_surprises() -> None:
    combined = Combined(PACE)
    assert max(judge(combined, 0.0, 50.0, hour) for hour in range(48)) == 0.0


def test_a_level_that_stays_high_surprises_when_it_is_reached_and_not_for_ever() -> None:
    combined = Combined(PACE)
    random = np.random.default_rng(2)
    before = [judge(combined, abs(value) / 2, value, hour) for hour, value in enumerate(random.normal(0, 0.5, 480))]
    after = [judge(combined, 0.5, value, 480 + hour) for hour, value in enumerate(random.normal(2.5, 0.5, 24 * 4))]
    assert max(after[:24]) > max(before[48:])
    assert max(after[:24]) > 2.5
    assert np.median(after[60:72]) < 1.0
