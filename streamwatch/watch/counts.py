"""The detector of counts: volume, or negative posts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamwatch.watch.baseline import Decayed, Memory
from streamwatch.watch.combined import Combined
from streamwatch.watch.detector import Floats, Ints, Observed, Pace, Verdict, not_ready
from streamwatch.watch.seasonal import Season
from streamwatch.watch.surprise import negative_binomial

PRIOR_WINDOWS = 0.5
"""The monitor-wide level counts as so many windows of a key's history."""
PRIOR_DISPERSION = 0.15
PRIOR_DISPERSION_WINDOWS = 50.0
LEAST_DISPERSION = 0.02
MOST_COMMON_RISE = 20.0
CALM_POSTS = 5.0
"""Posts added on both sides when all keys together are compared with their baseline."""
CLIP_DEVIATIONS = 2.0
LEAST_MEAN = 1e-6
STABILISER = 5.0
"""log(x + 1 / 2a) has about the same variance at every mean (Anscombe 1948); this is a dispersion of 0.1."""
LEAST_VARIANCE = 0.1


class Forecast(NamedTuple):
    """What the baseline expects of every key, before the common rise and the rhythm."""

    level: Floats
    dispersion: Floats
    windows: float


class CountDetector:
    """Judge counts by a negative binomial distribution matched to the moments of past windows.

    Mean and variance of a key's windows are exponentially decayed. The dispersion a in v = m + a m² is estimated by
    moments and shrunk to the monitor's (Anscombe 1950; farringtonFlexible's quasi-Poisson surveillance, Noufaily et
    al. 2013, is kin). The level is multiplied by the rhythm of hours and weekends.

    The ordinary ramp of a morning lifts all keys together. So what is expected of a key rises, never falls, by
    what all other keys show against their baselines at the same time.

    Args:
        column: Which of the sums is counted.
        pace: Hop, window and half-life.
    """

    def __init__(self, column: int, pace: Pace) -> None:
        self._column = column
        self._pace = pace
        self._past = Decayed(3, pace.half_life_hops)
        self._season = Season(pace)
        self._combined = Combined(pace)
        self.pasts: tuple[Memory, ...] = (self._past, self._season, *self._combined.memories)
        self.common: tuple[Memory, ...] = ()

    def update(self, observed: Observed, at_us: int) -> Verdict:
        """Judge the counts of the window that ends at an instant, then learn the earlier window."""
        counts = observed.window[self._column]
        for past in self.pasts:
            past.grow(len(counts))
        forecast = self._expect() if self._past.weight else None
        verdict = self._judge(counts, observed.keys, forecast, at_us)
        if observed.earlier is not None:
            self._learn(observed.earlier[self._column].astype(np.float64), forecast, at_us)
        return verdict

    def _judge(self, counts: Ints, keys: Ints, forecast: Forecast | None, at_us: int) -> Verdict:
        seen = counts[keys]
        if forecast is None:
            return not_ready(seen.astype(np.float64))
        mean = forecast.level * self._season.factors(at_us, forecast.level)
        mean = np.maximum(mean * _common_rise(counts, mean), LEAST_MEAN)
        spread = mean + forecast.dispersion * mean * mean
        residual = np.log((counts + STABILISER) / (mean + STABILISER)) * (mean + STABILISER)
        residual /= np.sqrt(spread + LEAST_VARIANCE)
        variance = spread[keys] * (1.0 + 1.0 / (forecast.windows + PRIOR_WINDOWS))
        surprise = negative_binomial(seen, mean[keys], variance)
        calibrated = self._combined.judge(surprise, residual, keys, at_us)
        return Verdict(seen.astype(np.float64), mean[keys], calibrated, ready=True)

    def _learn(self, sample: Floats, forecast: Forecast | None, at_us: int) -> None:
        """Learn a window; counts far above the baseline are clipped, so that a surge does not become usual."""
        hops = self._past.hops_since(at_us, self._pace.hop_us) if self._pace.silence_is_zero else 1
        factors, excess, squares = np.ones_like(sample), np.zeros_like(sample), np.zeros_like(sample)
        if forecast is not None:
            end_us = at_us - self._pace.length_us
            factors = self._season.factors(end_us, forecast.level)
            mean = forecast.level * factors
            rise = _common_rise(sample, mean)
            deviation = np.sqrt(mean + forecast.dispersion * mean * mean)
            sample = np.minimum(sample, rise * (mean + CLIP_DEVIATIONS * deviation) + 1.0)
            excess, squares = _dispersion(sample, rise * mean)
            self._season.learn(sample, forecast.level, end_us, hops)
        self._past.learn(np.stack([sample / factors, excess, squares]), at_us, hops)

    def _expect(self) -> Forecast:
        mean, excess, squares = self._past.means()
        windows = self._pace.independent(self._past.weight)
        level = (windows * mean + PRIOR_WINDOWS * mean.mean()) / (windows + PRIOR_WINDOWS)
        total = squares.sum()
        pooled = excess.sum() / total if total > 0 else PRIOR_DISPERSION
        known = windows + PRIOR_DISPERSION_WINDOWS
        common = max((windows * pooled + PRIOR_DISPERSION_WINDOWS * PRIOR_DISPERSION) / known, LEAST_DISPERSION)
        own = (windows * excess + PRIOR_DISPERSION_WINDOWS * common) / (windows * squares + PRIOR_DISPERSION_WINDOWS)
        return Forecast(level, np.maximum(own, LEAST_DISPERSION), windows)


def _dispersion(sample: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Return what a window says of the dispersion, as numerator and denominator; quiet windows say little."""
    scale = np.maximum(mean * mean, 1.0)
    return ((sample - mean) ** 2 - mean) / scale, mean * mean / scale


def _common_rise(counts: Ints | Floats, mean: Floats) -> Floats:
    """Return, for each key, how far all other keys together are above their baselines: at least 1."""
    others = counts.sum() - counts + CALM_POSTS
    expected = mean.sum() - mean + CALM_POSTS
    rise: Floats = np.clip(others / expected, 1.0, MOST_COMMON_RISE)
    return rise
