"""Distinct things by pane and group: how many sources write, and how often each text comes.

What is kept is a distinct sample (Gibbons 2001; Gibbons and Tirthapura 2001). Every thing has a hash. While a pane and
group has at most `MOST_THINGS`, all of them are kept and everything is exact; beyond, only those with hashes in the
lowest half, quarter and so on (the level), and each stands for 2, 4 and so on. Which are kept follows from the set of
things alone: not from their order, nor from how they were cut, so samples of panes can be put together to that of a
window. Memory is bounded for each pane and group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from scipy import special

from streamwatch.watch.frames import Parts
from streamwatch.watch.groups import Posts, mix
from streamwatch.watch.keys import Ints, Places, recoded

MOST_THINGS = 256
HALF = 0.5 + 1e-9
"""What is rounded up, whatever the last digits of a sum are."""
HASH_BITS = 62
SCHEMA = dict.fromkeys(("place", "thing", "count", "level"), pl.Int64)
TALLIED = ("sources", "novel_count")
"""The measures that need more than sums."""


class Tally(NamedTuple):
    """Things of a closed pane, sorted by key and thing: their hashes, how often they came, and the key's level."""

    keys: Ints
    things: Ints
    counts: Ints
    levels: Ints


class OpenTally:
    """The things of the panes that may still get rows.

    Args:
        measure: What is told apart: sources, or texts.
    """

    def __init__(self, measure: str) -> None:
        self._read = source_hashes if measure == "sources" else text_hashes
        self._parts = Parts(pl.DataFrame(schema=SCHEMA), _merge)

    def add(self, places: Ints, rows: Ints, posts: Posts, batch: pa.RecordBatch) -> None:
        """Add a micro-batch's mentions.

        Args:
            places: Where each belongs.
            rows: The row of each.
            posts: As `groups.read_posts` gives them.
            batch: What `rows` counts in.
        """
        things = self._read(posts, batch)[rows]
        columns = {"place": places, "thing": things, "count": np.ones(len(rows), np.int64), "level": 0}
        self._parts.add(_merge(pl.DataFrame(columns, schema=SCHEMA)))

    def close(self, before: int) -> pl.DataFrame:
        """Take out what is before a place."""
        whole = self._parts.whole()
        closed = pl.col("place") < before
        taken = whole.filter(closed)
        if taken.height:
            self._parts.replace(whole.filter(~closed))
        return taken

    def recode(self, places: Places, codes: Ints) -> None:
        """Give groups other codes: `codes` has the new one where the old one points."""
        self._parts.replace(recoded(self._parts.whole(), places, codes))

    def whole(self) -> pl.DataFrame:
        """Return everything."""
        return self._parts.whole()

    def restore(self, frame: pl.DataFrame) -> None:
        """Put back what `whole` gave."""
        self._parts.replace(frame)


def source_hashes(_: Posts, batch: pa.RecordBatch) -> Ints:
    """Return a hash of each row's source, the same on every machine."""
    encoded = batch.column("source").cast(pa.string()).dictionary_encode()
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in encoded.dictionary.to_pylist()]
    hashes = np.array([int.from_bytes(digest, "big") >> (64 - HASH_BITS) for digest in digests], np.int64)
    found: Ints = hashes[encoded.indices.to_numpy()]
    return found


def text_hashes(posts: Posts, batch: pa.RecordBatch) -> Ints:
    """Return a hash of what each row says: copies share it; a row of unknown words is like no other."""
    novelty = batch.column("novelty")
    words = pc.fill_null(novelty, 0).to_numpy()
    if novelty.null_count:
        words = np.where(novelty.is_null().to_numpy(zero_copy_only=False), posts.lots, words)
    return (mix(words.view(np.uint64)) >> np.uint64(64 - HASH_BITS)).astype(np.int64)


def _merge(parts: pl.DataFrame) -> pl.DataFrame:
    """Count each thing of a place once, and raise the level of places that hold too many."""
    found = parts.group_by("place", "thing").agg(pl.col("count").sum(), pl.col("level").max())
    found = _thinned(found.with_columns(pl.col("level").max().over("place")))
    crowded = pl.len().over("place") > MOST_THINGS
    while found.select(crowded.any()).item():
        found = _thinned(found.with_columns(pl.col("level") + crowded.cast(pl.Int64)))
    return found


def _thinned(found: pl.DataFrame) -> pl.DataFrame:
    """Leave out the things that a place's level does not let stand."""
    bars = np.int64(1) << (HASH_BITS - found["level"].to_numpy())
    return found.filter(pl.Series(found["thing"].to_numpy() < bars))


def weigh(tallies: Sequence[Tally], measure: str, keys: int) -> Ints:
    """Return the measure of a window for each key, rounded.

    `sources` counts the distinct things. `novel_count` lets each copy of a text count one part of its rank: the first
    one, the second a half, so a text that comes c times counts 1 + 1/2 + ... + 1/c.

    >>> pane = Tally(*(np.array(column) for column in ([0, 0, 1], [7, 9, 7], [1, 3, 4], [0, 0, 0])))
    >>> weigh([pane, pane], "sources", 2).tolist(), weigh([pane, pane], "novel_count", 2).tolist()
    ([2, 1], [4, 3])

    Args:
        tallies: Of the panes of the window.
        measure: One of `TALLIED`.
        keys: How many keys there are.
    """
    key, thing, count, level = (np.concatenate(columns) for columns in zip(NO_THINGS, *tallies, strict=True))
    levels = np.zeros(keys, np.int64)
    np.maximum.at(levels, key, level)
    stand = thing < np.int64(1) << (HASH_BITS - levels[key])
    key, thing, count = key[stand], thing[stand], count[stand]
    order = np.lexsort((thing, key))
    key, thing = key[order], thing[order]
    is_first = np.append(True, (key[1:] != key[:-1]) | (thing[1:] != thing[:-1]))[: len(key)]
    firsts = np.flatnonzero(is_first)
    weights = np.ones(len(firsts))
    if measure == "novel_count" and len(firsts):
        weights = special.digamma(np.add.reduceat(count[order], firsts) + 1.0) + np.euler_gamma
    whole = np.bincount(key[firsts], weights, minlength=keys) * 2.0**levels
    return np.floor(whole + HALF).astype(np.int64)


NO_THINGS = Tally(*(np.zeros(0, np.int64) for _ in Tally._fields))
