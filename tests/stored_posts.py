"""A small store for the tests of proof and backtest, written by the parts that write a real one.

Four hours of quiet talk, a surge of negative posts about AAPL, and quiet again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from streamwatch.codec import encode_batch
from streamwatch.config import StoreConfig, WatchConfig
from streamwatch.records import Alert
from streamwatch.store.archive import Archive
from streamwatch.store.history import History
from streamwatch.store.recorder import Recorder
from streamwatch.store.tables import Tables
from streamwatch.watch import Monitors, Watch
from tests.scored_rows import START, Row, monitors, scored

CONFIG = WatchConfig(allowed_lateness_s=60)
RULES = monitors(measure='"negative_count"', min_count="5", keep_firing_for='"20m"')
PREFIX = "streamwatch"


class Sent(NamedTuple):
    """A message as a poll gives it."""

    value: bytes | None
    offset: int
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def talk(minutes: Iterable[float], sentiment: str = "neutral", entity: str = "AAPL") -> list[Row]:
    return [Row(minute, (entity,), sentiment, text=f"{sentiment} at {minute}") for minute in minutes]


def quiet_day(surge_at: float = 240) -> list[Row]:
    """Return a day with a surge in it, in order of time."""
    surge = talk((surge_at + 1 + index / 4 for index in range(60)), "negative")
    rows = talk(range(0, 480, 4)) + talk(range(0, 480, 9), entity="IBM") + surge + talk(range(0, 480, 37), "negative")
    return sorted(rows, key=lambda row: row.minute)


class Chain:
    """WATCH and ARCHIVE without the streams between them."""

    def __init__(self, store: Path, rules: Monitors = RULES, config: WatchConfig = CONFIG) -> None:
        self.tables = Tables(str(store))
        self.history = History(str(store), PREFIX)
        self.watch = Watch(rules, config)
        self.alerts: list[Alert] = []
        self._config = config
        self._archive = Archive(self.tables, StoreConfig())
        self._recorder = Recorder(self.history, rules, config)
        self._recorder.begin()
        self._applied: dict[int, int] = {}
        self._messages = 0

    def take(self, batch: pa.RecordBatch, *, idle: Sequence[int] = ()) -> None:
        """Let a micro-batch pass."""
        self._recorder.note(batch, self.watch)
        self.watch.apply(batch)
        self._applied[batch.column("source_partition")[0].as_py()] = batch.column("source_offset")[-1].as_py()
        self._archive.add("scored", 0, [Sent(encode_batch(batch), self._messages)])
        self.close(idle)

    def promise(self, partition: int, minute: float) -> None:
        """Let a heartbeat pass."""
        at = START + timedelta(minutes=minute)
        self._recorder.floors.promise(partition, at)
        self.watch.heartbeat(partition, at)
        self.close()

    def close(self, idle: Sequence[int] = ()) -> None:
        for alert in self.watch.close(idle).alerts:
            self._archive.add("alerts", 0, [Sent(msgspec.json.encode(alert), len(self.alerts))])
            self.alerts.append(alert)

    def commit(self) -> None:
        """Write down what came so far."""
        self._archive.flush()
        self._recorder.committed(self.watch, self._applied)

    def restart(self, rules: Monitors = RULES) -> None:
        """Start WATCH again from what was committed, with these monitors."""
        floors = self._recorder.floors
        self.watch = Watch.restore(self.watch.snapshot(), rules, self._config)
        self._recorder = Recorder(self.history, rules, self._config)
        self._recorder.go_on(floors, self.watch, self._applied)


def stored_day(store: Path, rules: Monitors = RULES) -> Chain:
    """Write a day of two source partitions into a store."""
    chain = Chain(store, rules)
    chain.watch.assign([0, 1])
    rows = quiet_day()
    parts = (rows[::2], rows[1::2])
    for first in range(0, len(parts[0]), 20):
        for partition in (0, 1):
            if cut := parts[partition][first : first + 20]:
                chain.take(scored(cut, partition, first))
        chain.commit()
    for partition in (0, 1):
        chain.promise(partition, 600)
    chain.commit()
    return chain
