"""The rhythm of a key: how the hours of the day, and weekends, differ from its level."""

from __future__ import annotations

import numpy as np

from streamwatch.watch.baseline import Floats, Memory
from streamwatch.watch.detector import Pace
from streamwatch.watch.instants import HOUR_US

HOURS = 24
WEEKEND_DAYS = 2
MONDAY_DAYS = 3
"""1970 began three days after a Monday."""
BINS = HOURS + 2
"""The hours, then Monday to Friday, then Saturday and Sunday; all in UTC."""
FLAT_DAYS, FLAT_WEEKS = 7.0, 3.0
"""The monitor's rhythm is flat until so many days of keys, or weeks for the kinds of day, weigh against it."""
COMMON_DAYS, COMMON_WEEKS = 0.5, 0.5
COMMON_POSTS, COMMON_KIND_POSTS = 4.0, 20.0
"""A key has the monitor's rhythm until so many days, or weeks, and so many posts weigh against it, counted in that hour
or kind of day."""
LEAST_LEVEL = 1e-3
HALF_LIVES = 4.0
"""The rhythm changes more slowly than the level: its half-life, in those of the baseline."""


class Season(Memory):
    """Multiplicative factors of hour and of weekday or weekend, learned online (Winters 1960, multiplicative).

    24 hours and 2 kinds of day take 26 numbers a key, against 168 for the hours of a week, and are known after
    days instead of weeks. Each factor is a decayed mean of count by level, shrunk to that of all keys together,
    which is shrunk to 1; a key that is alone is all of them. Between the middles of two hours the factor runs
    straight from one to the other.

    >>> day = Season(Pace(HOUR_US, 1, 24.0 * 7))
    >>> day.grow(1)
    >>> for hour in range(24 * 10):
    ...     day.learn(np.array([20.0 if hour % 24 < 12 else 5.0]), np.array([10.0]), (hour + 1) * HOUR_US, hops=1)
    >>> [round(float(day.factors((24 * 11 + hour) * HOUR_US)[0]), 1) for hour in (6, 18)]
    [1.6, 0.7]
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__(BINS, 3 * BINS + 1, np.float32)  # the last total is how many keys taught it
        self._pace = pace
        self._keep = 0.5 ** (1.0 / (HALF_LIVES * pace.half_life_hops))
        hour_hops = HOUR_US / pace.hop_us
        places = np.array([1.0] * HOURS + [HOURS * (7.0 - WEEKEND_DAYS), HOURS * float(WEEKEND_DAYS)])
        self._flat = hour_hops * places * np.array([FLAT_DAYS] * HOURS + [FLAT_WEEKS] * 2)
        self._usual = hour_hops * places * np.array([COMMON_DAYS] * HOURS + [COMMON_WEEKS] * 2)
        self._usual_posts = pace.panes * np.array([COMMON_POSTS] * HOURS + [COMMON_KIND_POSTS] * 2)

    def grow(self, keys: int) -> None:
        """Make room for keys, which have the rhythm of all until they show their own."""
        known = self.sums.shape[1]
        super().grow(keys)
        if keys > known:
            common = np.array([self._common(place) for place in range(BINS)])
            self.sums[:, known:] = (self.totals[:BINS] * common)[:, None]

    def factors(self, end_us: int, level: Floats | None = None) -> Floats:
        """Return by what every key's level is to be multiplied for the window that ends at an instant.

        Args:
            end_us: End of the window; its middle counts.
            level: Posts expected in a window at the level; known well if None.
        """
        middle_us = end_us - self._pace.length_us // 2
        place = middle_us / HOUR_US - 0.5
        hour = int(np.floor(place))
        later = np.float32(place - hour)
        between = self._ratio(hour % HOURS, level) * (1 - later) + self._ratio((hour + 1) % HOURS, level) * later
        factors: Floats = (between * self._ratio(_kind_of_day(middle_us), level)).astype(np.float64)
        return factors

    def learn(self, sample: Floats, level: Floats, at_us: int, hops: int) -> None:
        """Add the counts of the window that ends at an instant.

        Args:
            sample: Counts, shape `(keys,)`.
            level: What they would be without a rhythm.
            at_us: End of the window.
            hops: How many hops after the last one that was learned.
        """
        middle_us = at_us - self._pace.length_us // 2
        hour, day = middle_us // HOUR_US % HOURS, _kind_of_day(middle_us)
        level = np.maximum(level, LEAST_LEVEL)
        whole, usual = float(sample.sum()), float(level.sum())
        factors = {hour: self._ratio(day, level), day: self._ratio(hour, level)}
        self.sums *= np.float32(self._keep**hops)
        self.totals[:-1] *= self._keep**hops
        self.totals[-1] = max(self.totals[-1], len(sample))
        weight, seen, expected = self.totals[:-1].reshape(3, BINS)
        for place, other in factors.items():
            self.sums[place] += sample / (level * other)
            weight[place] += 1.0
            seen[place] += whole
            expected[place] += usual * float((level * other).sum()) / usual
        self.at_us = at_us

    def _ratio(self, place: int, level: Floats | None) -> Floats:
        if self.sums.shape[1] == 1:
            return np.array([self._common(place)])
        prior = self._usual[place]
        if level is not None:
            prior = prior + self._usual_posts[place] / np.maximum(level, LEAST_LEVEL)
        ratio: Floats = (self.sums[place] + prior * self._common(place)) / (self.totals[place] + prior)
        return ratio

    def _common(self, place: int) -> float:
        weight, seen, expected = self.totals[:-1].reshape(3, BINS)[:, place]
        flat = self._flat[place] / max(self.totals[-1], 1.0)
        return float((weight * (seen / expected if expected else 1.0) + flat) / (weight + flat))


def _kind_of_day(instant_us: int) -> int:
    weekday = (instant_us // (HOURS * HOUR_US) + MONDAY_DAYS) % 7
    return HOURS + int(weekday >= 7 - WEEKEND_DAYS)
