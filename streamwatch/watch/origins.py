"""Origins: which source rows and which model versions stand in the panes."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from msgspec import Struct, field


class PaneOrigin(Struct):
    """Where one pane's rows came from: the last source offset of each partition, and who scored them."""

    offsets: dict[int, int] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)


class Origins(Struct):
    """Where the rows of the panes came from.

    `before` holds the last offsets of the panes that no window needs any more.
    """

    panes: dict[int, PaneOrigin] = field(default_factory=dict)
    before: dict[int, int] = field(default_factory=dict)

    def add(self, panes: pl.DataFrame, batch: pa.RecordBatch) -> None:
        """Add a micro-batch.

        Args:
            panes: The columns `row` and `pane` of the rows that count.
            batch: The scored rows that `row` counts in, of one source partition.
        """
        partition = batch.column("source_partition")[0].as_py()
        columns = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch.select(["source_offset", "model_version"])])))
        rows = columns[panes["row"]].with_columns(panes["pane"])
        found = rows.group_by("pane").agg(pl.col("source_offset").max(), pl.col("model_version").unique())
        for pane, offset, versions in found.iter_rows():
            origin = self.panes.setdefault(pane, PaneOrigin())
            origin.offsets[partition] = max(offset, origin.offsets.get(partition, -1))
            origin.versions = sorted({*origin.versions, *(version for version in versions if version)})

    def offsets(self, end_us: int) -> dict[str, int]:
        """Return the last source offset of each partition that counted before an instant."""
        last = dict(self.before)
        for start_us, origin in self.panes.items():
            if start_us < end_us:
                _raise_to(last, origin.offsets)
        return {str(partition): last[partition] for partition in sorted(last)}

    def versions(self, start_us: int, end_us: int) -> str:
        """Return the versions of the models that scored the window `[start, end)`, joined by commas."""
        panes = (origin.versions for pane, origin in self.panes.items() if start_us <= pane < end_us)
        return ",".join(sorted({version for versions in panes for version in versions}))

    def forget(self, before_us: int) -> None:
        """Drop the panes that start before an instant."""
        for start_us in sorted(start_us for start_us in self.panes if start_us < before_us):
            _raise_to(self.before, self.panes.pop(start_us).offsets)


def _raise_to(last: dict[int, int], offsets: dict[int, int]) -> None:
    for partition, offset in offsets.items():
        last[partition] = max(offset, last.get(partition, -1))
