"""From scored rows to mentions: which groups a post belongs to, and what it adds to their sums.

A million mentions a second leave a microsecond for each, so everything here is arrays, and strings are touched once:
columns that only an explained alert needs stay in the micro-batch (samples.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

MAX_GROUP_CHARS = 256
PPM = 1_000_000
"""Probabilities are added up as whole millionths, so that a sum does not depend on the order."""
DIMENSIONS = ("topic", "intent", "source", "lang")
FREE = ("entity", "source")
"""The dimensions whose values may hold any character."""
SUMS = ("count", "negative", "positive", "p_negative", "p_positive")
"""The partial sums of a pane, all whole numbers."""
NEGATIVE_PLACE, POSITIVE_PLACE = 0, 2
"""Where the probabilities of a sentiment stand in its vector."""
ROW_FACTOR = 0x9E3779B97F4A7C15

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]


class Posts(NamedTuple):
    """What the watch needs of every row of a micro-batch: event times in microseconds, lots and `SUMS`."""

    at_us: Ints
    lots: Ints
    sums: Ints


class Mentions(NamedTuple):
    """A group that a row belongs to, and what the row adds to its `SUMS`, shape `(sums, mentions)`."""

    rows: Ints
    groups: pl.Series
    sums: Ints

    def only(self, keep: Bools) -> Mentions:
        """Return those that are to be kept."""
        if keep.all():
            return self
        return Mentions(self.rows[keep], self.groups.filter(pl.Series(keep)), self.sums[:, keep])


def read_posts(batch: pa.RecordBatch) -> Posts:
    """Return what the watch needs of every row; without a sentiment it counts, and is neither negative nor positive."""
    at_us = batch.column("published_at").cast(pa.int64()).to_numpy()
    return Posts(at_us, draw_lots(batch), _verdict(batch.column("sentiment"), batch.column("sentiment_probs")))


def draw_lots(batch: pa.RecordBatch) -> Ints:
    """Return a number for every row that looks drawn by chance, and is always the same for the same row.

    It is the source partition and offset, mixed, so no two rows share one.
    """
    partition = batch.column("source_partition").to_numpy(zero_copy_only=False).astype(np.uint64)
    lots = (partition << np.uint64(44)) + batch.column("source_offset").to_numpy().astype(np.uint64)
    return mix(lots).view(np.int64)


def mix(numbers: Words) -> Words:
    """Return numbers that look drawn by chance, one for each, as SplitMix64 does (Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    mixed: Words = numbers ^ (numbers >> np.uint64(31))
    return mixed


def read_entities(batch: pa.RecordBatch) -> Mentions:
    """Return every distinct entity of every row, with the verdict on it.

    An entity goes by its ticker, or by its name if it has none.

    >>> apple = {"name": "Apple", "ticker": "AAPL", "sentiment": "negative", "sentiment_probs": [1.0, 0.0, 0.0]}
    >>> acme = {"name": "Acme", "ticker": None, "sentiment": None, "sentiment_probs": None}
    >>> found = read_entities(pa.record_batch({"entities": [[apple, acme, apple], []]}))
    >>> found.rows.tolist(), found.groups.to_list(), found.sums[:2].tolist()
    ([0, 0], ['AAPL', 'Acme'], [[1, 1], [1, 0]])
    """
    lists = batch.column("entities")
    flat = pc.list_flatten(lists)
    if len(flat) == 0:
        return Mentions(np.zeros(0, np.int64), pl.Series("group", [], pl.String), np.zeros((len(SUMS), 0), np.int64))
    names = pl.Series("group", entity_names(flat))
    rows = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    verdict = _verdict(pc.struct_field(flat, "sentiment"), pc.struct_field(flat, "sentiment_probs"))
    return Mentions(rows, names, verdict).only(_is_first(rows, names) & names.is_not_null().to_numpy())


def entity_names(entities: pa.StructArray) -> pa.Array:
    """Return what entities go by."""
    tickers = pc.struct_field(entities, "ticker").cast(pa.string())
    known = pc.fill_null(pc.greater(pc.binary_length(tickers), 0), fill_value=False)
    if pc.all(known).as_py():
        return tickers
    return pc.if_else(known, tickers, pc.struct_field(entities, "name").cast(pa.string()))


def _is_first(rows: Ints, names: pl.Series) -> Bools:
    """Say which mentions name an entity that their row did not name before; a sort of hashes finds the suspects."""
    hashes = names.hash().to_numpy() + rows.view(np.uint64) * np.uint64(ROW_FACTOR)
    ordered = np.sort(hashes)
    found = np.ones(len(rows), bool)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(again):
        suspects = np.flatnonzero(np.isin(hashes, again))
        both = pl.DataFrame({"row": rows[suspects], "name": names[suspects]})
        found[suspects] = both.select(pl.struct("row", "name").is_first_distinct()).to_series().to_numpy()
    return found


def _verdict(labels: pa.Array, probs: pa.ListArray) -> Ints:
    """Return the `SUMS` of posts, or of entities, from the columns of a label and its probabilities."""
    sums = np.ones((len(SUMS), len(labels)), np.int64)
    for place, label in ((1, "negative"), (2, "positive")):
        sums[place] = pc.fill_null(pc.equal(labels, label), fill_value=False).to_numpy(zero_copy_only=False)
    for place, index in ((3, NEGATIVE_PLACE), (4, POSITIVE_PLACE)):
        sums[place] = _millionths(probs, index)
    return sums


def _millionths(probs: pa.ListArray, index: int) -> Ints:
    """Return one probability of every vector, 0 where there is none."""
    values = probs.values.to_numpy(zero_copy_only=False)
    starts = probs.offsets.to_numpy()
    known = np.diff(starts) > index
    if probs.null_count:
        known &= probs.is_valid().to_numpy(zero_copy_only=False)
    found = np.zeros(len(known))
    found[known] = values[starts[:-1][known] + index]
    return np.floor(np.clip(np.nan_to_num(found, nan=0.0), 0.0, 1.0) * PPM + 0.5).astype(np.int64)


def mentions(batch: pa.RecordBatch, posts: Posts, entities: Mentions, group_by: tuple[str, ...]) -> Mentions:
    """Return a mention for every post and group that it belongs to, in the order of the posts.

    Posts that lack a dimension, such as posts without entities, take no part. Among entities the verdict is the one
    on the entity: a post that praises one and damns the other counts so.

    Args:
        batch: The micro-batch.
        posts: As `read_posts` gives them.
        entities: As `read_entities` gives them.
        group_by: The dimensions of the group.
    """
    everybody = Mentions(np.arange(batch.num_rows), pl.Series("group", [], pl.String), posts.sums)
    found = entities if "entity" in group_by else everybody
    columns = [found.groups if name == "entity" else _dimension(batch, name, found) for name in group_by]
    groups = columns[0] if len(columns) == 1 else pl.select(pl.concat_str(*columns, separator="|")).to_series()
    sizes = groups.str.len_bytes().fill_null(0).to_numpy()
    if sizes.max(initial=0) > MAX_GROUP_CHARS:
        groups = groups.str.slice(0, MAX_GROUP_CHARS)
    return found._replace(groups=groups).only(sizes > 0)


def _dimension(batch: pa.RecordBatch, name: str, found: Mentions) -> pl.Series:
    if name == "all":
        return pl.repeat("all", len(found.rows), eager=True)
    return pl.Series(batch.column(name).cast(pa.string()))[found.rows]


def group_parts(group_by: str, group: str) -> dict[str, str]:
    """Return what a group holds of each dimension of its monitor.

    >>> group_parts("entity|topic", "AAPL|earnings")
    {'entity': 'AAPL', 'topic': 'earnings'}

    Args:
        group_by: The dimensions as `Monitor.grouping` writes them.
        group: The group.
    """
    dimensions = group_by.split("|")
    if len(dimensions) == 1:
        return {group_by: group}
    first, _, second = group.rpartition("|") if dimensions[0] in FREE else group.partition("|")
    return dict(zip(dimensions, (first, second), strict=True))
