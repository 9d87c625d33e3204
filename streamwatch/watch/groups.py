"""From scored rows to mentions: which groups a post belongs to, and what it adds to their sums."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

MAX_GROUP_CHARS = 256
PPM = 1_000_000
"""Probabilities are added up as whole millionths, so that a sum does not depend on the order."""
DIMENSIONS = ("topic", "intent", "source", "lang")
SUMS = ("count", "negative", "positive", "p_negative", "p_positive")
"""The partial sums of a pane, all whole numbers."""


def read_posts(batch: pa.RecordBatch) -> pl.DataFrame:
    """Return what the watch needs of every row, in the batch's order.

    Columns: `row` (its index in the batch), `at` (event time in microseconds), the `SUMS`, the `DIMENSIONS` and
    `novelty`. A post of unknown sentiment counts, and is neither negative nor positive.
    """
    columns = ["id", "published_at", "sentiment", "sentiment_probs", "novelty", *DIMENSIONS]
    posts = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch.select(columns)])))
    probability = pl.col("sentiment_probs").list
    return posts.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
        pl.col("published_at").dt.epoch("us").alias("at"),
        pl.lit(1, dtype=pl.Int64).alias("count"),
        (pl.col("sentiment") == "negative").fill_null(value=False).cast(pl.Int64).alias("negative"),
        (pl.col("sentiment") == "positive").fill_null(value=False).cast(pl.Int64).alias("positive"),
        _millionths(probability.get(0, null_on_oob=True)).alias("p_negative"),
        _millionths(probability.get(2, null_on_oob=True)).alias("p_positive"),
        *DIMENSIONS,
        "id",
        "novelty",
    )


def _millionths(probability: pl.Expr) -> pl.Expr:
    return (probability.fill_null(0.0).fill_nan(0.0).cast(pl.Float64).clip(0.0, 1.0) * PPM).round().cast(pl.Int64)


def read_entities(batch: pa.RecordBatch) -> pl.DataFrame:
    """Return one `row`, `entity` for every distinct entity of every row: its ticker, or its name if it has none.

    >>> entities = [[{"name": "Apple", "ticker": "AAPL"}, {"name": "Acme", "ticker": None}], []]
    >>> read_entities(pa.record_batch({"entities": entities})).rows()
    [(0, 'AAPL'), (0, 'Acme')]
    """
    lists = batch.column("entities")
    flat = pc.list_flatten(lists)
    if len(flat) == 0:
        return pl.DataFrame(schema={"row": pl.UInt32, "entity": pl.String})
    ticker, name = pc.struct_field(flat, "ticker"), pc.struct_field(flat, "name")
    known = pc.fill_null(pc.greater(pc.utf8_length(ticker), 0), fill_value=False)
    rows = pc.list_parent_indices(lists).cast(pa.uint32())
    found = pa.table({"row": rows, "entity": pc.if_else(known, ticker, name).cast(pa.string())})
    return pl.DataFrame(pl.from_arrow(found)).unique(maintain_order=True)


def mentions(posts: pl.DataFrame, entities: pl.DataFrame, group_by: tuple[str, ...]) -> pl.DataFrame:
    """Return a row for every post and group that it belongs to, with the column `group`.

    Posts that lack a dimension, such as posts without entities, take no part. The order of `posts` is kept.

    Args:
        posts: As `read_posts` gives them, filtered and sorted at will.
        entities: As `read_entities` gives them.
        group_by: The dimensions of the group.
    """
    if "entity" in group_by:
        posts = posts.join(entities, on="row", how="inner", maintain_order="left")
    if group_by == ("all",):
        group = pl.lit("all")
    elif len(group_by) == 1:
        group = pl.col(group_by[0])
    else:
        group = pl.concat_str(*group_by, separator="|")
    return posts.with_columns(group.str.slice(0, MAX_GROUP_CHARS).alias("group")).filter(
        pl.col("group").str.len_bytes() > 0
    )
