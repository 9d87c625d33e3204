"""A rerun: stored posts through a watch once more."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from streamwatch.records import Alert
from streamwatch.watch.history import Floor
from streamwatch.watch.watch import Watch

HELD_POSTS = 250_000
"""A partition that brings nothing while so many posts of others come is taken for idle: it bounds the memory."""


class Rerun:
    """A watch that gets stored posts instead of the stream.

    The posts of each source partition come in their order; how they are cut and how partitions interleave does not
    show. A partition holds windows open until it brings its next post, so that none of it comes late that did not come
    late before.

    Args:
        watch: New, or as it stood before the first post.
        partitions: The source partitions that bring posts, and those that `watch` knows.
        floors: What made posts late that would not be late by their partition alone.
    """

    def __init__(self, watch: Watch, partitions: Collection[int], floors: Iterable[Floor] = ()) -> None:
        self._watch = watch
        self._posts = 0
        self._last = dict.fromkeys(partitions, 0)
        self._floors: dict[int, deque[Floor]] = {partition: deque() for partition in partitions}
        for floor in floors:
            self._floors.setdefault(floor.partition, deque()).append(floor)
        watch.assign(partitions)

    def add(self, batch: pa.RecordBatch) -> list[Alert]:
        """Apply the next posts of one source partition, close what they let close, and return the alerts.

        Args:
            batch: Columns of `codec.SCORED_SCHEMA`, rising source offsets; at least one row.
        """
        partition = batch.column("source_partition")[0].as_py()
        for part, floor in self._cut(partition, batch):
            if floor is not None:
                self._watch.heartbeat(partition, floor.at)
            self._watch.apply(part)
        self._posts += batch.num_rows
        self._last[partition] = self._posts
        idle = {found for found, last in self._last.items() if self._posts - last >= HELD_POSTS}
        return self._watch.close(idle).alerts

    def end(self, at: datetime) -> list[Alert]:
        """Close every window that ends by an instant, as no more posts come, and return the alerts."""
        for partition in self._last:
            self._watch.heartbeat(partition, at)
        return self._watch.close().alerts

    def _cut(self, partition: int, batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, Floor | None]]:
        """Cut a micro-batch where its partition has a floor."""
        floors, offsets = self._floors.get(partition, deque()), batch.column("source_offset")
        last, at, floor = offsets[-1].as_py(), 0, None
        while floors and floors[0].offset <= last:
            until = pc.sum(pc.less(offsets, floors[0].offset)).as_py()
            yield batch.slice(at, until - at), floor
            at, floor = until, floors.popleft()
        yield batch.slice(at), floor
