from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from streamwatch.watch.counts import CountDetector
from streamwatch.watch.detector import COUNT, NEGATIVE, POSITIVE, Detector, Observed, Pace, Verdict
from streamwatch.watch.groups import SUMS
from streamwatch.watch.shares import NetSentimentDetector, ShareDetector
from streamwatch.watch.surprise import MOST, beta_binomial, negative_binomial, normal_below

HOP_US = 300_000_000
PACE = Pace(hop_us=HOP_US, panes=4, half_life_hops=400.0)
rng = np.random.default_rng


def sums(count: np.ndarray, negative: np.ndarray | int = 0, positive: np.ndarray | int = 0) -> np.ndarray:
    found = np.zeros((len(SUMS), len(count)), np.int64)
    found[COUNT], found[NEGATIVE], found[POSITIVE] = count, negative, positive
    return found


def run(detector: Detector, panes: list[np.ndarray]) -> list[Verdict]:
    """Let windows of four panes hop over panes of sums, all keys judged."""
    verdicts = []
    for end in range(1, len(panes) + 1):
        window = sum(panes[max(0, end - 4) : end], np.zeros_like(panes[0]))
        earlier = sum(panes[max(0, end - 8) : max(0, end - 4)], np.zeros_like(panes[0])) if end >= 8 else None
        verdicts.append(detector.update(Observed(window, earlier, np.arange(window.shape[1])), end * HOP_US))
    return verdicts


def test_negative_binomial_agrees_with_scipy() -> None:
    seen, mean, variance = np.array([3, 12, 30]), np.array([2.5, 4.0, 4.0]), np.array([3.0, 8.0, 20.0])
    shape = mean**2 / (variance - mean)
    expected = -stats.nbinom.logsf(seen - 1, shape, shape / (shape + mean)) / np.log(10)
    np.testing.assert_allclose(negative_binomial(seen, mean, variance), expected, rtol=1e-9)


def test_beta_binomial_agrees_with_scipy() -> None:
    hits, trials = np.array([5, 20, 1_500, 3, 1]), np.array([20, 20, 1_900, 50, 1])
    share, concentration = np.array([0.1, 0.2, 0.6, 0.5, 0.3]), np.array([50.0, 300.0, 80.0, 10.0, 10.0])
    a, b = share * concentration, (1 - share) * concentration
    expected = [
        -logsumexp(stats.betabinom.logpmf(np.arange(k, n + 1), n, a[key], b[key])) / np.log(10)
        if k > n * share[key]
        else 0
        for key, (k, n) in enumerate(zip(hits, trials, strict=True))
    ]
    np.testing.assert_allclose(beta_binomial(hits, trials, share, concentration), expected, rtol=1e-7)


def test_beta_binomial_of_large_windows_joins_the_exact_one() -> None:
    share, concentration = np.array([0.1, 0.1]), np.array([200.0, 200.0])
    below, above = beta_binomial(np.array([320, 321]), np.array([2_000, 2_006]), share, concentration)
    assert above == pytest.approx(below, rel=0.1)


def test_surprise_stays_finite() -> None:
    one = np.array([1.0])
    assert negative_binomial(np.array([10**7]), one, 1.1 * one)[0] == MOST
    assert beta_binomial(np.array([10**5]), np.array([10**5]), 0.01 * one, 1e6 * one)[0] == MOST
    assert normal_below(-one, one, 1e-9 * one)[0] == MOST


@pytest.mark.parametrize("kind", ["count", "share", "net"])
def test_ordinary_days_are_not_surprising(kind: str) -> None:
    random = rng(1)
    detector: Detector = {"count": CountDetector(COUNT, PACE), "share": ShareDetector(PACE)}.get(
        kind, NetSentimentDetector(PACE)
    )
    panes = []
    for _ in range(300):
        count = random.poisson(random.gamma(10, 0.1, 50) * np.linspace(0.5, 20, 50))
        negative = random.binomial(count, 0.2)
        panes.append(sums(count, negative, random.binomial(count - negative, 0.4)))
    found = [verdict for verdict in run(detector, panes) if verdict.ready]
    alarms = sum(int((verdict.surprise > 5).sum()) for verdict in found)
    assert alarms <= 2, f"{alarms} of {len(found) * 50} windows"


def test_a_morning_that_lifts_all_keys_is_not_a_surge_but_one_key_alone_is() -> None:
    #  ──────╱‾‾‾ all keys ten times as busy │ ──────╱‾‾‾ one of them
    random = rng(2)
    night = [sums(random.poisson(2.0, 30)) for _ in range(40)]
    morning = [sums(random.poisson(20.0, 30)) for _ in range(4)]
    alone = [sums(np.where(np.arange(30) == 7, random.poisson(20.0, 30), random.poisson(2.0, 30))) for _ in range(4)]
    assert max(verdict.surprise.max() for verdict in run(CountDetector(COUNT, PACE), night + morning)[40:]) < 4
    surge = run(CountDetector(COUNT, PACE), night + alone)[-1]
    assert surge.surprise[7] > 3
    assert np.delete(surge.surprise, 7).max() < 2


@pytest.mark.parametrize("detector", [CountDetector(NEGATIVE, PACE), ShareDetector(PACE), NetSentimentDetector(PACE)])
def test_a_surge_is_seen_and_does_not_raise_its_own_bar(detector: Detector) -> None:
    random = rng(3)
    calm = [sums(np.full(5, 20), random.binomial(20, 0.1, 5), random.binomial(18, 0.3, 5)) for _ in range(60)]
    surge = [sums(np.full(5, 20), np.array([18, 2, 2, 2, 2]), np.array([0, 5, 5, 5, 5])) for _ in range(20)]
    verdicts = run(detector, calm + surge)
    before, peak, held = verdicts[59], verdicts[63], verdicts[79]
    assert peak.surprise[0] > 3
    assert peak.surprise[1:].max() < 2
    assert peak.expected[0] == pytest.approx(before.expected[0], abs=0.3 * abs(before.expected[0]) + 0.05)
    assert held.surprise[0] > 2, "sixteen hops later it is still far from usual"


def test_there_is_no_verdict_before_two_windows_of_history() -> None:
    verdicts = run(CountDetector(COUNT, PACE), [sums(np.array([3])) for _ in range(12)])
    assert [verdict.ready for verdict in verdicts] == [False] * 8 + [True] * 4


def test_a_new_key_is_judged_by_the_others() -> None:
    random = rng(4)
    detector = CountDetector(COUNT, PACE)
    run(detector, [sums(random.poisson(3.0, 20)) for _ in range(40)])
    window = sums(np.array([*random.poisson(12.0, 20), 60, 2]))
    verdict = detector.update(Observed(window, None, np.arange(22)), 41 * HOP_US)
    assert verdict.surprise[20] > 3
    assert verdict.surprise[21] < 2


def test_shares_that_are_all_or_nothing_stay_finite() -> None:
    random, detector = rng(7), ShareDetector(PACE)
    panes = [sums(np.full(3, 40), 40 * random.integers(0, 2, 3)) for _ in range(60)]
    verdicts = run(detector, panes)
    assert all(np.isfinite(verdict.surprise).all() for verdict in verdicts)
    assert max(verdict.surprise.max() for verdict in verdicts[40:]) < 3
