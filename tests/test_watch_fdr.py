from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.watch.fdr import LARGEST_PART, AlarmBudget

WINDOW_US = 300_000_000
surprises = st.lists(st.floats(0, 20), max_size=50).map(lambda values: np.array(values, float))


def test_quiet_windows_open_as_many_alerts_as_the_budget_says() -> None:
    random, days, keys = np.random.default_rng(1), 20, 50
    budget, opened = AlarmBudget(4.0, WINDOW_US), 0
    for _ in range(days * 288):
        surprise = -np.log10(random.uniform(size=keys))
        opened += int((surprise >= budget.level(surprise, keys)).sum())
    assert 0.7 * 4.0 * days < opened < 1.4 * 4.0 * days


@given(surprises, st.integers(0, 1_000))
def test_it_is_the_procedure_of_benjamini_and_hochberg(surprise: np.ndarray, silent: int) -> None:
    keys, part = len(surprise) + silent, 0.5 * WINDOW_US / 86_400_000_000
    p = np.sort(10.0**-surprise)
    passed = [rank for rank, value in enumerate(p, start=1) if value <= rank * part / keys * (1 + 1e-9)]
    level = AlarmBudget(0.5, WINDOW_US).level(surprise, keys)
    assert int((surprise >= level).sum()) == (passed[-1] if passed else 0)


def test_more_keys_ask_for_more_and_a_common_surge_for_less() -> None:
    budget = AlarmBudget(1.0, WINDOW_US)
    assert budget.alone(10_000) > budget.alone(100) > budget.alone(1)
    assert budget.level(np.array([4.5]), 1_000) == budget.alone(1_000) > 4.5
    assert budget.level(np.full(100, 4.5), 1_000) < 4.5
    assert budget.level(np.zeros(0), 0) == budget.alone(1)


def test_a_budget_beyond_all_bounds_still_asks_for_something() -> None:
    assert AlarmBudget(1e9, WINDOW_US).alone(1) == -np.log10(LARGEST_PART)
