from __future__ import annotations

import numpy as np
import pytest

from streamwatch.watch.series import STEP_ROWS, Point, Row, Series

HOUR_US = 3_600_000_000


def judge(counts: np.ndarray, step_us: int = HOUR_US) -> list[Point]:
    series = Series()
    return [series.add(Row(row * step_us, int(count))) for row, count in enumerate(counts)]


def opened(counts: np.ndarray, step_us: int = HOUR_US) -> list[int]:
    return [row for row, point in enumerate(judge(counts, step_us)) if point.opens]


def rhythm(days: int, seed: int = 1, mean: float = 20.0) -> np.ndarray:
    """Return hourly counts, three times as many by day as by night, that scatter more than Poisson's."""
    random, hours = np.random.default_rng(seed), np.arange(24 * days)
    usual = mean * np.where(hours % 24 < 12, 1.5, 0.5)
    return random.poisson(usual * random.gamma(10.0, 0.1, len(hours)))


def test_a_surge_opens_one_alert_where_it_begins() -> None:
    #  ─────────╱‾‾╲──────── ten hours, ten times as many
    counts = rhythm(18)
    counts[300:310] *= 10
    found = [row for row in opened(counts) if 280 <= row < 400]
    assert len(found) == 1
    assert 300 <= found[0] <= 301


def test_quiet_series_open_few_alerts_and_none_in_the_first_day() -> None:
    found = [opened(rhythm(21, seed)) for seed in range(3)]
    assert sum(map(len, found)) <= 3 * 21 / 14 * 1.5, "about one in two weeks"
    assert all(row >= 24 for rows in found for row in rows)


def test_bursts_that_come_every_day_are_usual_and_a_higher_one_is_not() -> None:
    counts = rhythm(25)
    counts[15::24] = 200
    assert [row for row in opened(counts) if row > 10 * 24] == []
    counts[24 * 23 + 15] = 2_000
    assert [row for row in opened(counts) if row > 10 * 24] == [24 * 23 + 15]


def test_a_level_that_shifts_without_any_burst_is_seen() -> None:
    counts = rhythm(20, mean=200.0)
    counts[24 * 18 :] = counts[24 * 18 :] * 8 // 5
    found = [row for row in opened(counts) if row >= 24 * 18]
    assert found
    assert found[0] < 24 * 19


@pytest.mark.parametrize("cut", [5, STEP_ROWS, 333])
def test_no_row_looks_ahead(cut: int) -> None:
    counts = rhythm(15)
    counts[320:340] *= 8
    assert judge(counts)[:cut] == judge(counts[:cut])


def test_missing_rows_are_unknown_and_not_zero() -> None:
    counts = rhythm(20)
    series = Series()
    points = [series.add(Row((row + (row >= 240) * 24 * 14) * HOUR_US, int(count))) for row, count in enumerate(counts)]
    levels = [point.expected for point in points]
    assert levels[243] == pytest.approx(levels[219], rel=0.5)
    assert not any(point.opens for point in points[240:300])


def test_the_same_series_in_other_steps_is_judged_alike() -> None:
    counts = rhythm(12)
    counts[260] = 600
    assert 260 in opened(counts)
    daily = np.random.default_rng(3).poisson(30.0, 120)
    daily[100] = 300
    assert opened(daily, 24 * HOUR_US)[-1] == 100
