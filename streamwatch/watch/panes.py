"""Panes: partial sums of one hop, for every group."""

from __future__ import annotations

import polars as pl

from streamwatch.watch.frames import Parts
from streamwatch.watch.groups import SUMS

SCHEMA: dict[str, type[pl.DataType]] = {"pane": pl.Int64, "group": pl.String, **dict.fromkeys(SUMS, pl.Int64)}


def add_up(mentions: pl.DataFrame) -> pl.DataFrame:
    """Sum mentions, or sums of them, by pane and group.

    >>> row = {"pane": 0, "group": "AAPL", "count": 1, "negative": 1, "positive": 0, "p_negative": 7, "p_positive": 1}
    >>> add_up(pl.DataFrame([row, row])).row(0)
    (0, 'AAPL', 2, 2, 0, 14, 2)
    """
    return mentions.group_by("pane", "group").agg(pl.col(*SUMS).sum())


class OpenPanes:
    """The panes that may still get rows: one row for each pane and group. Cost follows open panes, not history."""

    def __init__(self) -> None:
        self._parts = Parts(pl.DataFrame(schema=SCHEMA), add_up)

    def add(self, mentions: pl.DataFrame) -> None:
        """Add a micro-batch's mentions: columns `pane`, `group` and the sums."""
        self._parts.add(add_up(mentions))

    def close(self, until_us: int) -> pl.DataFrame:
        """Take out the panes that start before an instant, sorted by pane and group."""
        whole = self._parts.whole()
        closed = pl.col("pane") < until_us
        taken = whole.filter(closed)
        if taken.height:
            self._parts.replace(whole.filter(~closed))
        return taken.sort("pane", "group")

    def whole(self) -> pl.DataFrame:
        """Return every open pane."""
        return self._parts.whole()

    def restore(self, frame: pl.DataFrame) -> None:
        """Put back what `whole` gave."""
        self._parts.replace(frame)

    @property
    def rows(self) -> int:
        """How many rows the frame holds."""
        return self._parts.rows
