"""Panes: partial sums of one hop, for every group."""

from __future__ import annotations

import numpy as np
import polars as pl

from streamwatch.watch.frames import Parts
from streamwatch.watch.groups import SUMS
from streamwatch.watch.keys import Ints, Places, recoded

SCHEMA: dict[str, type[pl.DataType]] = {"place": pl.Int64, **dict.fromkeys(SUMS, pl.Int64)}


def add_up(places: Ints, sums: Ints) -> tuple[Ints, Ints]:
    """Return the distinct places, in order, and their sums, `(sums, places)`.

    >>> [found.tolist() for found in add_up(np.array([7, 3, 7]), np.array([[1, 1, 1], [0, 5, 2]]))]
    [[3, 7], [[1, 2], [5, 2]]]

    Args:
        places: At least one.
        sums: Of each, `(sums, places)`.
    """
    order = np.argsort(places)
    ordered = places[order]
    firsts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return ordered[firsts], np.stack([np.add.reduceat(column[order], firsts) for column in sums])


def _merge(parts: pl.DataFrame) -> pl.DataFrame:
    return parts.group_by("place").agg(pl.col(*SUMS).sum())


class OpenPanes:
    """The panes that may still get rows: a row of sums for each place. Cost follows open panes, not history."""

    def __init__(self) -> None:
        self._parts = Parts(pl.DataFrame(schema=SCHEMA), _merge)

    def add(self, places: Ints, sums: Ints) -> None:
        """Add a micro-batch's mentions: where they belong, at least one, and their `SUMS`."""
        found, added = add_up(places, sums)
        self._parts.add(pl.DataFrame({"place": found, **dict(zip(SUMS, added, strict=True))}))

    def close(self, before: int) -> tuple[Ints, Ints]:
        """Take out what is before a place; return its places, in order, and their sums, `(sums, places)`."""
        whole = self._parts.whole()
        closed = pl.col("place") < before
        taken = whole.filter(closed).sort("place")
        if taken.height:
            self._parts.replace(whole.filter(~closed))
        return taken["place"].to_numpy(), np.ascontiguousarray(taken.select(SUMS).to_numpy().T)

    def codes(self, places: Places) -> Ints:
        """Return the distinct codes of the groups."""
        return np.unique(places.code(self._parts.whole()["place"].to_numpy()))

    def recode(self, places: Places, codes: Ints) -> None:
        """Give groups other codes: `codes` has the new one where the old one points."""
        self._parts.replace(recoded(self._parts.whole(), places, codes))

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
