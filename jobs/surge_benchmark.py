"""How early and how rarely wrong surge detectors are, at equal numbers of false alarms, on streams with known surges.

Every contender gives each pane and key a score; an alarm opens where it reaches a threshold, and ends when it was
below for an hour. The threshold is the contender's own best: that at which it gives as many false alarms as it may.
So nobody wins by being set more or less sharply, only by telling surges from what is usual.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.surge_streams import PANE_MINUTES, PANES_A_DAY, WARM_UP_DAYS, Counts, Floats, Streams
from streamwatch.watch.detector import Observed
from streamwatch.watch.fdr import AlarmBudget
from streamwatch.watch.groups import SUMS
from streamwatch.watch.instants import DAY_US, span_us
from streamwatch.watch.monitors import parse_monitors
from streamwatch.watch.tracks import make_detector

WINDOW_PANES = 6
HELD_PANES = 60 // PANE_MINUTES
"""So long a score stays low before its alarm ends; and so long after a surge its alarm is no false one."""
THRESHOLDS = 60
LEAST_DEVIATION = 0.5
"""Posts; without it one post after a silent day would be infinitely far from its mean."""
HALVINGS = 6
"""So often the interval below the best threshold is halved: nobody loses because thresholds were tried too coarsely."""
MONDAY_US = 4 * DAY_US
"""5 January 1970: the streams' weeks begin on a Monday."""
MONITOR = f"""
[[monitor]]
name = "volume"
group_by = "entity"
window = "{WINDOW_PANES * PANE_MINUTES}m"
hop = "{PANE_MINUTES}m"
measure = "volume"
"""
COUNT = SUMS.index("count")

Scores = NDArray[np.float32]


class Row(NamedTuple):
    """A line of the table."""

    detector: str
    detected: float
    delay_panes: float
    false_a_key_day: float
    precision: float
    seconds: float


class Outcome(NamedTuple):
    """What a contender found: share of surges, median panes until then, false alarms a key-day, right alarms' share."""

    detected: float
    delay_panes: float
    false_a_key_day: float
    precision: float


def window_counts(counts: Counts) -> Counts:
    """Return the posts of the window that ends with each pane, `(panes, keys)`."""
    sums = np.cumsum(np.vstack([np.zeros((1, counts.shape[1]), np.int64), counts]), axis=0)
    start = np.maximum(np.arange(len(counts)) + 1 - WINDOW_PANES, 0)
    found: Counts = sums[1:] - sums[start]
    return found


def streamwatch(counts: Counts) -> Scores:
    """Score with the detector of a monitor of volume, as it comes."""
    detector = make_detector(parse_monitors(MONITOR, "benchmark").monitors[0])
    windows = window_counts(counts)
    keys = np.arange(counts.shape[1])
    scores = np.zeros(counts.shape, np.float32)
    for pane in range(len(counts)):
        earlier = _sums(windows[pane - WINDOW_PANES]) if pane >= 2 * WINDOW_PANES else None
        at_us = MONDAY_US + (pane + 1) * PANE_MINUTES * 60_000_000
        scores[pane] = detector.update(Observed(_sums(windows[pane]), earlier, keys), at_us).surprise
    return scores


def fixed(counts: Counts) -> Scores:
    """Score by the posts of the window: one threshold for all keys."""
    return window_counts(counts).astype(np.float32)


def windowed_gaussian(counts: Counts) -> Scores:
    """Score a pane by its distance from the mean of the last day, in deviations (NAB's windowed Gaussian)."""
    return _deviations(counts.astype(float), PANES_A_DAY)


def z_score(counts: Counts) -> Scores:
    """Score a window's rate against the average of a week of such rates, as Prometheus rules are written."""
    return _deviations(window_counts(counts).astype(float), 7 * PANES_A_DAY)


def cusum(counts: Counts) -> Scores:
    """Score by a one-sided CUSUM of a pane's deviations from the last day's, allowance half a deviation (Page 1954)."""
    deviations = _deviations(counts.astype(float), PANES_A_DAY)
    found = np.zeros_like(deviations)
    for pane in range(1, len(found)):
        found[pane] = np.maximum(found[pane - 1] + deviations[pane] - 0.5, 0.0)
    return found


def river_gaussian(counts: Counts) -> Scores:
    """Score windows by `river.anomaly.GaussianScorer`.

    Without its `window_size`: with one, rounding makes its variance negative in time, and it fails (river 0.26.1).
    """
    from river.anomaly import GaussianScorer

    make: Any = GaussianScorer  # river has types for some of its parts only

    scores = _river(window_counts(counts), lambda: make(window_size=None, grace_period=PANES_A_DAY))
    # It gives one less a tail's probability: nearly all that counts is in the last digits.
    return np.asarray(-np.log10(np.maximum(1.0 - scores, 1e-17)), np.float32)


def river_deviation(counts: Counts) -> Scores:
    """Score windows by `river.anomaly.StandardAbsoluteDeviation` from the running mean."""
    from river.anomaly import StandardAbsoluteDeviation
    from river.stats import Mean

    scores = _river(window_counts(counts), lambda: StandardAbsoluteDeviation(sub_stat=Mean()))
    return scores.astype(np.float32)


CONTENDERS: dict[str, Callable[[Counts], Scores]] = {
    "streamwatch": streamwatch,
    "fixed threshold": fixed,
    "windowed Gaussian": windowed_gaussian,
    "Prometheus z-score": z_score,
    "CUSUM": cusum,
    "river GaussianScorer": river_gaussian,
    "river StandardAbsoluteDeviation": river_deviation,
}


def best_outcome(streams: Streams, scores: Scores, false_a_key_day: float) -> Outcome:
    """Return what a contender finds at its best threshold among those at which it gives no more false alarms.

    All are tried: far below the best one alarms grow together into few, so false alarms do not rise all the way.
    """
    quantiles = np.quantile(scores[WARM_UP_DAYS * PANES_A_DAY :], 1 - np.geomspace(1e-6, 0.05, THRESHOLDS))
    levels = sorted({float(level) for level in quantiles})
    found = [(outcome(streams, scores, level), level) for level in levels]
    allowed = [one for one in found if one[0].false_a_key_day <= false_a_key_day]
    if not allowed:
        return Outcome(0.0, float("nan"), 0.0, 0.0)
    best, high = max(allowed, key=lambda one: one[0].detected)
    low = max((level for level in levels if level < high), default=high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        between = outcome(streams, scores, middle)
        if between.false_a_key_day > false_a_key_day:
            low = middle
        else:
            best, high = max(best, between, key=lambda one: one.detected), middle
    return best


def outcome(streams: Streams, scores: Scores, threshold: float) -> Outcome:
    """Return what a contender finds at a threshold."""
    onsets = alarm_onsets(scores >= threshold)
    warm_up = WARM_UP_DAYS * PANES_A_DAY
    delays, claimed = [], set()
    for surge in streams.surges:
        inside = [onset for onset in onsets[surge.key] if surge.start <= onset < surge.end + HELD_PANES]
        claimed |= {(surge.key, onset) for onset in inside}
        if inside and inside[0] < surge.end:
            delays.append(inside[0] - surge.start)
    false = sum(onset >= warm_up and (key, onset) not in claimed for key, found in enumerate(onsets) for onset in found)
    key_days = scores.shape[1] * (len(scores) - warm_up) / PANES_A_DAY
    return Outcome(
        len(delays) / len(streams.surges),
        float(np.median(delays)) if delays else float("nan"),
        false / key_days,
        len(delays) / max(1, len(delays) + false),
    )


def alarm_onsets(above: NDArray[np.bool_]) -> list[list[int]]:
    """Return the panes at which each key's alarms open.

    >>> above = np.zeros((40, 1), bool)
    >>> above[[3, 4, 9, 30]] = True
    >>> alarm_onsets(above)
    [[3, 30]]
    """
    onsets: list[list[int]] = []
    for key in range(above.shape[1]):
        panes = np.flatnonzero(above[:, key])
        opens = np.diff(panes, prepend=-2 * HELD_PANES) > HELD_PANES
        onsets.append(panes[opens].tolist())
    return onsets


def _sums(counts: Counts) -> Counts:
    sums = np.zeros((len(SUMS), len(counts)), np.int64)
    sums[COUNT] = counts
    return sums


def _deviations(values: Floats, panes: int) -> Scores:
    """Return how many deviations values are above the mean of so many panes before them."""
    mean, square = _trailing_mean(values, panes), _trailing_mean(values * values, panes)
    spread = np.sqrt(np.maximum(square - mean * mean, 0.0)) + LEAST_DEVIATION
    return np.asarray((values - mean) / spread, np.float32)


def _trailing_mean(values: Floats, panes: int) -> Floats:
    """Return the mean of the `panes` rows before each row, of as many as there are; zeros before the first."""
    sums = np.cumsum(np.vstack([np.zeros((1, values.shape[1])), values]), axis=0)
    ends = np.arange(len(values))
    starts = np.maximum(ends - panes, 0)
    return np.asarray((sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)[:, None])


def _river(windows: Counts, make: Callable[[], Any]) -> Floats:
    scores = np.zeros(windows.shape)
    for key in range(windows.shape[1]):
        scorer = make()
        for pane, count in enumerate(windows[:, key].tolist()):
            scores[pane, key] = scorer.score_one(None, count)
            scorer.learn_one(None, count)
    return scores


def measure_surges(streams: Streams, false_a_key_day: float, say: Callable[[str], None]) -> list[Row]:
    """Return a row for each contender, ours as it comes first.

    Args:
        streams: What they are held against each other on.
        false_a_key_day: How many false alarms a contender may give, for each key and day.
        say: Told what is being done.
    """
    monitor = parse_monitors(MONITOR, "benchmark").monitors[0]
    default = AlarmBudget(monitor.false_alarms, span_us(monitor.window)).alone(streams.counts.shape[1])
    rows = []
    for name, contender in CONTENDERS.items():
        say(name)
        started = time.perf_counter()
        scores = contender(streams.counts)
        seconds = time.perf_counter() - started
        if contender is streamwatch:
            rows.append(_row(f"{name}, default threshold", outcome(streams, scores, default), seconds))
        rows.append(_row(name, best_outcome(streams, scores, false_a_key_day), seconds))
    return rows


def _row(name: str, found: Outcome, seconds: float) -> Row:
    return Row(name, *(round(value, 4) for value in (*found, seconds)))
