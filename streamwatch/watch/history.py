"""History: what the stored posts alone do not tell of how they were watched."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct, field

from streamwatch.config import WatchConfig
from streamwatch.errors import StoreError
from streamwatch.watch.monitors import Monitors
from streamwatch.watch.snapshot import read_state
from streamwatch.watch.watch import Watch

MOST_FLOORS = 10_000
"""So many floors are remembered; they are rare."""


class Floor(Struct, frozen=True):
    """From this source offset of a partition on, what was published before an instant came late.

    The rows do not show why: the source had promised that nothing older follows, or the partition was idle and the
    others went on without it.
    """

    partition: int
    offset: int
    at: datetime


class Floors(Struct):
    """The floors so far, and what is needed to find the next.

    Attributes:
        found: In the order in which they were found.
        latest: The largest event time of the rows of each partition.
        promised: What heartbeats promised of each partition.
    """

    found: list[Floor] = field(default_factory=list)
    latest: dict[int, datetime] = field(default_factory=dict)
    promised: dict[int, datetime] = field(default_factory=dict)

    def promise(self, partition: int, instant: datetime) -> None:
        """Note a heartbeat."""
        self.promised[partition] = max(instant, self.promised.get(partition, instant))

    def note(self, batch: pa.RecordBatch, stage: datetime | None, lateness: timedelta) -> bool:
        """Note a micro-batch before it is applied, and say whether that found a floor.

        Args:
            batch: Fresh rows of one source partition, at least one.
            stage: The watermark of the stage.
            lateness: The allowed lateness.
        """
        partition, offset = (batch.column(name)[0].as_py() for name in ("source_partition", "source_offset"))
        published = pc.min_max(batch.column("published_at")).as_py()
        latest = self.latest.get(partition)
        passed = max((at for at in (stage, self.promised.get(partition)) if at is not None), default=None)
        self.latest[partition] = max(published["max"], latest or published["max"])
        if passed is None or published["min"] >= passed:
            return False
        known = None if latest is None else latest - lateness
        told = next((floor.at for floor in reversed(self.found) if floor.partition == partition), None)
        if any(at is not None and at >= passed for at in (known, told)):
            return False
        self.found.append(Floor(partition, offset, passed))
        del self.found[:-MOST_FLOORS]
        return True


class StartingPoint(Struct, frozen=True):
    """The state of the watch at one point of its input: a replay goes on from there.

    Attributes:
        program: The version of streamwatch that wrote it.
        monitors_hash: Of the monitors file from here on.
        allowed_lateness_s: From here on.
        event_time: The largest event time seen; None: nothing was seen yet.
        applied: The last source offset applied of each partition.
        watch: The snapshot; empty when nothing was seen yet.
    """

    program: str
    monitors_hash: str
    allowed_lateness_s: float
    event_time: datetime | None
    applied: dict[int, int]
    watch: bytes

    @property
    def partitions(self) -> frozenset[int]:
        """The source partitions that were known."""
        known = read_state(self.watch).watermarks if self.watch else {}
        return frozenset(known) | frozenset(self.applied)

    def resume(self, monitors: Monitors) -> Watch:
        """Return the watch as it stood here.

        Raises:
            StoreError: The snapshot is of another version.
        """
        config = WatchConfig(allowed_lateness_s=self.allowed_lateness_s)
        return Watch.restore(self.watch, monitors, config) if self.watch else Watch(monitors, config)


def write_monitors(monitors: Monitors) -> bytes:
    """Return a monitors file as JSON that `read_monitors` reads."""
    return msgspec.json.format(msgspec.json.encode(monitors), indent=2)


def read_monitors(data: bytes, monitors_hash: str) -> Monitors:
    """Read a monitors file of the history.

    Raises:
        StoreError: It is not what had this hash: another version of streamwatch wrote it, or someone changed it.
    """
    try:
        monitors = msgspec.json.decode(data, type=Monitors)
    except msgspec.DecodeError as error:
        message = f"the monitors {monitors_hash} in the history cannot be read: {error}"
        raise StoreError(message) from error
    if monitors.hash != monitors_hash:
        message = (
            f"the monitors {monitors_hash} in the history have the hash {monitors.hash} now: they were changed, or "
            "written by another version of streamwatch, which can prove its own alerts"
        )
        raise StoreError(message)
    return monitors
