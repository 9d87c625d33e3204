"""The detectors of averages: the share of negative posts, and net sentiment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamwatch.watch.baseline import Decayed, Memory
from streamwatch.watch.combined import Combined
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
LEAST_SCATTER, MOST_SCATTER = 0.002, 0.5
"""Bounds of it: a share that scatters as much as a single post says nothing any more."""
SURPRISING_DEVIATIONS = 3.0
SURPRISING_WEIGHT = 0.1


class Scatter(Decayed):
    """The variance of the average between windows beyond what their posts explain, one for all keys."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(2, pace.half_life_hops)
        self.grow(1)

    @property
    def variance(self) -> float:
        """The variance: for a share, as part of p (1 - p)."""
        pairs, excess = self.sums[:, 0]
        known = PRIOR_SCATTER_PAIRS
        found = float((excess + known * PRIOR_SCATTER) / (pairs + known))
        return min(max(found, LEAST_SCATTER), MOST_SCATTER)

    def of_sums(self, posts: Ints, spread: Floats, unit: Floats | float = 1.0) -> Floats:
        """Return the variance of the sum over a window's posts; 1 where there are none.

        Args:
            posts: Posts of each window.
            spread: Variance of one post.
            unit: What `variance` is a part of.
        """
        pairs = posts * np.maximum(posts - 1, 0)
        variances: Floats = np.where(posts > 0, posts * spread + pairs * unit * self.variance, 1.0)
        return variances

    def add(self, pairs: Floats, excess: Floats, at_us: int, hops: int) -> None:
        """Learn from windows: pairs of posts, and squared residuals beyond those of single posts."""
        self.learn(np.array([[pairs.sum()], [excess.sum()]]), at_us, hops)


class ShareDetector:
    """Judge the share of negative posts by a beta-binomial distribution (Skellam 1948), given how many there are.

    The baseline share of a key is its decayed share, shrunk to the monitor's (empirical Bayes, Morris 1983). The
    scatter of the share between windows, beyond what their posts explain, is estimated by moments over all keys
    (Kleinman 1973).
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._past = Decayed(2, pace.half_life_hops)
        self._scatter = Scatter(pace)
        self._combined = Combined(pace)
        self.pasts: tuple[Memory, ...] = (self._past, *self._combined.memories)
        self.common: tuple[Memory, ...] = (self._scatter,)

    def update(self, observed: Observed, at_us: int) -> Verdict:
        """Judge the shares of the window that ends at an instant, then learn the earlier window."""
        for past in self.pasts:
            past.grow(observed.window.shape[1])
        share, known = self._expect()
        verdict = self._judge(observed, share, known, at_us)
        if observed.earlier is not None:
            self._learn(observed.earlier[COUNT], observed.earlier[NEGATIVE], share, at_us)
        return verdict

    def _judge(self, observed: Observed, share: Floats, known: Floats, at_us: int) -> Verdict:
        keys, posts, negative = observed.keys, observed.window[COUNT], observed.window[NEGATIVE]
        trials, hits = posts[keys], negative[keys]
        seen = hits / np.maximum(trials, 1)
        if not self._past.weight:
            return not_ready(seen)
        expected = share[keys]
        concentration = 1.0 / (self._scatter.variance + 1.0 / known[keys]) - 1.0
        surprise = beta_binomial(hits, trials, expected, concentration)
        spread = share * (1.0 - share)
        residual = (negative - posts * share) / np.sqrt(self._scatter.of_sums(posts, spread, spread))
        return Verdict(seen, expected, self._combined.judge(surprise, residual, keys, at_us), ready=True)

    def _expect(self) -> tuple[Floats, Floats]:
        """Return every key's expected share, and how many posts know it."""
        posts, negative = self._past.sums / self._pace.panes
        common = (negative.sum() + START_POSTS * START_SHARE) / (posts.sum() + START_POSTS)
        known = posts + PRIOR_POSTS
        return np.clip((negative + PRIOR_POSTS * common) / known, LEAST_SHARE, 1.0 - LEAST_SHARE), known

    def _learn(self, posts: Ints, negative: Ints, share: Floats, at_us: int) -> None:
        spread = share * (1.0 - share)
        residual = negative - posts * share
        limit = SURPRISING_DEVIATIONS * np.sqrt(self._scatter.of_sums(posts, spread, spread))
        weight = np.where((residual > limit) & (self._past.weight > 0), SURPRISING_WEIGHT, 1.0)
        hops = self._past.hops_since(at_us, self._pace.hop_us)
        self._past.learn(np.stack([posts, negative]).astype(np.float64) * weight, at_us, hops)
        pairs = np.maximum(posts - 1, 0) * posts * spread
        self._scatter.add(weight * pairs, weight * (residual * residual - posts * spread), at_us, hops)


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
        self._past = Decayed(3, pace.half_life_hops)
        self._scatter = Scatter(pace)
        self._combined = Combined(pace)
        self.pasts: tuple[Memory, ...] = (self._past, *self._combined.memories)
        self.common: tuple[Memory, ...] = (self._scatter,)

    def update(self, observed: Observed, at_us: int) -> Verdict:
        """Judge the net sentiment of the window that ends at an instant, then learn the earlier window."""
        for past in self.pasts:
            past.grow(observed.window.shape[1])
        usual = self._expect()
        verdict = self._judge(observed, usual, at_us)
        if observed.earlier is not None:
            self._learn(observed.earlier, usual, at_us)
        return verdict

    def _judge(self, observed: Observed, usual: Usual, at_us: int) -> Verdict:
        keys, posts = observed.keys, observed.window[COUNT]
        net = observed.window[POSITIVE] - observed.window[NEGATIVE]
        trials, mean = np.maximum(posts[keys], 1), usual.mean[keys]
        seen = net[keys] / trials
        if not self._past.weight:
            return not_ready(seen)
        variance = usual.spread[keys] * (1.0 / trials + 1.0 / usual.known[keys]) + self._scatter.variance
        surprise = normal_below(seen, mean, np.sqrt(variance))
        fall = (posts * usual.mean - net) / np.sqrt(self._scatter.of_sums(posts, usual.spread))
        return Verdict(seen, mean, self._combined.judge(surprise, fall, keys, at_us), ready=True)

    def _expect(self) -> Usual:
        posts, net, square = self._past.sums / self._pace.panes
        known, total = posts + PRIOR_POSTS, posts.sum() + START_POSTS
        mean = (net + PRIOR_POSTS * net.sum() / total) / known
        spread = (square + PRIOR_POSTS * (square.sum() + START_POSTS) / total) / known - mean * mean
        return Usual(mean, np.maximum(spread, LEAST_SHARE), known)

    def _learn(self, sums: Ints, usual: Usual, at_us: int) -> None:
        posts, net = sums[COUNT], sums[POSITIVE] - sums[NEGATIVE]
        residual = net - posts * usual.mean
        limit = SURPRISING_DEVIATIONS * np.sqrt(self._scatter.of_sums(posts, usual.spread))
        weight = np.where((residual < -limit) & (self._past.weight > 0), SURPRISING_WEIGHT, 1.0)
        hops = self._past.hops_since(at_us, self._pace.hop_us)
        sample = np.stack([posts, net, sums[POSITIVE] + sums[NEGATIVE]]).astype(np.float64)
        self._past.learn(sample * weight, at_us, hops)
        pairs = (posts * np.maximum(posts - 1, 0)).astype(np.float64)
        self._scatter.add(weight * pairs, weight * (residual * residual - posts * usual.spread), at_us, hops)
