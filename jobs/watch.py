"""WATCH: from `scored` to `windows`, `alerts` and Alertmanager.

The pure core (`streamwatch.watch`) holds panes, watermarks, baselines and open alerts. A checkpoint is five steps:

1. what was sent is acknowledged by the broker,
2. the core's whole state and the positions that it stands for are written as one snapshot,
3. the positions are committed with the snapshot's name beside them,
4. only now is what a proof needs of it written down (`streamwatch.store.recorder`) and an older snapshot deleted,
   and not the last ones,
5. and the next checkpoint is planned.

A restart loads the snapshot that the commit names and reads on from its positions. What it sends a second time has the
same keys and contents. Two of these stages at once, one of them cut off and unaware of it, do no harm either: whichever
commit comes last names a snapshot that is whole.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition

from jobs.stage import Stage
from streamwatch.codec import DeadLetter, decode_scored, read_heartbeat
from streamwatch.config import Config
from streamwatch.errors import BadRecord, BrokerError, StreamMismatch
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.deadletters import dead_letter_message
from streamwatch.ingest.progress import Progress
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.metrics import WatchMetrics
from streamwatch.offsets import AppliedOffsets
from streamwatch.records import Alert
from streamwatch.store.checkpoints import Checkpoints
from streamwatch.store.history import History
from streamwatch.store.recorder import Recorder
from streamwatch.streams import group_name, stream_name
from streamwatch.watch.alertmanager import Alertmanager
from streamwatch.watch.history import Floors
from streamwatch.watch.monitors import Monitors
from streamwatch.watch.sources import Sources, live_posts
from streamwatch.watch.watch import Closed, Watch

log = logging.getLogger(__name__)

POLL_S = 0.2
MESSAGES_PER_POLL = 64
SNAPSHOTS_KEPT = 3
SOURCES_EVERY_S = 5.0


class Snapshot(msgspec.Struct, frozen=True):
    """The state of the stage at one point of `scored`."""

    positions: dict[int, int]
    applied: dict[int, int]
    watch: bytes
    floors: Floors = msgspec.field(default_factory=Floors)
    sources: Sources = msgspec.field(default_factory=Sources)


class WatchStage(Stage[WatchMetrics]):
    """The one reader of `scored` that closes windows and raises alerts.

    Args:
        config: Lateness, idleness, how often to write a checkpoint, where Alertmanager is.
        connection: How to reach Kafka.
        monitors: What to watch.
    """

    def __init__(self, config: Config, connection: Connection, *, monitors: Monitors) -> None:
        super().__init__(WatchMetrics())
        self._config = config
        self._connection = connection
        self._monitors = monitors
        self._live_within = timedelta(seconds=config.watchdog.live_within_s)
        self._checkpoints = Checkpoints(config.store_url())
        self._kept: list[str] = []
        self._figures: dict[str, Any] = {}
        self._sources = Sources()
        self._arrived: Counter[str] = Counter()
        self._silent: dict[str, tuple[int, int]] = {}

    def open(self) -> None:
        """Load the snapshot that the last commit names, and go to its positions."""
        prefix = self._config.kafka.prefix
        self._streams = {kind: stream_name(kind, prefix) for kind in ("posts", "scored", "windows", "alerts")}
        self._snapshot_prefix = f"watch-{prefix}-"
        self._dead_letters = stream_name("dead-letters", prefix)
        self._sink = Sink(self._connection)
        self._reader = StreamReader(self._connection, [self._streams["scored"]], group_name("watch", prefix))
        self._alertmanager = Alertmanager(self._config.alertmanager)
        self._recorder = Recorder(History(self._config.store_url(), prefix), self._monitors, self._config.watch)
        self._restore()
        now = time.monotonic()
        self._last_arrival = dict.fromkeys(range(len(self._reader.partitions)), now)
        self._idle: frozenset[int] = frozenset()
        self._next_checkpoint = now + self._config.watch.checkpoint_every_s
        self._next_idle_check = now + self._config.watch.idle_after_s
        self._next_sources = now + SOURCES_EVERY_S
        self._dirty = False

    def step(self) -> None:
        """Apply what arrived, close what the watermark passed, and write a checkpoint when it is due."""
        polled = self._reader.poll(POLL_S, MESSAGES_PER_POLL)
        appended_at = max((self._apply(taken, messages) for taken, messages in polled.items()), default=None)
        self._look_for_idle()
        self._look_for_silence()
        self._close(appended_at)
        if self._dirty and time.monotonic() >= self._next_checkpoint:
            self._checkpoint()

    def drain(self) -> None:
        """Write a last checkpoint."""
        if self._dirty:
            self._checkpoint()

    def close(self) -> None:
        """Leave Kafka and Alertmanager."""
        self._alertmanager.close()
        self._reader.close()
        self._sink.close()

    def figures(self) -> dict[str, Any]:
        """Return what `streamwatch status` shows of the stage."""
        return self._figures

    def _restore(self) -> None:
        """Take up the committed state, and wait for every partition that there is."""
        self._load_snapshot()
        self._watch.assign(range(len(self._reader.partitions)))

    def _load_snapshot(self) -> None:
        committed = self._reader.committed()
        name = next((place.metadata for place in committed.values() if place.metadata), "")
        data = self._checkpoints.read(name) if name else None
        self._prune(name)
        if data is None:
            if name:
                log.error("the snapshot is gone, counting again from the beginning", extra={"snapshot": name})
            self._applied = AppliedOffsets()
            self._watch = Watch(self._monitors, self._config.watch)
            self._recorder.begin()
            self._reader.seek({})
            return
        snapshot = msgspec.msgpack.decode(data, type=Snapshot)
        self._kept = [name]
        self._applied = AppliedOffsets(snapshot.applied)
        self._watch = Watch.restore(snapshot.watch, self._monitors, self._config.watch)
        positions = {TopicPartition(self._streams["scored"], key): at for key, at in snapshot.positions.items()}
        _refuse_shorter_stream(positions, self._reader.end_offsets())
        self._reader.seek(positions)
        self._sources = snapshot.sources
        self._recorder.go_on(snapshot.floors, self._watch, snapshot.applied)
        for alert in self._watch.firing:
            self._alertmanager.put(alert)

    def _prune(self, keep: str) -> None:
        """Delete the snapshots that crashes left behind; other monitors may have theirs in the same store."""
        for name in self._checkpoints.names():
            if re.fullmatch(rf"{re.escape(self._snapshot_prefix)}[0-9a-f]{{32}}", name) and name != keep:
                self._checkpoints.delete(name)

    def _apply(self, taken: TopicPartition, messages: Sequence[ConsumerRecord]) -> datetime:
        """Apply the messages of one partition; return when the newest post in them was appended."""
        newest = datetime.fromtimestamp(0, UTC)
        self._last_arrival[taken.partition] = time.monotonic()
        self._idle -= {taken.partition}
        self._dirty = True
        for message in messages:
            if message.value is None and (instant := read_heartbeat(message.headers)):
                self._recorder.floors.promise(taken.partition, instant)
                self._watch.heartbeat(taken.partition, instant)
                continue
            try:
                batch = self._applied.fresh(decode_scored(message.value))
            except BadRecord as error:
                self._set_aside(taken, message, str(error))
                continue
            if batch.num_rows:
                self._recorder.note(batch, self._watch)
                self._watch.apply(batch)
                self._arrived.update(live_posts(batch, datetime.now(UTC) - self._live_within))
                self.metrics.rows.inc(batch.num_rows)
                newest = max(newest, batch.column("appended_at")[-1].as_py())
        return newest

    def _set_aside(self, taken: TopicPartition, message: ConsumerRecord, reason: str) -> None:
        letter = DeadLetter(taken.topic, taken.partition, message.offset, reason, message.value or b"")
        value, headers = dead_letter_message(letter, "WATCH")
        self._sink.send(self._dead_letters, value, headers=headers)
        self.metrics.dead_letters.inc()
        log.warning("dead letter", extra={"kafka": letter.place(), "reason": reason})

    def _look_for_idle(self) -> None:
        """Find the partitions from which nothing more can come for now.

        Silence alone does not make a partition idle: SCORE may be down, or behind. It is idle when SCORE has scored
        everything in it, and this stage has read all of that.
        """
        now = time.monotonic()
        if now < self._next_idle_check:
            return
        self._next_idle_check = now + max(1.0, self._config.watch.idle_after_s / 4)
        quiet = {p for p, at in self._last_arrival.items() if now - at >= self._config.watch.idle_after_s}
        self._idle = frozenset(quiet & self._caught_up()) if quiet else frozenset()

    def _look_for_silence(self) -> None:
        """Learn what the sources bring, and find the silent ones: the watchdog beside the stages tells of them."""
        if time.monotonic() < self._next_sources:
            return
        self._next_sources = time.monotonic() + SOURCES_EVERY_S
        now, least_s = datetime.now(UTC), self._config.watchdog.silence_after_s
        self._sources.note(self._arrived, now, least_s)
        self._arrived.clear()
        silent = self._sources.silent(now, least_s)
        self._silent = {silence.source: (round(silence.seconds), round(silence.missed)) for silence in silent}

    def _caught_up(self) -> set[int]:
        """Return the partitions of which nothing is on its way: scored to the end first, then read to the end."""
        try:
            with Progress(self._connection) as progress:
                scored = progress.finished("score", "posts")
            positions = self._reader.positions()
            ends = self._reader.end_offsets()
        except BrokerError as error:
            log.warning("whether partitions are idle cannot be told now", extra={"error": str(error)})
            return set()
        return scored & {place.partition for place, end in ends.items() if positions.get(place, 0) >= end}

    def _close(self, appended_at: datetime | None) -> None:
        started = time.monotonic()
        closed = self._watch.close(self._idle, self._idle_time(started))
        self._send(closed)
        if closed.windows:
            self.metrics.closing.observe(time.monotonic() - started)
        if closed.alerts and appended_at:
            self.metrics.latency.observe(max(0.0, time.time() - appended_at.timestamp()))
        self._measure()

    def _measure(self) -> None:
        watermark, firing = self._watch.watermark, len(self._watch.firing)
        if watermark:
            self.metrics.watermark.set(watermark.timestamp())
        self.metrics.late.set(self._watch.late_posts)
        self.metrics.open_alerts.set(firing)
        self.metrics.pane_rows.set(self._watch.pane_rows)
        self._figures = {
            "watermark": watermark.isoformat() if watermark else None,
            "late_posts": self._watch.late_posts,
            "open_alerts": firing,
            "silent_sources": self._silent,
        }

    def _idle_time(self, now: float) -> datetime | None:
        """Return the event time when all is idle: the latest seen, and the time on the clock since it came."""
        latest = self._watch.event_time
        if latest is None:
            return None
        return latest + timedelta(seconds=now - max(self._last_arrival.values()))

    def _send(self, closed: Closed) -> None:
        for window in closed.windows:
            self._sink.send(self._streams["windows"], msgspec.json.encode(window), key=window.group.encode())
        for alert in closed.alerts:
            self._sink.send(self._streams["alerts"], msgspec.json.encode(alert), key=alert.fingerprint.encode())
            self._alertmanager.put(alert)
            self.metrics.alerts.labels(status=alert.status).inc()
            _log_alert(alert)
        self.metrics.windows.inc(len(closed.windows))
        self._dirty = self._dirty or bool(closed.windows or closed.alerts)

    def _checkpoint(self) -> None:
        started = time.monotonic()
        self._sink.flush()
        positions = self._reader.positions()
        name = f"{self._snapshot_prefix}{uuid4().hex}"
        by_partition = {place.partition: offset for place, offset in positions.items()}
        snapshot = Snapshot(
            by_partition, self._applied.last, self._watch.snapshot(), self._recorder.floors, self._sources
        )
        self._checkpoints.write(name, msgspec.msgpack.encode(snapshot))
        self._reader.commit(positions, name)
        self._recorder.committed(self._watch, self._applied.last)
        self._kept.append(name)
        while len(self._kept) > SNAPSHOTS_KEPT:
            self._checkpoints.delete(self._kept.pop(0))
        self._dirty = False
        self._next_checkpoint = time.monotonic() + self._config.watch.checkpoint_every_s
        self.metrics.checkpoint.observe(time.monotonic() - started)


def _refuse_shorter_stream(positions: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> None:
    for place, position in positions.items():
        if position > ends.get(place, 0):
            message = (
                f"{place.topic}[{place.partition}] ends at {ends.get(place, 0)}, and was already read to {position}: "
                "the stream was deleted and made again; start with a new store.url (and kafka.prefix)"
            )
            raise StreamMismatch(message)


def _log_alert(alert: Alert) -> None:
    log.warning(
        "alert",
        extra={
            "status": alert.status,
            "severity": alert.severity,
            "monitor": alert.monitor,
            "group": alert.group,
            "fingerprint": alert.fingerprint,
            "corroboration": alert.corroboration,
            "muted_by": alert.muted_by,
            "onset": alert.onset.isoformat(),
            "seen": alert.seen,
            "expected": alert.expected,
        },
    )
