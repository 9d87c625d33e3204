from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.watch.fdr import AlarmBudget

HOP_US = 300_000_000
surprises = st.lists(st.floats(0, 20), max_size=50).map(lambda values: np.array(values, float))


def test_quiet_streams_open_as_many_alerts_as_the_budget_says() -> None:
    random, days, keys = np.random.default_rng(1), 20, 50
    budget = AlarmBudget(4.0, HOP_US)
    opened = sum(int(budget.may_open(-np.log10(random.uniform(size=keys)), keys).sum()) for _ in range(days * 288))
    assert 0.7 * 4.0 * days < opened < 1.4 * 4.0 * days


@given(surprises, st.integers(0, 1_000))
def test_it_is_the_procedure_of_benjamini_and_hochberg(surprise: np.ndarray, silent: int) -> None:
    keys, level = len(surprise) + silent, 0.5 * HOP_US / 86_400_000_000
    p = np.sort(10.0**-surprise)
    passed = [rank for rank, value in enumerate(p, start=1) if value <= rank * level / keys * (1 + 1e-9)]
    opened = AlarmBudget(0.5, HOP_US).may_open(surprise, keys)
    assert int(opened.sum()) == (passed[-1] if passed else 0)
    if opened.any():
        assert surprise[opened].min() >= surprise[~opened].max(initial=0.0)


def test_more_keys_ask_for_more_and_a_common_surge_for_less() -> None:
    budget = AlarmBudget(1.0, HOP_US)
    assert budget.threshold(10_000) > budget.threshold(100) > budget.threshold(1)
    assert not budget.may_open(np.array([4.5]), 1_000).any()
    assert budget.may_open(np.full(100, 4.5), 1_000).all()
    assert budget.may_open(np.zeros(0), 0).tolist() == []
