"""The watch: scored rows in, closed windows and alerts out.

A post's way: `Watch.apply` finds its pane and groups (groups.py), adds it to partial sums (panes.py) and perhaps to a
sample (samples.py); `Watch.close` closes what the watermark passed (watermark.py): every monitor (tracks.py) lets its
window hop (windows.py), a detector judges it (counts.py, shares.py), and an alert lives from it (alerts.py), explained
by the sampled posts (evidence.py) and joined with those it belongs to (incidents.py).

Everything here is pure: no I/O, no clock. The output depends on the rows of each source partition and their order
there, not on how they were cut into micro-batches, nor on how partitions interleave (as long as no partition that
was called idle brings more).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from streamwatch.config import WatchConfig
from streamwatch.records import Alert, Window
from streamwatch.watch.alerts import OpenAlert, abandon
from streamwatch.watch.grouping import Grouping, GroupingKey
from streamwatch.watch.groups import read_entities, read_posts
from streamwatch.watch.incidents import Incidents
from streamwatch.watch.instants import NEVER, from_us, to_us
from streamwatch.watch.monitors import Monitors
from streamwatch.watch.snapshot import (
    VERSION,
    TrackState,
    WatchState,
    grouping_state,
    kept_monitors,
    read_state,
    restore_grouping,
    write_state,
)
from streamwatch.watch.tracks import Step, Track
from streamwatch.watch.watermark import Watermarks


class Closed(NamedTuple):
    """What closed: windows by end, monitor and group; alerts by time, monitor and group."""

    windows: list[Window]
    alerts: list[Alert]


class Watch:
    """All monitors over all source partitions.

    Args:
        monitors: What to watch.
        config: The allowed lateness.
    """

    def __init__(self, monitors: Monitors, config: WatchConfig) -> None:
        self._marks = Watermarks(round(config.allowed_lateness_s * 1e6))
        self._abandoned: list[Alert] = []
        self.late_posts = 0
        """Rows that came after the watermark had passed a pane they belong to. They are not in its windows."""
        self._groupings = _groupings(monitors, {})
        self._incidents = Incidents()

    def assign(self, partitions: Collection[int]) -> None:
        """Say which source partitions there are: those that gave nothing yet hold windows open until idle."""
        self._marks.assign(partitions)

    def apply(self, batch: pa.RecordBatch) -> None:
        """Add fresh rows of one source partition.

        A row is late for a pane if the pane's end is at or before the watermark of its partition just before the
        row, or at or before the stage's. Late rows are counted in `late_posts` and left out.

        Args:
            batch: Columns of `codec.SCORED_SCHEMA`, in the order of their source offsets.
        """
        if batch.num_rows == 0:
            return
        posts = read_posts(batch)
        partition = batch.column("source_partition")[0].as_py()
        passed = self._marks.before_rows(partition, posts.at_us)
        if self._marks.stage is not None:
            passed = np.maximum(passed, self._marks.stage)
        entities = read_entities(batch)
        late = np.zeros(batch.num_rows, bool)
        for grouping in self._groupings:
            hop = grouping.key.hop_us
            on_time = (posts.at_us // hop + 1) * hop > passed
            late |= ~on_time
            if on_time.any():
                grouping.apply(posts, entities, on_time, batch)
        self.late_posts += int(late.sum())

    def heartbeat(self, partition: int, instant: datetime) -> None:
        """Note that no row before this instant follows in a source partition."""
        self._marks.heartbeat(partition, to_us(instant))

    def close(self, idle: Collection[int] = (), idle_time: datetime | None = None) -> Closed:
        """Move the watermark on and close every window that it passed.

        Args:
            idle: Partitions that hold nothing back.
            idle_time: When all are idle, the event time up to which they brought all they had.
        """
        watermark_us = self._marks.advance(idle, None if idle_time is None else to_us(idle_time))
        if watermark_us is None:
            return Closed([], [])
        steps = [step for grouping in self._groupings for step in grouping.close(watermark_us)]
        steps.sort(key=_order)
        abandoned = [abandon(alert, watermark_us) for alert in self._abandoned]
        self._abandoned = []
        alerts = self._incidents.relate([alert for step in steps for alert in step.alerts])
        for entry in self._open_alerts():
            if entry.told:
                entry.told = self._incidents.firing[entry.told.fingerprint]
        return Closed([window for step in steps for window in step.windows], [*abandoned, *alerts])

    def snapshot(self) -> bytes:
        """Return the whole state: `restore` goes on from it as if there had been no break."""
        state = WatchState(
            version=VERSION,
            watermarks=self._marks.by_partition,
            watermark=self._marks.stage,
            late_posts=self.late_posts,
            groupings=[grouping_state(grouping) for grouping in self._groupings],
            abandoned=self._abandoned,
        )
        return write_state(state)

    @classmethod
    def restore(cls, data: bytes, monitors: Monitors, config: WatchConfig) -> Watch:
        """Go on from a snapshot.

        A monitor that is defined as in the snapshot keeps its state. One that is new or changed starts with the
        first window that begins after every row seen so far, for it missed some of those before; the open
        alerts of monitors that are gone or changed are resolved at the next `close`.

        Raises:
            StoreError: The bytes are no snapshot, or one of another version.
        """
        state = read_state(data)
        watch = cls(monitors, config)
        watch._resume(state, monitors)
        return watch

    def _resume(self, state: WatchState, monitors: Monitors) -> None:
        self._marks.by_partition = dict(state.watermarks)
        self._marks.stage = state.watermark
        self.late_posts = state.late_posts
        kept = kept_monitors(state.groupings)
        self._groupings = _groupings(monitors, _starts(monitors, kept, self._marks.furthest()))
        by_key = {GroupingKey(tuple(found.group_by), found.hop_us): found for found in state.groupings}
        for grouping in self._groupings:
            if grouping.key in by_key:
                restore_grouping(grouping, by_key[grouping.key])
        now = {(GroupingKey.of(monitor), monitor.name, monitor.hash) for monitor in monitors.monitors}
        orphans = [track for key, track in kept.items() if key not in now]
        self._incidents = Incidents(self.firing)
        told = [entry.told for track in orphans for _, entry in sorted(track.alerts.items()) if entry.told]
        self._abandoned = [*state.abandoned, *told]

    @property
    def watermark(self) -> datetime | None:
        """The stage's watermark: windows that end at or before it are closed."""
        return None if self._marks.stage is None else from_us(self._marks.stage)

    @property
    def event_time(self) -> datetime | None:
        """The largest event time seen or promised, in any partition."""
        furthest = self._marks.furthest()
        return None if furthest < 0 else from_us(furthest)

    @property
    def open_groups(self) -> int:
        """How many groups are known, over all groupings."""
        return sum(len(grouping.keys) for grouping in self._groupings)

    @property
    def firing(self) -> list[Alert]:
        """The alerts that are firing, as they were last told, by fingerprint: what to post again after a restart."""
        told = (entry.told for entry in self._open_alerts())
        return sorted((alert for alert in told if alert is not None), key=lambda alert: alert.fingerprint)

    def _open_alerts(self) -> Iterator[OpenAlert]:
        books = (track.book for grouping in self._groupings for track in grouping.tracks)
        return (entry for book in books for entry in book.open.values())

    @property
    def pane_rows(self) -> int:
        """How many partial sums are held, open and closed."""
        closed = (pane for grouping in self._groupings for pane in grouping.closed.panes)
        return sum(len(pane.keys) for pane in closed) + sum(grouping.open.rows for grouping in self._groupings)


def _groupings(monitors: Monitors, since_us: dict[str, int]) -> list[Grouping]:
    """Return the groupings of all monitors; `since_us` says from when those that join later count."""
    members: dict[GroupingKey, list[Track]] = {}
    for monitor in monitors.monitors:
        track = Track(monitor, since_us.get(monitor.name, NEVER), monitors.mutes)
        members.setdefault(GroupingKey.of(monitor), []).append(track)
    return [Grouping(key, tracks, monitors.hash) for key, tracks in members.items()]


def _starts(
    monitors: Monitors, kept: dict[tuple[GroupingKey, str, str], TrackState], furthest_us: int
) -> dict[str, int]:
    """Return from when each monitor counts: as before, or from the first pane after every row seen so far."""
    starts = {}
    for monitor in monitors.monitors:
        key = GroupingKey.of(monitor)
        found = kept.get((key, monitor.name, monitor.hash))
        fresh = furthest_us // key.hop_us * key.hop_us + key.hop_us if furthest_us > NEVER // 2 else NEVER
        starts[monitor.name] = fresh if found is None else found.since_us
    return starts


def _order(step: Step) -> tuple[int, str]:
    return step.end_us, step.monitor
