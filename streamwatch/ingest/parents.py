"""What replies answer: the posts shortly before them in the same source partition.

A reply's parent is the last post with the id in its `reply_to` among the `reach` offsets before it. That follows from
the partition alone, so a reply reads the same after a crash, or on another member: whoever takes a partition over
first reads those offsets again (`starts_at`). Posts of one conversation meet when they have the same key.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class _Known(NamedTuple):
    offset: int
    text: str


class _Partition:
    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._posts: dict[str, _Known] = {}
        self.last = -1

    def parents(self, batch: pa.RecordBatch) -> pa.Array:
        ids, texts, offsets = (batch.column(name).to_pylist() for name in ("id", "text", "source_offset"))
        answered = batch.column("reply_to")
        if answered.null_count == len(answered):
            self._posts |= zip(ids, map(_Known, offsets, texts), strict=True)
            found = pa.nulls(len(ids), pa.string())
        else:
            found = pa.array(map(self._next, ids, texts, offsets, answered.to_pylist()), pa.string())
        self.last = offsets[-1]
        self._forget()
        return found

    def _next(self, name: str, text: str, offset: int, answered: str | None) -> str | None:
        known = self._posts.get(answered) if answered else None
        self._posts[name] = _Known(offset, text)
        return known.text if known and known.offset >= offset - self._reach else None

    def _forget(self) -> None:
        """Drop what is out of reach, oldest first; an id that came again keeps its old place a little longer."""
        while self._posts and self._posts[oldest := next(iter(self._posts))].offset < self.last - self._reach:
            del self._posts[oldest]


class Parents:
    """The texts that replies may answer, by source partition.

    Args:
        reach: Offsets that a reply may stand behind what it answers; 0: replies are read alone.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._partitions: dict[int, _Partition] = {}

    def starts_at(self, partition: int, offset: int) -> int:
        """Return from which offset on a partition is to be added again before its rows from `offset` on.

        It is `offset` itself where nothing is missing.
        """
        known = self._partitions.get(partition)
        if not self._reach or (known and known.last < offset):
            return offset
        self._partitions.pop(partition, None)
        return max(0, offset - self._reach)

    def forget(self, partition: int) -> None:
        """Drop a partition that is no longer ours."""
        self._partitions.pop(partition, None)

    def add(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Add the next rows of one partition, and return them with the column `parent`: what each answers, or null.

        Args:
            batch: Columns `id`, `text` (masked), `reply_to`, `source_partition` and `source_offset`, offsets rising.
        """
        if not self._reach or not batch.num_rows:
            return batch.append_column("parent", pa.nulls(batch.num_rows, pa.string()))
        partition = batch.column("source_partition")[0].as_py()
        known = self._partitions.setdefault(partition, _Partition(self._reach))
        return batch.append_column("parent", known.parents(batch))
