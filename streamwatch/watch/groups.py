"""From scored rows to mentions: which groups a post belongs to, and what it adds to their sums."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

MAX_GROUP_CHARS = 256
TEXT_CHARS = 500
PPM = 1_000_000
"""Probabilities are added up as whole millionths, so that a sum does not depend on the order."""
DIMENSIONS = ("topic", "intent", "source", "lang")
FREE = ("entity", "source")
"""The dimensions whose values may hold any character."""
SUMS = ("count", "negative", "positive", "p_negative", "p_positive")
"""The partial sums of a pane, all whole numbers."""
VERDICT = ("sentiment", "negative", "positive", "p_negative", "p_positive")
"""What a post says of itself as a whole, or of one of its entities."""


def read_posts(batch: pa.RecordBatch) -> pl.DataFrame:
    """Return what the watch needs of every row, in the batch's order.

    Columns: `row` (its index in the batch), `at` (event time in microseconds), the `SUMS`, `sentiment`, the
    `DIMENSIONS`, `id`, `novelty`, `author` and `lot` (see `draw_lots`). A post of unknown sentiment counts, and is
    neither negative nor positive.
    """
    columns = ["id", "published_at", "sentiment", "sentiment_probs", "novelty", "author", *DIMENSIONS]
    posts = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch.select(columns)])))
    return posts.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
        pl.col("published_at").dt.epoch("us").alias("at"),
        pl.lit(1, dtype=pl.Int64).alias("count"),
        *_verdict(),
        *DIMENSIONS,
        "id",
        "novelty",
        "author",
        draw_lots(batch).alias("lot"),
    )


def draw_lots(batch: pa.RecordBatch) -> pl.Series:
    """Return a number for every row that looks drawn by chance, and is always the same for the same row.

    It is the source partition and offset, mixed as SplitMix64 mixes (Steele et al. 2014), so no two rows share one.
    """
    partition = batch.column("source_partition").to_numpy(zero_copy_only=False).astype(np.uint64)
    lots = (partition << np.uint64(44)) + batch.column("source_offset").to_numpy().astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        lots = (lots ^ (lots >> np.uint64(shift))) * np.uint64(factor)
    return pl.Series("lot", (lots ^ (lots >> np.uint64(31))).view(np.int64))


def read_texts(batch: pa.RecordBatch, entities: pl.DataFrame) -> pl.DataFrame:
    """Return `text` (its beginning), `entities` and `names` of every row: what an alert tells of a post.

    Args:
        batch: Scored rows.
        entities: As `read_entities` gives them.
    """
    texts = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch.select(["text"])])))
    found = entities.group_by("row", maintain_order=True).agg(
        pl.col("entity").alias("entities"), pl.col("name").alias("names")
    )
    rows = texts.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"), pl.col("text").str.slice(0, TEXT_CHARS))
    return rows.join(found, on="row", how="left", maintain_order="left").drop("row")


def _verdict() -> list[pl.Expr]:
    """Return the columns of `VERDICT`, from those of a label and its probabilities."""
    probability = pl.col("sentiment_probs").list
    return [
        pl.col("sentiment"),
        (pl.col("sentiment") == "negative").fill_null(value=False).cast(pl.Int64).alias("negative"),
        (pl.col("sentiment") == "positive").fill_null(value=False).cast(pl.Int64).alias("positive"),
        _millionths(probability.get(0, null_on_oob=True)).alias("p_negative"),
        _millionths(probability.get(2, null_on_oob=True)).alias("p_positive"),
    ]


def _millionths(probability: pl.Expr) -> pl.Expr:
    return (probability.fill_null(0.0).fill_nan(0.0).cast(pl.Float64).clip(0.0, 1.0) * PPM).round().cast(pl.Int64)


def read_entities(batch: pa.RecordBatch) -> pl.DataFrame:
    """Return `row`, `entity`, its `name` and the `VERDICT` on it for every distinct entity of every row.

    An entity goes by its ticker, or by its name if it has none.

    >>> apple = {"name": "Apple", "ticker": "AAPL", "sentiment": "negative", "sentiment_probs": [1.0, 0.0, 0.0]}
    >>> acme = {"name": "Acme", "ticker": None, "sentiment": None, "sentiment_probs": None}
    >>> read_entities(pa.record_batch({"entities": [[apple, acme], []]})).rows()
    [(0, 'AAPL', 'Apple', 'negative', 1, 0, 1000000, 0), (0, 'Acme', 'Acme', None, 0, 0, 0, 0)]
    """
    lists = batch.column("entities")
    flat = pc.list_flatten(lists)
    if len(flat) == 0:
        sums = dict.fromkeys(VERDICT[1:], pl.Int64)
        return pl.DataFrame(
            schema={"row": pl.UInt32, **dict.fromkeys(("entity", "name", "sentiment"), pl.String), **sums}
        )
    fields = {name: pc.struct_field(flat, name) for name in ("ticker", "name", "sentiment", "sentiment_probs")}
    known = pc.fill_null(pc.greater(pc.utf8_length(fields["ticker"]), 0), fill_value=False)
    found = pa.table(
        {
            "row": pc.list_parent_indices(lists).cast(pa.uint32()),
            "entity": pc.if_else(known, fields["ticker"], fields["name"]).cast(pa.string()),
            "name": fields["name"].cast(pa.string()),
            "sentiment": fields["sentiment"].cast(pa.string()),
            "sentiment_probs": fields["sentiment_probs"].cast(pa.list_(pa.float32())),
        }
    )
    entities = pl.DataFrame(pl.from_arrow(found)).unique(["row", "entity"], keep="first", maintain_order=True)
    return entities.select("row", "entity", "name", *_verdict())


def mentions(posts: pl.DataFrame, entities: pl.DataFrame, group_by: tuple[str, ...]) -> pl.DataFrame:
    """Return a row for every post and group that it belongs to, with the column `group`.

    Posts that lack a dimension, such as posts without entities, take no part. Among entities the verdict is the one
    on the entity: a post that praises one and damns the other counts so. The order of `posts` is kept.

    Args:
        posts: As `read_posts` gives them, filtered and sorted at will.
        entities: As `read_entities` gives them.
        group_by: The dimensions of the group.
    """
    if "entity" in group_by:
        posts = posts.drop(VERDICT).join(entities.drop("name"), on="row", how="inner", maintain_order="left")
    if group_by == ("all",):
        group = pl.lit("all")
    elif len(group_by) == 1:
        group = pl.col(group_by[0])
    else:
        group = pl.concat_str(*group_by, separator="|")
    return posts.with_columns(group.str.slice(0, MAX_GROUP_CHARS).alias("group")).filter(
        pl.col("group").str.len_bytes() > 0
    )


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
