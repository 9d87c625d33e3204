from __future__ import annotations

import numpy as np

from streamwatch.watch.detector import Pace
from streamwatch.watch.shift import Shifts

STEP_US = 300_000_000
PACE = Pace(STEP_US, 1, 2_016.0)


def charts(residuals: np.ndarray) -> np.ndarray:
    """Return level and jumps after every step, shape `(steps, 2)`."""
    shifts = Shifts(PACE)
    shifts.grow(1)
    return np.array([shifts.update(np.array([value]), step * STEP_US)[:, 0] for step, value in enumerate(residuals)])


def test_a_small_lasting_rise_shows_in_the_level_and_a_high_burst_does_not() -> None:
    quiet = np.random.default_rng(1).standard_normal(600)
    rise, burst = quiet.copy(), quiet.copy()
    rise[500:] += 1.5
    burst[550] += 500.0
    highest = charts(quiet)[300:, 0].max()
    assert charts(rise)[599, 0] > 2 * highest
    assert charts(burst)[599, 0] < highest + 0.1


def test_many_small_bursts_show_in_the_jumps() -> None:
    quiet = np.random.default_rng(2).standard_normal(600)
    bursts = quiet.copy()
    bursts[500::8] += 5.0
    assert charts(bursts)[599, 1] > 1.3 * charts(quiet)[300:, 1].max()


def test_a_gap_forgets_as_hops_of_nothing_do() -> None:
    gap, hops = Shifts(PACE), Shifts(PACE)
    for shifts in (gap, hops):
        shifts.grow(1)
        for step in range(50):
            shifts.update(np.array([2.0]), step * STEP_US)
    for step in range(50, 80):
        found = hops.update(np.array([0.0]), step * STEP_US)
    np.testing.assert_allclose(gap.update(np.array([0.0]), 79 * STEP_US), found, rtol=1e-5)
