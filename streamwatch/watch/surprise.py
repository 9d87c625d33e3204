"""Surprise: -log10 of the probability of what was seen or worse. 3 is one chance in a thousand.

All functions take arrays over keys and return an array; 0 where what was seen is no more than expected.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = 300.0
"""Largest surprise told: beyond it, floating point has no smaller probability."""
EXACT_POSTS = 2_000
"""Up to so many posts in a window the beta-binomial tail is summed term by term."""


def negative_binomial(seen: Ints, mean: Floats, variance: Floats) -> Floats:
    """Return the surprise of counts that scatter more than Poisson's.

    P(X >= x) = I_{m/(m+r)}(x, r) with r = m² / (v - m), the regularised incomplete beta function
    (Johnson, Kemp and Kotz, Univariate Discrete Distributions, 2005, section 5.2).

    Args:
        seen: Counts.
        mean: Expected counts, above 0.
        variance: Their variances, above the means.

    >>> negative_binomial(np.array([2, 40]), np.array([5.0, 5.0]), np.array([8.0, 8.0])).round(2).tolist()
    [0.0, 10.42]
    """
    result = np.zeros(len(seen))
    (above,) = np.nonzero(seen > mean)
    x, m, v = seen[above], mean[above], variance[above]
    shape = m * m / (v - m)
    result[above] = _surprise(special.betainc(x, shape, m / (m + shape)))
    return result


def beta_binomial(hits: Ints, trials: Ints, share: Floats, concentration: Floats) -> Floats:
    """Return the surprise of so many hits among trials, when the share itself is uncertain.

    The share has a Beta(share * concentration, (1 - share) * concentration) distribution (Skellam 1948). Windows
    of more than `EXACT_POSTS` posts take the Beta distribution with the same first two moments.

    Args:
        hits: Negative posts.
        trials: Posts.
        share: Expected share, between 0 and 1, both exclusive.
        concentration: How many posts the knowledge of the share is worth, above 0.

    >>> share, concentration = np.array([0.1, 0.1]), np.array([200.0, 200.0])
    >>> beta_binomial(np.array([12, 60]), np.array([20, 4_000]), share, concentration).round(1).tolist()
    [6.3, 0.0]
    """
    result = np.zeros(len(hits))
    above = hits > trials * share
    (exact,) = np.nonzero(above & (trials <= EXACT_POSTS))
    (large,) = np.nonzero(above & (trials > EXACT_POSTS))
    if exact.size:
        result[exact] = _exact_tail(hits[exact], trials[exact], share[exact], concentration[exact])
    if large.size:
        k, n, p = hits[large], trials[large], share[large]
        both = 1.0 / (1.0 / n + 1.0 / (concentration[large] + 1.0)) - 1.0
        result[large] = _surprise(special.betaincc(p * both, (1.0 - p) * both, (k - 0.5) / n))
    return result


def _exact_tail(k: Ints, n: Ints, p: Floats, concentration: Floats) -> Floats:
    """Sum the terms from k to n for every key: the first by beta functions, the next by their ratios."""
    a, b = p * concentration, (1.0 - p) * concentration
    choose = -special.betaln(k + 1.0, n - k + 1.0) - np.log(n + 1.0)
    first = choose + special.betaln(k + a, n - k + b) - special.betaln(a, b)
    terms = n - k + 1
    starts = np.cumsum(terms) - terms
    owner = np.repeat(np.arange(len(k)), terms)
    step = np.arange(len(owner)) - starts[owner]
    j, size = (k[owner] + step).astype(np.float64), n[owner]
    ratio = (size - j + 1.0) * (j - 1.0 + a[owner]) / (np.maximum(j, 1.0) * (size - j + b[owner]))
    logs = np.where(step == 0, 0.0, np.log(np.where(step == 0, 1.0, ratio)))
    running = np.cumsum(logs)
    relative = np.exp(running - running[starts][owner])
    tail = first + np.log(np.add.reduceat(relative, starts))
    surprise: Floats = np.clip(-tail / np.log(10.0), 0.0, MOST)
    return surprise


def normal_below(seen: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Return the surprise of values so far below their mean, by the normal approximation.

    >>> normal_below(np.array([-0.5, 0.4]), np.array([0.2, 0.2]), np.array([0.1, 0.1])).round(1).tolist()
    [11.9, 0.0]
    """
    logs = special.log_ndtr(-np.maximum(mean - seen, 0.0) / deviation)
    return np.where(seen < mean, np.clip(-logs / np.log(10.0), 0.0, MOST), 0.0)


def _surprise(probability: Floats) -> Floats:
    return -np.log10(np.clip(probability, 10.0**-MOST, 1.0)) + 0.0
