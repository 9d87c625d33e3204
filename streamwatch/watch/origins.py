"""Origins: which source rows and which model versions stand in the panes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from msgspec import Struct, field

from streamwatch.watch.keys import Ints


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

    def add(self, panes_us: Ints, rows: Ints, batch: pa.RecordBatch) -> None:
        """Add a micro-batch.

        Args:
            panes_us: The pane of each row that counts.
            rows: Which rows of the micro-batch count, in order.
            batch: Scored rows of one source partition, in the order of their offsets.
        """
        partition = batch.column("source_partition")[0].as_py()
        offsets = batch.column("source_offset").to_numpy()
        versions = batch.column("model_version").cast(pa.string()).dictionary_encode()
        names: list[str | None] = versions.dictionary.to_pylist()
        places = versions.indices.fill_null(-1).to_numpy()[rows]
        # Of the rows of a pane and a version the last has the largest offset.
        _, last = np.unique((panes_us * (len(names) + 1) + places)[::-1], return_index=True)
        for index in (len(rows) - 1 - last).tolist():
            origin = self.panes.setdefault(int(panes_us[index]), PaneOrigin())
            origin.offsets[partition] = max(int(offsets[rows[index]]), origin.offsets.get(partition, -1))
            version = names[places[index]] if places[index] >= 0 else None
            if version and version not in origin.versions:
                origin.versions = sorted([*origin.versions, version])

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
