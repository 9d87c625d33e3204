"""A monitor at work: its window over the panes, its detector, its alerts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from streamwatch.records import Alert, Window
from streamwatch.watch.alerts import AlertBook, Reading, Support
from streamwatch.watch.counts import CountDetector
from streamwatch.watch.curves import Curves
from streamwatch.watch.detector import COUNT, NEGATIVE, Detector, Ints, Observed, Pace, Verdict
from streamwatch.watch.distinct import TALLIED, weigh
from streamwatch.watch.fdr import AlarmBudget
from streamwatch.watch.groups import PPM, SUMS
from streamwatch.watch.instants import NEVER, from_us, span_us
from streamwatch.watch.keys import Keys
from streamwatch.watch.monitors import Monitor
from streamwatch.watch.mutes import Mute
from streamwatch.watch.shares import NetSentimentDetector, ShareDetector
from streamwatch.watch.windows import ClosedPanes, Sliding

P_NEGATIVE = SUMS.index("p_negative")
TALLY = len(SUMS)
"""Where what is tallied stands, behind the sums."""


class Step(NamedTuple):
    """What one monitor makes of the windows that end at one instant, sorted by group."""

    end_us: int
    monitor: str
    windows: list[Window]
    alerts: list[Alert]


def make_detector(monitor: Monitor) -> Detector:
    """Return the detector of a monitor's measure, knowing nothing."""
    pace = Pace(span_us(monitor.hop), monitor.panes, monitor.half_life / monitor.hop)
    if monitor.measure == "negative_share":
        return ShareDetector(pace)
    if monitor.measure == "net_sentiment":
        return NetSentimentDetector(pace)
    if monitor.measure == "mean_negative":
        return ShareDetector(pace)
    columns = {"volume": COUNT, "negative_count": NEGATIVE}
    return CountDetector(columns.get(monitor.measure, TALLY), pace)


class Track:
    """One monitor over the panes of its grouping.

    Args:
        monitor: The monitor.
        since_us: Windows that start before are left out: what a monitor that joined later cannot know.
        mutes: Alerts that match one are recorded and not posted.
    """

    def __init__(self, monitor: Monitor, since_us: int = NEVER, mutes: tuple[Mute, ...] = ()) -> None:
        self.monitor = monitor
        self.since_us = since_us
        self.first_us: int | None = None
        self.length_us = span_us(monitor.window)
        self.window = Sliding(self.length_us, since_us)
        self.earlier = Sliding(self.length_us, since_us)
        self.detector = make_detector(monitor)
        self.curves = Curves(span_us(monitor.hop))
        self.budget = AlarmBudget(monitor.false_alarms, self.length_us)
        self.book = AlertBook(monitor, mutes)

    def step(self, end_us: int, keys: Keys, panes: ClosedPanes, support: Callable[[Collection[str]], Support]) -> Step:
        """Close the windows that end at an instant.

        Args:
            end_us: A multiple of the hop, after the last.
            keys: The groups.
            panes: The closed panes up to this instant.
            support: For the alerts of some groups.
        """
        self._see_first(end_us, panes)
        for sliding in (self.window, self.earlier):
            sliding.grow(len(keys))
        window = self.window.move(end_us, panes)
        earlier = self.earlier.move(end_us - self.length_us, panes)
        if end_us - self.length_us < self.since_us:
            return Step(end_us, self.monitor.name, [], [])
        known = self.first_us is not None and end_us - 2 * self.length_us >= self.first_us
        active = np.flatnonzero(window[COUNT])
        active = active[keys.by_name(active)]
        verdict = self._judge(end_us, window, earlier if known else None, active, panes)
        self.curves.add(end_us, active, verdict.measure, verdict.expected)
        level = self._level(verdict, window[:, active], len(keys))
        readings = self._readings(verdict, window, keys, active, level)
        concerned = {*readings, *self.book.open}
        alerts = self.book.step(end_us, readings, level, support(concerned)) if concerned else []
        return Step(end_us, self.monitor.name, self._windows(end_us, verdict, window, active, keys), alerts)

    def _judge(self, end_us: int, window: Ints, earlier: Ints | None, active: Ints, panes: ClosedPanes) -> Verdict:
        """Judge the window by what the monitor measures."""
        measure = self.monitor.measure
        seen = self._measured(end_us, window, panes)
        learned = None if earlier is None else self._measured(end_us - self.length_us, earlier, panes)
        verdict = self.detector.update(Observed(seen, learned, active), end_us)
        if measure == "mean_negative":
            verdict = verdict._replace(measure=window[P_NEGATIVE, active] / (PPM * window[COUNT, active]))
        return verdict

    def _measured(self, end_us: int, sums: Ints, panes: ClosedPanes) -> Ints:
        """Return the sums of a window as the detector is to see them.

        A mean probability is judged as the share of negative posts to be expected from it.
        """
        measure = self.monitor.measure
        if measure == "mean_negative":
            sums = sums.copy()
            sums[NEGATIVE] = (sums[P_NEGATIVE] + PPM // 2) // PPM
        if measure in TALLIED:
            held = panes.between(max(end_us - self.length_us, self.since_us), end_us)
            tally = weigh([pane.tallies[measure] for pane in held if measure in pane.tallies], measure, sums.shape[1])
            sums = np.concatenate([sums, tally[None]])
        return sums

    def keep(self, keys: Ints, known: int) -> None:
        """Forget all keys but these.

        Args:
            keys: The numbers that stay.
            known: How many keys there were.
        """
        for sliding in (self.window, self.earlier):
            sliding.grow(known)
            sliding.keep(keys)
        for past in self.detector.pasts:
            past.grow(known)
            past.keep(keys)
        self.curves.keep(keys, known)

    def _see_first(self, end_us: int, panes: ClosedPanes) -> None:
        if self.first_us is None:
            seen = panes.between(self.since_us, end_us)
            self.first_us = seen[0].start_us if seen else None

    def _level(self, verdict: Verdict, window: Ints, keys: int) -> float:
        """Return the surprise from which on alerts may open now; windows of too few posts open none."""
        enough = window[SUMS.index(self.monitor.counted)] >= self.monitor.min_count
        return self.budget.level(verdict.surprise[enough], keys)

    def _readings(self, verdict: Verdict, window: Ints, keys: Keys, active: Ints, level: float) -> dict[str, Reading]:
        """Return the readings of the groups whose alert is open or may open."""
        wanted = verdict.surprise >= level
        for group in self.book.open:
            wanted |= active == keys.find(group)
        readings = {}
        for index in np.flatnonzero(wanted).tolist():
            key = int(active[index])
            reading = Reading(
                seen=float(verdict.measure[index]),
                expected=float(verdict.expected[index]),
                surprise=float(verdict.surprise[index]),
                count=int(window[COUNT, key]),
                negative=int(window[NEGATIVE, key]),
            )
            if keys.names[key] in self.book.open or self.book.is_surprising(reading, level):
                readings[keys.names[key]] = reading
        return readings

    def _windows(self, end_us: int, verdict: Verdict, window: Ints, active: Ints, keys: Keys) -> list[Window]:
        start, end, name = from_us(end_us - self.length_us), from_us(end_us), self.monitor.name
        expected = verdict.expected.tolist() if verdict.ready else [None] * len(active)
        columns = zip(
            active.tolist(),
            window[COUNT, active].tolist(),
            window[NEGATIVE, active].tolist(),
            verdict.measure.tolist(),
            expected,
            verdict.surprise.tolist(),
            strict=True,
        )
        return [
            Window(
                monitor=name,
                group=keys.names[key],
                window_start=start,
                window_end=end,
                count=count,
                negative=negative,
                measure=measure,
                expected=usual,
                surprise=surprise,
            )
            for key, count, negative, measure, usual, surprise in columns
        ]
