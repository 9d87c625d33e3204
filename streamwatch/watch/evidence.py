"""Evidence: the posts that speak loudest of each group, kept beside its panes."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from streamwatch.records import EvidencePost
from streamwatch.watch.frames import Parts
from streamwatch.watch.groups import PPM
from streamwatch.watch.instants import NEVER, from_us

MOST_POSTS = 5
"""Posts of an alert, and candidates kept for each pane and group."""
TEXT_CHARS = 500

SCHEMA: dict[str, type[pl.DataType]] = {
    "pane": pl.Int64,
    "group": pl.String,
    "at": pl.Int64,
    "p_negative": pl.Int64,
    "novelty": pl.Int64,
    "id": pl.String,
    "source": pl.String,
    "sentiment": pl.String,
    "text": pl.String,
}


def loudest(posts: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    """Return the most negative posts of each group, copies once, the earlier and then the lesser id first in a tie.

    The choice of a whole is the choice among the choices of its parts, so the way posts come in does not show.
    """
    ranked = posts.sort("p_negative", "at", "id", descending=[True, False, False], maintain_order=True)
    once = ranked.unique([*by, "novelty"], keep="first", maintain_order=True)
    if by:
        return once.filter(pl.int_range(pl.len()).over(*by) < MOST_POSTS)
    return once.head(MOST_POSTS)


class Evidence:
    """Candidates for evidence: at most five posts for each pane and group that a window still needs."""

    def __init__(self) -> None:
        self._needed_us = NEVER
        self._parts = Parts(pl.DataFrame(schema=SCHEMA), self._choose)

    def _choose(self, posts: pl.DataFrame) -> pl.DataFrame:
        return loudest(posts.filter(pl.col("pane") >= self._needed_us), ("pane", "group"))

    def add(self, mentions: pl.DataFrame, batch: pa.RecordBatch) -> None:
        """Add a micro-batch.

        Args:
            mentions: Columns `pane`, `group`, `row`, `at`, `p_negative`, `novelty`, `id`, `source` and `sentiment`.
            batch: The scored rows that `row` counts in.
        """
        columns = ["row", "pane", "group", "at", "p_negative", "novelty", "id", "source", "sentiment"]
        unknown = pl.col("id").hash().reinterpret(signed=True)
        chosen = loudest(mentions.select(columns).with_columns(pl.col("novelty").fill_null(unknown)), ("pane", "group"))
        texts = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch.select(["text"])])))
        texts = texts[chosen["row"]].with_columns(pl.col("text").str.slice(0, TEXT_CHARS))
        self._parts.add(pl.concat([chosen.drop("row"), texts], how="horizontal").select(*SCHEMA))

    def of(self, group: str, start_us: int, end_us: int) -> list[EvidencePost]:
        """Return the posts of a group that speak loudest in the window `[start, end)`."""
        in_window = (pl.col("group") == group) & (pl.col("pane") >= start_us) & (pl.col("pane") < end_us)
        return [
            EvidencePost(
                id=row["id"],
                source=row["source"],
                published_at=from_us(row["at"]),
                text=row["text"],
                sentiment=row["sentiment"] or "unknown",
                negative_prob=row["p_negative"] / PPM,
            )
            for row in loudest(self._parts.whole().filter(in_window), ()).iter_rows(named=True)
        ]

    def forget(self, before_us: int) -> None:
        """Drop the panes that start before an instant, when the candidates are next put together."""
        self._needed_us = before_us

    def whole(self) -> pl.DataFrame:
        """Return every candidate."""
        return self._parts.whole()

    def restore(self, frame: pl.DataFrame) -> None:
        """Put back what `whole` gave."""
        self._parts.replace(frame)
