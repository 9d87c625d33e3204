"""A grouping: all monitors that share groups and hop, over the same panes."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from streamwatch.records import Provenance
from streamwatch.watch.alerts import Support
from streamwatch.watch.detector import COUNT
from streamwatch.watch.distinct import TALLIED, OpenTally, Tally
from streamwatch.watch.evidence import Case
from streamwatch.watch.groups import Bools, Mentions, Posts, mentions
from streamwatch.watch.instants import DAY_US, HOUR_US, NEVER, from_us, span_us
from streamwatch.watch.keys import Codes, Ints, Keys, Places
from streamwatch.watch.monitors import Monitor
from streamwatch.watch.origins import Origins
from streamwatch.watch.panes import OpenPanes
from streamwatch.watch.phrases import Background
from streamwatch.watch.samples import Sampled, Samples, pane_posts, windows_apart
from streamwatch.watch.tracks import Step, Track
from streamwatch.watch.volumes import Volumes
from streamwatch.watch.windows import ClosedPanes, Pane

LEARN_EVERY_US = HOUR_US
COMMON_POSTS = 48
"""Posts of a pane from which the phrases that are usual are learned."""
BACKGROUND_HALF_LIFE_US = 2 * DAY_US
NO_GROUPS = pl.Series("group", [], pl.String)
HORIZON_HALF_LIVES = 4
"""A key of which nobody wrote for so many half-lives of the baseline is forgotten.

Its level has decayed to a sixteenth by then. In made-up bursty streams keys that came back after that were judged on
their first day as well without what was left of their baseline as with it, and with fewer false alarms afterwards.
"""


class GroupingKey(NamedTuple):
    """What monitors must have in common to share panes."""

    group_by: tuple[str, ...]
    hop_us: int

    @classmethod
    def of(cls, monitor: Monitor) -> GroupingKey:
        """Return the key of a monitor's grouping."""
        return cls(tuple(monitor.group_by), span_us(monitor.hop))


class Grouping:
    """Panes, keys, sampled posts and monitors of one grouping.

    An instant is visited when some window that ends there, or the baseline that learns then, has rows, or an alert
    is open. A gap without data costs nothing, however long.
    """

    def __init__(self, key: GroupingKey, tracks: Sequence[Track], monitors_hash: str) -> None:
        self.key = key
        self.tracks = list(tracks)
        self.places = Places(key.hop_us)
        self.codes = Codes()
        self.keys = Keys()
        self.open = OpenPanes()
        self.tallies = {measure: OpenTally(measure) for measure in TALLIED if measure in _measures(tracks)}
        self.closed = ClosedPanes()
        self.volumes = Volumes()
        self.background = Background()
        self.origins = Origins()
        self.learned_us: int | None = None
        self.visited_us: int | None = None
        self.closed_until_us = NEVER
        self._expired = False
        self._monitors_hash = monitors_hash
        self._longest_us = max(track.length_us for track in tracks)
        self.samples = Samples(pane_posts(self._longest_us // key.hop_us), self.places)
        self.common = Samples(COMMON_POSTS, self.places)
        half_life_us = max(span_us(track.monitor.half_life) for track in tracks)
        self._horizon_us = max(HORIZON_HALF_LIVES * half_life_us, 2 * self._longest_us + self.key.hop_us)

    def apply(self, posts: Posts, entities: Mentions, on_time: Bools, batch: pa.RecordBatch) -> None:
        """Add the rows of a micro-batch that are on time.

        Args:
            posts: As `groups.read_posts` gives them.
            entities: As `groups.read_entities` gives them.
            on_time: Which rows are; at least one.
            batch: The micro-batch.
        """
        rows = np.flatnonzero(on_time)
        panes = self.places.of(posts.at_us, np.zeros(1, np.int64))
        self.origins.add(self.places.pane_us(panes[rows]), rows, batch)
        self.common.add(panes[rows], Mentions(rows, NO_GROUPS, posts.sums[:, rows]), posts, batch)
        found = mentions(batch, posts, entities, self.key.group_by)
        found = found.only(on_time[found.rows])
        if len(found.rows):
            places = panes[found.rows] | self.codes.of(found.groups)
            self.open.add(places, found.sums)
            self.samples.add(places, found, posts, batch)
            for tally in self.tallies.values():
                tally.add(places, found.rows, posts, batch)

    def close(self, watermark_us: int) -> Iterator[Step]:
        """Close every window whose end the watermark has reached, in order."""
        until = watermark_us // self.key.hop_us * self.key.hop_us
        if until <= self.closed_until_us:
            return
        self.closed_until_us = until
        arriving = deque(self._panes_until(until))
        while (end_us := self._next_end(arriving)) is not None and end_us <= until:
            if arriving and arriving[0][0] < end_us:
                self._arrive(*arriving.popleft())
            yield from self._visit(end_us)
        self._forget()
        if self._expired:
            self._recode()
            self._expired = False

    def _panes_until(self, until_us: int) -> Iterator[tuple[int, Ints, Ints]]:
        """Take out the panes that start before an instant: start, codes, and sums, `(sums, codes)`."""
        places, sums = self.open.close(self.places.first(until_us))
        starts, codes = self.places.pane_us(places), self.places.code(places)
        cuts = np.flatnonzero(np.diff(starts, prepend=-1, append=-1)).tolist()
        for first, last in pairwise(cuts):
            yield int(starts[first]), codes[first:last], sums[:, first:last]

    def _arrive(self, start_us: int, codes: Ints, sums: Ints) -> None:
        """Take in a pane that closed."""
        keys = self.keys.number(codes, self.codes, start_us)
        before = self.places.first(start_us + self.key.hop_us)
        tallies = {name: self._numbered(tally.close(before), start_us) for name, tally in self.tallies.items()}
        self.closed.add(Pane(start_us, keys, sums, tallies))
        self.volumes.grow(len(self.keys))
        self.volumes.add(start_us, keys, sums[COUNT])

    def _numbered(self, things: pl.DataFrame, start_us: int) -> Tally:
        codes = self.places.code(things["place"].to_numpy())
        keys = self.keys.number(codes, self.codes, start_us)
        return Tally(keys, *(things[name].to_numpy() for name in ("thing", "count", "level")))

    def _next_end(self, arriving: deque[tuple[int, Ints, Ints]]) -> int | None:
        if self.visited_us is not None and self._is_busy(self.visited_us):
            return self.visited_us + self.key.hop_us
        return arriving[0][0] + self.key.hop_us if arriving else None

    def _is_busy(self, visited_us: int) -> bool:
        """Say whether there is something to do at the next hop even if no pane comes."""
        if any(track.book.open for track in self.tracks):
            return True
        panes = self.closed.panes
        return bool(panes) and panes[-1].start_us + 2 * self._longest_us > visited_us

    def _visit(self, end_us: int) -> Iterator[Step]:
        if self.visited_us is not None and self.visited_us // DAY_US != end_us // DAY_US:
            self._expire(end_us)
        if self.visited_us is None or self.visited_us // LEARN_EVERY_US != end_us // LEARN_EVERY_US:
            self._learn_phrases(end_us // LEARN_EVERY_US * LEARN_EVERY_US - self._longest_us)
        self.visited_us = end_us
        for track in self.tracks:
            yield track.step(end_us, self.keys, self.closed, partial(self._support, track, end_us))

    def _support(self, track: Track, end_us: int, groups: Collection[str]) -> Support:
        start_us = end_us - track.length_us

        @cache
        def posts() -> dict[str, list[Sampled]]:
            codes = self.codes.of(pl.Series(list(groups)))
            found = dict(zip(codes.tolist(), groups, strict=True))
            return self.samples.of(found, start_us - track.length_us, end_us)

        def case(group: str) -> Case:
            before, now = windows_apart(posts()[group], start_us)
            return Case(group, track.monitor.measure, now=now, before=before, background=self.background)

        def volumes(group: str) -> dict[str, int]:
            key = self.keys.find(group)
            return {} if key is None else self.volumes.of(key, end_us)

        def provenance() -> Provenance:
            return Provenance(
                model_version=self.origins.versions(start_us, end_us),
                monitors_hash=self._monitors_hash,
                watermark=from_us(end_us),
                source_offsets=self.origins.offsets(end_us),
            )

        return Support(cache(case), lambda group: track.curves.of(self.keys.find(group)), volumes, provenance)

    def _learn_phrases(self, until_us: int) -> None:
        """Learn the phrases of the panes that left the longest window, and no alert is explained by any more.

        Once an hour is enough: pane by pane it took three quarters of the time of closing.
        """
        texts = self.common.take(until_us)
        if texts:
            passed_us = 0 if self.learned_us is None else until_us - self.learned_us
            self.background.learn(texts, 0.5 ** (passed_us / BACKGROUND_HALF_LIFE_US))
            self.learned_us = until_us

    def _expire(self, now_us: int) -> None:
        """Forget the keys that were quiet for the whole horizon."""
        quiet = self.keys.quiet_since(now_us - self._horizon_us)
        if not quiet.size:
            return
        stay = np.setdiff1d(np.arange(len(self.keys)), quiet)
        for track in self.tracks:
            track.keep(stay, len(self.keys))
        self.closed.keep(stay, len(self.keys))
        self.volumes.keep(stay)
        self.keys.keep(stay)
        self._expired = True

    def _recode(self) -> None:
        """Forget the codes of groups that have neither open panes nor samples.

        Never within a close: panes that are on their way in go by the old codes.
        """
        used = np.union1d(self.open.codes(self.places), self.samples.codes())
        new = np.zeros(len(self.codes), np.int64)
        new[used] = np.arange(len(used))
        self.codes = Codes(self.codes.names(used))
        self.open.recode(self.places, new)
        for tally in self.tallies.values():
            tally.recode(self.places, new)
        self.samples.recode(new)

    def _forget(self) -> None:
        """Drop what no window needs any more."""
        self.closed.forget((self.visited_us or 0) - 2 * self._longest_us)
        self.samples.forget(self.closed_until_us - 2 * self._longest_us)
        self.origins.forget(self.closed_until_us - self._longest_us)


def _measures(tracks: Sequence[Track]) -> set[str]:
    return {track.monitor.measure for track in tracks}
