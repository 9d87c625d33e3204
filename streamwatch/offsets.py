"""Which rows of `scored` were applied already: the half of the invariant that its readers keep."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


class AppliedOffsets:
    """The last source offset applied for each source partition.

    SCORE may send rows again after a crash, with the same source offsets, in order and without a gap. So a reader
    that drops what is at or below the last offset it applied counts every row once.

    >>> applied = AppliedOffsets({0: 1})
    >>> rows = pa.record_batch({"source_partition": [0, 0, 0], "source_offset": [1, 2, 5]})
    >>> applied.fresh(rows).column("source_offset").to_pylist()
    [2, 5]
    >>> applied.fresh(rows).num_rows
    0
    """

    def __init__(self, last: dict[int, int] | None = None) -> None:
        self.last: dict[int, int] = dict(last or {})

    def fresh(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows above the last applied offset, and count them as applied from now on.

        Args:
            batch: Rows of one source partition, offsets rising, as SCORE sends them.
        """
        if batch.num_rows == 0:
            return batch
        partition = batch.column("source_partition")[0].as_py()
        offsets = batch.column("source_offset")
        last = self.last.get(partition, -1)
        highest = offsets[-1].as_py()
        if highest <= last:
            return batch.slice(0, 0)
        self.last[partition] = highest
        if offsets[0].as_py() > last:
            return batch
        return batch.filter(pc.greater(offsets, last))
