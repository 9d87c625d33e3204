import numpy as np
import pytest

from jobs.surge_benchmark import CONTENDERS, HELD_PANES, best_outcome, outcome, window_counts
from jobs.surge_streams import PANES_A_DAY, WARM_UP_DAYS, Streams, Surge, make_streams

DAYS = 6
START = WARM_UP_DAYS * PANES_A_DAY + 100
"""Of the only surge of the quiet streams."""


def quiet(keys: int = 4) -> Streams:
    """Return streams of one post a pane, in which key 1 has thirty a pane for two hours."""
    counts = np.ones((DAYS * PANES_A_DAY, keys), np.int64)
    counts[START : START + 24, 1] = 30
    return Streams(counts, [Surge(1, START, START + 24, "step", 30.0)])


@pytest.fixture(scope="module")
def streams() -> Streams:
    return make_streams(DAYS, 100, 25, seed=3)


def test_a_seed_gives_the_same_streams(streams: Streams) -> None:
    again = make_streams(DAYS, 100, 25, seed=3)
    assert np.array_equal(streams.counts, again.counts)
    assert streams.surges == again.surges


def test_surges_are_on_different_keys_and_after_the_warm_up(streams: Streams) -> None:
    assert len({surge.key for surge in streams.surges}) == 25
    assert all(surge.start >= WARM_UP_DAYS * PANES_A_DAY for surge in streams.surges)
    assert all(surge.start < surge.end <= DAYS * PANES_A_DAY for surge in streams.surges)


def test_there_are_more_posts_in_surges_than_at_the_same_hours_before(streams: Streams) -> None:
    inside = [streams.counts[surge.start : surge.end, surge.key].sum() for surge in streams.surges]
    before = [
        streams.counts[surge.start - PANES_A_DAY : surge.end - PANES_A_DAY, surge.key].sum() for surge in streams.surges
    ]
    assert np.mean(inside) > 2 * np.mean(before)


def test_days_have_their_hours_and_counts_are_over_dispersed(streams: Streams) -> None:
    hours = streams.counts.sum(axis=1).reshape(DAYS, 24, -1).sum(axis=2)
    assert (hours.max(axis=1) > 1.5 * hours.min(axis=1)).all()
    assert np.median(streams.counts.var(axis=0) / streams.counts.mean(axis=0)) > 1.2


def test_windows_are_sums_of_panes() -> None:
    counts = np.arange(10)[:, None]
    assert window_counts(counts)[:, 0].tolist() == [sum(range(max(0, end - 6), end)) for end in range(1, 11)]


@pytest.mark.parametrize("name", CONTENDERS)
def test_what_nobody_can_overlook_is_found_by_everybody(name: str) -> None:
    found = best_outcome(quiet(), CONTENDERS[name](quiet().counts), false_a_key_day=0.2)
    assert found.detected == 1.0
    assert found.delay_panes <= 12


def test_an_alarm_outside_of_a_surge_is_false_and_one_just_behind_it_is_not() -> None:
    streams = quiet()
    scores = np.zeros(streams.counts.shape, np.float32)
    scores[START + 3, 1] = scores[START + 24 + HELD_PANES - 1, 1] = 1.0
    assert outcome(streams, scores, 0.5) == (1.0, 3.0, 0.0, 1.0)
    scores[START, 2] = 1.0
    found = outcome(streams, scores, 0.5)
    assert found.false_a_key_day == pytest.approx(1 / (4 * (DAYS - WARM_UP_DAYS)))
    assert found.precision == 0.5


def test_an_alarm_that_was_open_before_finds_nothing() -> None:
    streams = quiet()
    scores = np.zeros(streams.counts.shape, np.float32)
    scores[START - 5 : START + 24, 1] = 1.0
    assert outcome(streams, scores, 0.5).detected == 0.0


def test_no_contender_looks_ahead(streams: Streams) -> None:
    until = 5 * PANES_A_DAY
    for contender in CONTENDERS.values():
        whole, part = contender(streams.counts[:, :20]), contender(streams.counts[:until, :20])
        assert np.allclose(whole[:until], part, atol=1e-4)
