"""How fast mentions go through the windows, and how long a pane close takes, on one core, at first and after weeks.

*Through the windows* is all that WATCH does between a decoded micro-batch and its closed windows: event times,
watermark, groups, partial sums, samples for the evidence, the hop of the windows, and a verdict for each key. Beside
it stand the partial sums alone, and two ways to count that a user would write first.

Every contender runs in a process of its own on one core, and is measured in seconds of the processor, so that
neighbours disturb little. Making the posts does not count. Rounds take turns; medians are told.

What shaped the figures: strings. Drawing samples took half of the time while their texts moved with them; now what is
drawn refers to its post (samples.py). Python's dictionary took 0.3 us a mention to number a hundred thousand names,
Polars' categories take 0.06 (keys.py). A close is slow when many alerts open at once: each takes 5 ms to explain.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from typing import NamedTuple, TypeVar

import polars as pl
import pyarrow as pa

from jobs.chain_benchmark import Figure
from jobs.memory import tree_bytes
from jobs.windows_streams import Posts
from streamwatch.config import WatchConfig
from streamwatch.watch import Watch
from streamwatch.watch.groups import read_entities
from streamwatch.watch.instants import DAY_US, HOUR_US, from_us
from streamwatch.watch.keys import Codes, Places
from streamwatch.watch.monitors import parse_monitors
from streamwatch.watch.panes import OpenPanes

BATCH_POSTS = 50_000
PANE_BATCHES = 8
"""A pane of the speed's stream holds half a million mentions; at a million a second, one of five minutes holds 300."""
WINDOW_PANES = 6
HOP_HOURS = 3
HOP_US = HOP_HOURS * HOUR_US
START_US = 160_000 * HOP_US
LIGHT_POSTS = 5_000
"""Posts of a pane in the weeks between."""
WARM_UP_PANES = 2 * WINDOW_PANES + 1
MEASURED_PANES = 5
SEED = 5
MONITOR = f"""
[[monitor]]
name = "volume"
group_by = "entity"
window = "{WINDOW_PANES * HOP_HOURS}h"
hop = "{HOP_HOURS}h"
measure = "volume"
min_count = 1_000_000_000
"""
"""Every window is judged, and none opens an alert: what alerts take depends on how many there are."""

T = TypeVar("T")


class Speed(NamedTuple):
    """Mentions a second, with the closes and without."""

    whole: float
    applying: float


class Pass(NamedTuple):
    """A few panes in which all keys are written about: mentions a second, median seconds of a close, bytes."""

    mentions_a_second: float
    close_s: float
    memory_bytes: int


class Clock:
    """The seconds of the processor that some calls take, one after the other."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def call(self, function: Callable[..., T], *args: object) -> T:
        """Call a function and add its time."""
        started = time.process_time()
        found = function(*args)
        self.seconds.append(time.process_time() - started)
        return found


def measure_windows(keys: int, days: int, rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """Return the figures of the benchmark.

    Args:
        keys: How many groups there are.
        days: Simulated days between the first and the last measurement.
        rounds: Paired rounds of the speed.
        say: Shows what is being done.
    """
    speeds: dict[str, list[Speed]] = {name: [] for name in CONTENDERS}
    for round_ in range(rounds):
        say(f"speed, round {round_ + 1} of {rounds}")
        for name, contender in CONTENDERS.items():
            speeds[name].append(_alone(_speed, contender, keys))
    say(f"panes over {keys} keys, at first and after {days} days")
    return [*_speed_figures(speeds), *_pass_figures(_alone(_passes, keys, days), days)]


def _alone(function: Callable[..., T], *args: object) -> T:
    """Call a function in a new process on one core."""
    os.environ["POLARS_MAX_THREADS"] = "1"
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _pin) as pool:
        return pool.submit(function, *args).result()


def _pin() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class Contender:
    """A way to count: takes micro-batches, and gives the windows that end when a pane does."""

    def apply(self, batch: pa.RecordBatch) -> None:
        """Count a micro-batch."""
        raise NotImplementedError

    def close(self, end_us: int) -> int:
        """Close the pane that ends at an instant, and return how many windows closed."""
        raise NotImplementedError


class TheWatch(Contender):
    """The watch with a monitor of volume, all of it."""

    def __init__(self) -> None:
        self._watch = Watch(parse_monitors(MONITOR, "benchmark"), WatchConfig(allowed_lateness_s=0))

    def apply(self, batch: pa.RecordBatch) -> None:
        """Apply it."""
        self._watch.apply(batch)

    def close(self, end_us: int) -> int:
        """Close as if the partition had promised that nothing older follows."""
        self._watch.heartbeat(0, from_us(end_us))
        return len(self._watch.close().windows)


class Sums(Contender):
    """The partial sums of the panes alone: neither samples nor windows nor verdicts."""

    def __init__(self) -> None:
        self._places, self._codes, self._open = Places(HOP_US), Codes(), OpenPanes()

    def apply(self, batch: pa.RecordBatch) -> None:
        """Find the groups and add up."""
        found = read_entities(batch)
        at_us = batch.column("published_at").cast(pa.int64()).to_numpy()
        self._open.add(self._places.of(at_us[found.rows], self._codes.of(found.groups)), found.sums)

    def close(self, end_us: int) -> int:
        """Take the pane out."""
        return len(self._open.close(self._places.first(end_us))[0])


class Dynamic(Contender):
    """Polars' `group_by_dynamic` over the window's posts, anew for every window."""

    def __init__(self) -> None:
        self._posts: deque[pl.DataFrame] = deque()

    def apply(self, batch: pa.RecordBatch) -> None:
        """Keep the mentions."""
        posts = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch.select(["published_at", "entities"])])))
        entity = pl.col("entities").struct
        self._posts.append(
            posts.explode("entities").select("published_at", entity.field("ticker"), entity.field("sentiment"))
        )

    def close(self, end_us: int) -> int:
        """Group what the window holds."""
        end = from_us(end_us)
        start = end - timedelta(hours=WINDOW_PANES * HOP_HOURS)
        at, negative = pl.col("published_at"), (pl.col("sentiment") == "negative").sum()
        held = pl.concat(self._posts).filter((at >= start) & (at < end)).sort("published_at")
        self._posts = deque([held])
        offset = timedelta(microseconds=end_us % (WINDOW_PANES * HOP_US))
        window = held.group_by_dynamic("published_at", every=end - start, offset=offset, group_by="ticker")
        return window.agg(pl.len(), negative.alias("negative")).height


class Loop(Contender):
    """A loop over posts and a counter for each pane."""

    def __init__(self) -> None:
        self._panes: dict[int, dict[str, Counter[str]]] = {}

    def apply(self, batch: pa.RecordBatch) -> None:
        """Count every mention."""
        times = batch.column("published_at").cast(pa.int64()).to_pylist()
        for at_us, entities in zip(times, batch.column("entities").to_pylist(), strict=True):
            pane = self._panes.setdefault(at_us // HOP_US, {"count": Counter(), "negative": Counter()})
            for entity in entities:
                pane["count"][entity["ticker"]] += 1
                pane["negative"][entity["ticker"]] += entity["sentiment"] == "negative"

    def close(self, end_us: int) -> int:
        """Add up the counters of the window."""
        last = end_us // HOP_US
        found: Counter[str] = Counter()
        for start in range(last - WINDOW_PANES, last):
            found.update(self._panes.get(start, {}).get("count", Counter()))
        self._panes.pop(last - WINDOW_PANES, None)
        return len(found)


CONTENDERS: dict[str, type[Contender]] = {
    "streamwatch": TheWatch,
    "its partial sums alone": Sums,
    "Polars group_by_dynamic": Dynamic,
    "a loop with counters": Loop,
}


def _speed(make: type[Contender], keys: int) -> Speed:
    """Measure a contender on the second of two panes of half a million mentions."""
    posts, contender = Posts(keys, SEED), make()
    for pane in range(2):
        start_us, end_us = START_US + pane * HOP_US, START_US + (pane + 1) * HOP_US
        applying, closing, mentions = Clock(), Clock(), 0
        for part in range(PANE_BATCHES):
            times = start_us + HOP_US * part // PANE_BATCHES, start_us + HOP_US * (part + 1) // PANE_BATCHES
            batch = posts.batch(*times, BATCH_POSTS)
            mentions += len(batch.column("entities").flatten())
            applying.call(contender.apply, batch)
        closing.call(contender.close, end_us)
    applied = sum(applying.seconds)
    return Speed(mentions / (applied + sum(closing.seconds)), mentions / applied)


def _passes(keys: int, days: int) -> tuple[Pass, Pass]:
    """Measure panes in which all keys are written about, at first and after weeks of quieter ones."""
    posts, watch = Posts(keys, SEED), TheWatch()
    first = _pass(posts, watch, START_US)
    at_us = START_US + (WARM_UP_PANES + MEASURED_PANES) * HOP_US
    for start_us in range(at_us, START_US + days * DAY_US, HOP_US):
        watch.apply(posts.batch(start_us, start_us + HOP_US, LIGHT_POSTS))
        watch.close(start_us + HOP_US)
    return first, _pass(posts, watch, START_US + days * DAY_US)


def _pass(posts: Posts, watch: TheWatch, at_us: int) -> Pass:
    applying, closing, mentions = Clock(), Clock(), 0
    for pane in range(WARM_UP_PANES + MEASURED_PANES):
        start_us, end_us = at_us + pane * HOP_US, at_us + (pane + 1) * HOP_US
        watch.apply(posts.every_key(start_us))
        if pane < WARM_UP_PANES:
            watch.close(end_us)
            continue
        batch = posts.batch(start_us, end_us, BATCH_POSTS)
        mentions += len(batch.column("entities").flatten())
        applying.call(watch.apply, batch)
        closing.call(watch.close, end_us)
    speed = mentions / sum(applying.seconds)
    return Pass(speed, statistics.median(closing.seconds), tree_bytes(os.getpid()))


def _speed_figures(speeds: dict[str, list[Speed]]) -> Iterator[Figure]:
    ours = [one.whole for one in speeds["streamwatch"]]
    for name, found in speeds.items():
        whole = [one.whole for one in found]
        ratio = statistics.median(mine / other for mine, other in zip(ours, whole, strict=True))
        remark = "" if name == "streamwatch" else f"streamwatch is {ratio:.1f} times as fast"
        yield Figure(f"mentions/s, {name}", round(statistics.median(whole)), remark)
    applying = statistics.median(one.applying for one in speeds["streamwatch"])
    yield Figure("mentions/s, streamwatch, without the closes", round(applying))


def _pass_figures(passes: tuple[Pass, Pass], days: int) -> Iterator[Figure]:
    for when, found in zip(("at first", f"after {days} days"), passes, strict=True):
        yield Figure(f"ms a pane close, {when}", round(found.close_s * 1_000), "median")
        yield Figure(f"mentions/s into quiet panes, {when}", round(found.mentions_a_second), "without the closes")
        yield Figure(f"memory in MiB, {when}", round(found.memory_bytes / 2**20))
