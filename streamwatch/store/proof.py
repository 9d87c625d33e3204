"""Proof: an alert is computed again from the stored posts, and compared with what was told.

Every telling of an alert names the monitors by their hash and the last source offset of each partition that counted.
The replay begins at the newest starting point (`streamwatch.store.recorder`) at which nothing of the alert's first
window was seen yet, so it costs a day of posts and the life of the alert, however long the history is. What lies
before the starting point is in its baselines; a replay from the very beginning proves these too.
"""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

import polars as pl
from msgspec import Struct

from streamwatch import __version__
from streamwatch.config import WatchConfig
from streamwatch.errors import StoreError
from streamwatch.records import Alert
from streamwatch.store.history import History
from streamwatch.store.posts import OrderedPosts, Progress
from streamwatch.store.tables import Tables, store_errors
from streamwatch.store.tellings import Tellings
from streamwatch.watch.history import StartingPoint
from streamwatch.watch.monitors import Monitors
from streamwatch.watch.rerun import Rerun
from streamwatch.watch.verdicts import Telling, compare_tellings
from streamwatch.watch.watch import Watch


class Replay(Struct, frozen=True):
    """What was replayed: posts of the source offsets `(after, until]`, from the event time of the starting point."""

    monitors_hash: str
    program: str
    from_time: datetime | None
    posts: int
    after: dict[int, int]
    until: dict[int, int]


class Proof(Struct, frozen=True):
    """Whether an alert comes out of its posts again; `alert` is as it was told at its worst."""

    alert: Alert
    program: str
    replays: list[Replay]
    tellings: list[Telling]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not any(telling.differences for telling in self.tellings)


class Prover:
    """Prove the alerts of one store.

    Args:
        tables: The tables.
        history: What WATCH wrote down beside them.
        monitors: In force now; files of before come from the history.
        config: The allowed lateness, for alerts from before there was a history.
        from_start: Replay all that was watched with the alert's monitors file, not from the nearest starting point.
    """

    def __init__(
        self, tables: Tables, history: History, monitors: Monitors, config: WatchConfig, *, from_start: bool = False
    ) -> None:
        self._tables = tables
        self._tellings = Tellings(tables)
        self._history = history
        self._monitors = monitors
        self._config = config
        self._from_start = from_start

    def prove(self, fingerprint: str, progress: Progress = lambda done, total: None) -> Proof:
        """Compute every telling of an alert again.

        Args:
            fingerprint: Of the alert, or its first digits.
            progress: Called with the posts replayed so far, and how many there are.

        Raises:
            StoreError: It cannot be done: no such alert, or its posts or monitors are not in the store.
        """
        told = self._tellings.of(fingerprint)
        replays, tellings = [], []
        after: datetime | None = None
        for _, part in groupby(told, key=lambda alert: alert.provenance.monitors_hash):
            stored = list(part)
            last = stored[-1]
            replay, found = self._replay(last, progress)
            replays.append(replay)
            tellings += compare_tellings(stored, [alert for alert in found if not after or alert.updated_at > after])
            after = last.updated_at
        worst = max(told, key=lambda alert: alert.surprise)
        return Proof(worst, __version__, replays, tellings)

    def _replay(self, last: Alert, progress: Progress) -> tuple[Replay, list[Alert]]:
        """Replay up to a telling, and return what is told of the alert until then."""
        monitors_hash = last.provenance.monitors_hash
        in_force = self._monitors.hash == monitors_hash
        monitors = self._monitors if in_force else self._history.monitors(monitors_hash)
        until = self._tellings.reach(last)
        start = self._history.start(monitors_hash, last.onset, until, first=self._from_start) or self._nothing(last)
        self._check_edges(start.applied, until)
        posts = OrderedPosts(_between(self._tables.scan("posts"), start.applied, until))
        rerun = Rerun(_resume(start, monitors), start.partitions | posts.partitions, self._history.floors())

        def is_of_it(alert: Alert) -> bool:
            return alert.fingerprint == last.fingerprint and alert.updated_at <= last.updated_at

        found: list[Alert] = []
        done = 0
        for batch in posts.told(progress):
            found += filter(is_of_it, rerun.add(batch))
            done += batch.num_rows
        found += filter(is_of_it, rerun.end(last.updated_at))
        replay = Replay(monitors_hash, start.program, start.event_time, done, start.applied, until)
        return replay, found

    def _nothing(self, alert: Alert) -> StartingPoint:
        """Return the starting point of an alert from before there was a history."""
        monitors_hash, lateness_s = alert.provenance.monitors_hash, self._config.allowed_lateness_s
        return StartingPoint(__version__, monitors_hash, lateness_s, None, {}, b"")

    def _check_edges(self, after: dict[int, int], until: dict[int, int]) -> None:
        """See that the posts at both ends are there: what is removed from a table is removed from an end."""
        wanted = {(partition, offset): {(partition, offset)} for partition, offset in until.items()}
        for partition, offset in after.items():
            if offset < until.get(partition, -1):
                wanted[partition, offset] = {(partition, offset), (partition, offset + 1)}
        edges = {edge for either in wanted.values() for edge in either}
        is_edge = [(pl.col("source_partition") == part) & (pl.col("source_offset") == offset) for part, offset in edges]
        found = self._tables.scan("posts").filter(pl.any_horizontal(is_edge))
        with store_errors("posts"):
            rows = set(found.select("source_partition", "source_offset").collect().iter_rows())
        for (partition, offset), either in sorted(wanted.items()):
            if not either & rows:
                message = (
                    f"the post at offset {max(offset, 0):,} of source partition {partition} is not in the table posts: "
                    "it was removed since, or is not stored yet (`streamwatch status` shows the lag of ARCHIVE)"
                )
                raise StoreError(message)


def _resume(start: StartingPoint, monitors: Monitors) -> Watch:
    try:
        return start.resume(monitors)
    except StoreError as error:
        message = (
            f"the starting point of {start.event_time} cannot be used: {error}; "
            f"streamwatch {start.program} wrote it and can, or try --from-start"
        )
        raise StoreError(message) from error


def _between(posts: pl.LazyFrame, after: dict[int, int], until: dict[int, int]) -> pl.LazyFrame:
    """Return the posts of each partition above one offset and up to another."""
    wanted = [
        (pl.col("source_partition") == partition)
        & (pl.col("source_offset") > after.get(partition, -1))
        & (pl.col("source_offset") <= offset)
        for partition, offset in until.items()
    ]
    return posts.filter(pl.any_horizontal(wanted))
