"""The detector of counts: volume, or negative posts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamwatch.watch.baseline import Decayed
from streamwatch.watch.detector import Floats, Ints, Observed, Pace, Verdict, not_ready
from streamwatch.watch.surprise import negative_binomial

FAST_WINDOWS = 3.0
"""Half-life of the fast baseline, in windows."""
PRIOR_WINDOWS = 0.5
"""The monitor-wide level counts as so many windows of a key's history."""
PRIOR_DISPERSION = 0.15
PRIOR_DISPERSION_WINDOWS = 4.0
LEAST_DISPERSION = 0.02
MOST_COMMON_RISE = 20.0
CALM_POSTS = 5.0
"""Posts added on both sides when all keys together are compared with their baseline."""
CLIP_DEVIATIONS = 2.0
LEAST_MEAN = 1e-6


class Forecast(NamedTuple):
    """What the baselines expect of every key, before the common rise: the higher, and the slow one alone."""

    mean: Floats
    steady: Floats
    dispersion: Floats
    windows: float


class CountDetector:
    """Judge counts by a negative binomial distribution matched to the moments of past windows.

    Mean and variance of a key's windows are exponentially decayed (slow: the monitor's half-life; fast: three
    windows; the higher mean counts). The dispersion a in v = m + a m² is estimated by moments and shrunk to the
    monitor's (Anscombe 1950; farringtonFlexible's quasi-Poisson surveillance, Noufaily et al. 2013, is kin).

    The ordinary ramp of a morning lifts all keys together. So what is expected of a key rises, never falls, by
    what all other keys show against their baselines at the same time.

    Args:
        column: Which of the sums is counted.
        pace: Hop, window and half-life.
    """

    def __init__(self, column: int, pace: Pace) -> None:
        self._column = column
        self._pace = pace
        fast = min(FAST_WINDOWS * pace.panes, pace.half_life_hops)
        self.pasts: tuple[Decayed, ...] = (Decayed(3, pace.half_life_hops), Decayed(1, fast))
        self.common: tuple[Decayed, ...] = ()

    def update(self, observed: Observed, at_us: int) -> Verdict:
        """Judge the counts of the window that ends at an instant, then learn the earlier window."""
        counts = observed.window[self._column]
        for past in self.pasts:
            past.grow(len(counts))
        forecast = self._expect() if self.pasts[0].weight else None
        verdict = self._judge(counts, observed.keys, forecast)
        if observed.earlier is not None:
            self._learn(observed.earlier[self._column].astype(np.float64), forecast, at_us)
        return verdict

    def _judge(self, counts: Ints, keys: Ints, forecast: Forecast | None) -> Verdict:
        seen = counts[keys]
        if forecast is None:
            return not_ready(seen.astype(np.float64))
        rise = _common_rise(counts, forecast.mean, keys)
        mean = np.maximum(forecast.mean[keys] * rise, LEAST_MEAN)
        spread = mean + forecast.dispersion[keys] * mean * mean
        variance = spread * (1.0 + 1.0 / (forecast.windows + PRIOR_WINDOWS))
        return Verdict(seen.astype(np.float64), mean, negative_binomial(seen, mean, variance), ready=True)

    def _learn(self, sample: Floats, forecast: Forecast | None, at_us: int) -> None:
        """Learn a window; counts far above the slow baseline are clipped, so that a surge does not become usual."""
        slow, fast = self.pasts
        excess, squares = np.zeros_like(sample), np.zeros_like(sample)
        if forecast is not None:
            rise = _common_rise(sample, forecast.mean, slice(None))
            mean, steady = forecast.mean * rise, forecast.steady * rise
            deviation = np.sqrt(steady + forecast.dispersion * steady * steady)
            sample = np.minimum(sample, steady + CLIP_DEVIATIONS * deviation + 1.0)
            excess, squares = (sample - mean) ** 2 - mean, mean * mean
        slow.learn(np.stack([sample, excess, squares]), at_us, self._pace.hop_us)
        fast.learn(sample[None], at_us, self._pace.hop_us)

    def _expect(self) -> Forecast:
        slow, fast = self.pasts
        mean, excess, squares = slow.means()
        windows = self._pace.independent(slow.weight)
        level = (windows * mean + PRIOR_WINDOWS * mean.mean()) / (windows + PRIOR_WINDOWS)
        total = squares.sum()
        pooled = excess.sum() / total if total > 0 else PRIOR_DISPERSION
        known = windows + PRIOR_DISPERSION_WINDOWS
        common = max((windows * pooled + PRIOR_DISPERSION_WINDOWS * PRIOR_DISPERSION) / known, LEAST_DISPERSION)
        own = (windows * excess + PRIOR_DISPERSION_WINDOWS * common) / (windows * squares + PRIOR_DISPERSION_WINDOWS)
        return Forecast(np.maximum(level, fast.means()[0]), level, np.maximum(own, LEAST_DISPERSION), windows)


def _common_rise(counts: Ints | Floats, mean: Floats, keys: Ints | slice) -> Floats:
    """Return, for each of some keys, how far all other keys together are above their baselines: at least 1."""
    others = counts.sum() - counts[keys] + CALM_POSTS
    expected = mean.sum() - mean[keys] + CALM_POSTS
    rise: Floats = np.clip(others / expected, 1.0, MOST_COMMON_RISE)
    return rise
