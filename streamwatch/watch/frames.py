"""Frames that grow part by part, and their bytes in a snapshot."""

from __future__ import annotations

import io
from collections.abc import Callable

import polars as pl


class Parts:
    """A frame that arrives in parts and is put together only when that pays.

    Merging every micro-batch into one large frame would cost as much as the frame is large. So parts are kept
    until they hold as many rows as the whole did last time: the cost for a row stays the same however many keys
    are open.

    Args:
        empty: An empty frame with the columns.
        merge: Makes one frame of all parts; merging twice changes nothing.
    """

    LEAST_ROWS = 20_000

    def __init__(self, empty: pl.DataFrame, merge: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        self._merge = merge
        self._parts = [empty]
        self._rows = 0
        self._merged_rows = 0

    def add(self, part: pl.DataFrame) -> None:
        """Add rows."""
        self._parts.append(part)
        self._rows += part.height
        if self._rows > 2 * self._merged_rows + self.LEAST_ROWS:
            self.whole()

    def whole(self) -> pl.DataFrame:
        """Return all rows, merged."""
        if len(self._parts) > 1:
            self.replace(self._merge(pl.concat(self._parts)))
        return self._parts[0]

    def replace(self, whole: pl.DataFrame) -> None:
        """Put a merged frame in the place of everything."""
        self._parts = [whole]
        self._rows = self._merged_rows = whole.height

    @property
    def rows(self) -> int:
        """How many rows are held, merged or not."""
        return self._rows


def pack_frame(frame: pl.DataFrame) -> bytes:
    """Write a frame as Arrow IPC."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="zstd")
    return buffer.getvalue()


def unpack_frame(data: bytes) -> pl.DataFrame:
    """Read what `pack_frame` wrote."""
    return pl.read_ipc_stream(io.BytesIO(data))
