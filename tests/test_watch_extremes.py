from __future__ import annotations

import numpy as np
import pytest

from streamwatch.watch.extremes import Extremes, Prior

DAY = 10
PRIOR = Prior(np.array([3.0]), np.array([1.0]))


def after(peaks: np.ndarray) -> Extremes:
    """Return what is known after blocks with these highest, shape `(blocks, keys)`."""
    extremes = Extremes(DAY, PRIOR)
    extremes.grow(peaks.shape[1])
    keys = np.arange(peaks.shape[1])
    for block, heights in enumerate(peaks):
        extremes.turn(block * DAY)
        extremes.note(heights[None].astype(float), keys)
    extremes.turn(len(peaks) * DAY)
    return extremes


def times(extremes: Extremes, height: float, key: int = 0) -> float:
    return float(extremes.expected(np.array([[height]]), np.array([key]))[0, 0])


def test_it_says_how_often_blocks_are_as_high() -> None:
    peaks = np.random.default_rng(1).gumbel(5.0, 0.7, (200, 1))
    known = after(peaks)
    for share in (0.5, 0.1, 0.02):
        height = float(np.quantile(peaks, 1 - share))
        assert 1 - np.exp(-times(known, height)) == pytest.approx(share, rel=0.5)


def test_a_height_that_comes_every_other_day_is_not_rare_and_one_beyond_all_is() -> None:
    usual = after(np.tile([[2.0], [20.0]], (30, 1)))
    quiet = after(np.tile([[2.0], [2.5]], (30, 1)))
    assert times(usual, 20.0) > 0.1 > 1e-4 > times(quiet, 20.0)


def test_the_block_at_hand_does_not_raise_its_own_bar() -> None:
    known = after(np.full((5, 1), 3.0))
    before = times(known, 10.0)
    known.note(np.array([[10.0]]), np.array([0]))
    assert times(known, 10.0) == before
    known.turn(10 * DAY)
    assert times(known, 10.0) > before


def test_a_single_surge_is_learned_clipped() -> None:
    calm = np.random.default_rng(2).gumbel(3.0, 0.3, (20, 1))
    surged = calm.copy()
    surged[10] = 1_000.0
    assert times(after(surged), 15.0) < 0.05


def test_a_key_that_is_not_known_is_held_for_one_like_the_others() -> None:
    known = after(np.random.default_rng(3).gumbel(8.0, 0.5, (30, 20)))
    known.grow(21)
    assert times(known, 8.0, key=20) > 0.3 > times(after(np.zeros((1, 1))), 8.0)


def test_a_height_is_a_record_once() -> None:
    extremes, key = Extremes(DAY, PRIOR), np.array([0])
    extremes.grow(1)
    extremes.turn(0)
    assert extremes.is_record(np.array([[2.0]]), key).all()
    extremes.note(np.array([[2.0]]), key)
    assert not extremes.is_record(np.array([[2.0]]), key).any()
    extremes.turn(DAY)
    assert extremes.is_record(np.array([[1.0]]), key).all()
