"""The detectors of averages: the share of negative posts, and net sentiment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamwatch.watch.baseline import Decayed
from streamwatch.watch.detector import COUNT, NEGATIVE, POSITIVE, Floats, Ints, Observed, Pace, Verdict, not_ready
from streamwatch.watch.surprise import beta_binomial, normal_below

PRIOR_POSTS = 20.0
"""The monitor-wide average counts as so many posts of a key's history."""
START_POSTS = 10.0
START_SHARE = 0.2
"""What is known before anything is: ten posts, a fifth of them negative."""
LEAST_SHARE = 0.005
PRIOR_SCATTER = 0.01
PRIOR_SCATTER_PAIRS = 1_000.0
"""Scatter of the average between windows, before it is known, and the weight of that."""
LEAST_SCATTER = 0.002
SURPRISING_DEVIATIONS = 3.0
SURPRISING_WEIGHT = 0.1


class ShareDetector:
    """Judge the share of negative posts by a beta-binomial distribution (Skellam 1948), given how many there are.

    The baseline share of a key is its decayed share, shrunk to the monitor's (empirical Bayes, Morris 1983). The
    scatter of the share between windows, beyond what their posts explain, is estimated by moments over all keys
    (Kleinman 1973).
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.pasts: tuple[Decayed, ...] = (Decayed(2, pace.half_life_hops),)
        self.common: tuple[Decayed, ...] = (Decayed(2, pace.half_life_hops),)
        self.common[0].grow(1)

    def update(self, observed: Observed, at_us: int) -> Verdict:
        """Judge the shares of the window that ends at an instant, then learn the earlier window."""
        posts = observed.window[COUNT]
        self.pasts[0].grow(len(posts))
        share, known = self._expect()
        verdict = self._judge(
            posts[observed.keys], observed.window[NEGATIVE, observed.keys], share, known, observed.keys
        )
        if observed.earlier is not None:
            self._learn(observed.earlier[COUNT], observed.earlier[NEGATIVE], share, at_us)
        return verdict

    def _judge(self, trials: Ints, hits: Ints, share: Floats, known: Floats, keys: Ints) -> Verdict:
        seen = hits / np.maximum(trials, 1)
        if not self.pasts[0].weight:
            return not_ready(seen)
        expected = share[keys]
        concentration = 1.0 / (_scatter(self.common[0]) + 1.0 / known[keys]) - 1.0
        return Verdict(seen, expected, beta_binomial(hits, trials, expected, concentration), ready=True)

    def _expect(self) -> tuple[Floats, Floats]:
        """Return every key's expected share, and how many posts know it."""
        posts, negative = self.pasts[0].sums / self._pace.panes
        common = (negative.sum() + START_POSTS * START_SHARE) / (posts.sum() + START_POSTS)
        known = posts + PRIOR_POSTS
        return np.clip((negative + PRIOR_POSTS * common) / known, LEAST_SHARE, 1.0 - LEAST_SHARE), known

    def _learn(self, posts: Ints, negative: Ints, share: Floats, at_us: int) -> None:
        (past,), (scatter,) = self.pasts, self.common
        plain = posts * share * (1.0 - share)
        pairs = np.maximum(posts - 1, 0) * plain
        residual = negative - posts * share
        limit = SURPRISING_DEVIATIONS * np.sqrt(plain + pairs * _scatter(scatter))
        weight = np.where((residual > limit) & (past.weight > 0), SURPRISING_WEIGHT, 1.0)
        past.learn(np.stack([posts, negative]).astype(np.float64) * weight, at_us, self._pace.hop_us)
        excess = weight * (residual * residual - plain)
        scatter.learn(np.array([[(weight * pairs).sum()], [excess.sum()]]), at_us, self._pace.hop_us)


class Usual(NamedTuple):
    """Every key's expected net sentiment, the variance of a post's, and how many posts know it."""

    mean: Floats
    spread: Floats
    known: Floats


class NetSentimentDetector:
    """Judge falls of net sentiment, (positive - negative) / posts, by the normal approximation.

    Its baseline is shrunk to the monitor's (empirical Bayes, Morris 1983); its variance is that of the posts, of
    the baseline and of the scatter between windows, by moments (DerSimonian and Laird 1986).
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.pasts: tuple[Decayed, ...] = (Decayed(3, pace.half_life_hops),)
        self.common: tuple[Decayed, ...] = (Decayed(2, pace.half_life_hops),)
        self.common[0].grow(1)

    def update(self, observed: Observed, at_us: int) -> Verdict:
        """Judge the net sentiment of the window that ends at an instant, then learn the earlier window."""
        self.pasts[0].grow(observed.window.shape[1])
        usual = self._expect()
        verdict = self._judge(observed.window[:, observed.keys], Usual(*(values[observed.keys] for values in usual)))
        if observed.earlier is not None:
            self._learn(observed.earlier, usual, at_us)
        return verdict

    def _judge(self, window: Ints, usual: Usual) -> Verdict:
        posts = np.maximum(window[COUNT], 1)
        seen = (window[POSITIVE] - window[NEGATIVE]) / posts
        if not self.pasts[0].weight:
            return not_ready(seen)
        variance = usual.spread * (1.0 / posts + 1.0 / usual.known) + _scatter(self.common[0])
        return Verdict(seen, usual.mean, normal_below(seen, usual.mean, np.sqrt(variance)), ready=True)

    def _expect(self) -> Usual:
        posts, net, square = self.pasts[0].sums / self._pace.panes
        known, total = posts + PRIOR_POSTS, posts.sum() + START_POSTS
        mean = (net + PRIOR_POSTS * net.sum() / total) / known
        spread = (square + PRIOR_POSTS * (square.sum() + START_POSTS) / total) / known - mean * mean
        return Usual(mean, np.maximum(spread, LEAST_SHARE), known)

    def _learn(self, sums: Ints, usual: Usual, at_us: int) -> None:
        (past,), (scatter,) = self.pasts, self.common
        posts, net = sums[COUNT], sums[POSITIVE] - sums[NEGATIVE]
        residual = net - posts * usual.mean
        pairs = (posts * np.maximum(posts - 1, 0)).astype(np.float64)
        limit = SURPRISING_DEVIATIONS * np.sqrt(posts * usual.spread + pairs * _scatter(scatter))
        weight = np.where((residual < -limit) & (past.weight > 0), SURPRISING_WEIGHT, 1.0)
        sample = np.stack([posts, net, sums[POSITIVE] + sums[NEGATIVE]]).astype(np.float64)
        past.learn(sample * weight, at_us, self._pace.hop_us)
        excess = weight * (residual * residual - posts * usual.spread)
        scatter.learn(np.array([[(weight * pairs).sum()], [excess.sum()]]), at_us, self._pace.hop_us)


def _scatter(past: Decayed) -> float:
    """Return the variance of the average between windows: for a share, as part of p (1 - p)."""
    pairs, excess = past.sums[:, 0]
    known = PRIOR_SCATTER_PAIRS
    return max(float((excess + known * PRIOR_SCATTER) / (pairs + known)), LEAST_SCATTER)
