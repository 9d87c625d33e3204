"""The recorder: what WATCH writes down while it runs, so that its alerts can be proved later."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa

from streamwatch import __version__
from streamwatch.config import WatchConfig
from streamwatch.store.history import History
from streamwatch.watch.history import Floors, StartingPoint
from streamwatch.watch.monitors import Monitors
from streamwatch.watch.watch import Watch

POINT_EVERY = timedelta(days=1)
"""Event time between two starting points: what a proof replays at most before the alert itself."""


class Recorder:
    """Write the history of one run of the watch.

    A starting point is written when WATCH starts with other monitors than before, when it starts with nothing, and
    then once a day of event time, always just after a commit: what it says is what a restart would go on from.

    Args:
        history: Where to.
        monitors: In force in this run.
        config: The allowed lateness.
    """

    def __init__(self, history: History, monitors: Monitors, config: WatchConfig) -> None:
        self._history = history
        self._monitors = monitors
        self._lateness = timedelta(seconds=config.allowed_lateness_s)
        self._firsts: dict[int, int] | None = None
        self._last_point: datetime | None = None
        self._floors_due = True
        self.floors = Floors()
        history.keep_monitors(monitors)

    def begin(self) -> None:
        """Begin with a watch that knows nothing."""
        self._firsts = {}

    def go_on(self, floors: Floors, watch: Watch, applied: dict[int, int]) -> None:
        """Go on from a committed state; it is a starting point if something is not as it was before."""
        self.floors = floors
        points = self._history.points()
        now = (__version__, self._monitors.hash, self._lateness.total_seconds())
        last = self._history.read(points[-1]) if points else None
        if last is None or now != (last.program, last.monitors_hash, last.allowed_lateness_s):
            self._add(watch, applied)
        else:
            self._last_point = last.event_time

    def note(self, batch: pa.RecordBatch, watch: Watch) -> None:
        """Note fresh rows, before the watch applies them."""
        if self._firsts is not None:
            partition, offset = (batch.column(name)[0].as_py() for name in ("source_partition", "source_offset"))
            self._firsts.setdefault(partition, offset)
        found = self.floors.note(batch, watch.watermark, self._lateness)
        self._floors_due = self._floors_due or found

    def committed(self, watch: Watch, applied: dict[int, int]) -> None:
        """Write down what is due, just after a commit of this state."""
        if self._firsts is not None:
            before = {partition: offset - 1 for partition, offset in self._firsts.items()}
            self._history.add(self._point(None, before, b""))
            self._firsts = None
        if self._floors_due:
            self._history.keep_floors(self.floors.found)
            self._floors_due = False
        at, last = watch.event_time, self._last_point
        if at is not None and (last is None or at - last >= POINT_EVERY):
            self._add(watch, applied)

    def _add(self, watch: Watch, applied: dict[int, int]) -> None:
        self._history.add(self._point(watch.event_time, dict(applied), watch.snapshot()))
        self._last_point = watch.event_time

    def _point(self, event_time: datetime | None, applied: dict[int, int], watch: bytes) -> StartingPoint:
        return StartingPoint(
            program=__version__,
            monitors_hash=self._monitors.hash,
            allowed_lateness_s=self._lateness.total_seconds(),
            event_time=event_time,
            applied=applied,
            watch=watch,
        )
