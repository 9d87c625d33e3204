"""What people agree on: of each post and task the settled label, the conflicts, and how far labellers agree by chance.

Labels come as rows of the table `labels`. What is labelled is an item: a post, a task, and for the task `entity` the
entity. A labeller's last label of an item is the vote that counts, however often it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

ITEM = ("post_id", "task", "entity")
SETTLED, OPEN, CONFLICT = "settled", "open", "conflict"


class TaskAgreement(NamedTuple):
    """How far the labellers of a task agree, over the items that two or more of them labelled.

    Attributes:
        task: The task.
        items: How many such items there are.
        labellers: How many people labelled them.
        agreement: Share of pairs of votes on one item that are the same.
        kappa: Fleiss' kappa: what of that is more than chance; None where chance alone gives full agreement.
    """

    task: str
    items: int
    labellers: int
    agreement: float
    kappa: float | None


class PairAgreement(NamedTuple):
    """How far two labellers agree on the items of a task that both labelled; `kappa` is Cohen's."""

    task: str
    first: str
    second: str
    items: int
    agreement: float
    kappa: float | None


def votes(labels: pl.DataFrame) -> pl.DataFrame:
    """Return of each labeller and item the last label, by its time, then by its offset in the stream.

    Args:
        labels: Rows of the table `labels`.
    """
    ordered = labels.sort("labelled_at", "version")
    return ordered.unique([*ITEM, "labeller"], keep="last", maintain_order=True)


def settle(labels: pl.DataFrame, agreeing: Mapping[str, int] | None = None) -> pl.DataFrame:
    """Decide the label of each item.

    An item is `settled` when one label has more votes than any other, and at least as many as its task asks for. It is
    a `conflict` when labellers differ and it is not settled, and `open` when it only lacks votes.

    Args:
        labels: Rows of the table `labels`.
        agreeing: How many labellers must agree, by task; one, where it says nothing.

    Returns:
        A row an item, in the order of the items: `status`, `gold_label` (null unless settled), `votes`, `agreeing`
        (the votes of the leading label), `said` (each labeller's vote, as `labeller: label`) and `last_at`.
    """
    needed = pl.col("task").replace_strict(dict(agreeing or {}), default=1, return_dtype=pl.Int64)
    counted = votes(labels).sort("labeller")
    by_label = counted.group_by(*ITEM, "gold_label").agg(pl.len().cast(pl.Int64).alias("n")).sort("n", "gold_label")
    leading = by_label.group_by(ITEM).agg(
        pl.col("gold_label").last(),
        pl.col("n").last().alias("agreeing"),
        (pl.col("n") == pl.col("n").max()).sum().alias("leaders"),
        pl.len().alias("labels"),
    )
    of_item = counted.group_by(ITEM).agg(
        pl.len().cast(pl.Int64).alias("votes"),
        pl.format("{}: {}", "labeller", "gold_label").alias("said"),
        pl.col("labelled_at").max().alias("last_at"),
    )
    settled = (pl.col("leaders") == 1) & (pl.col("agreeing") >= needed)
    differ = pl.when(pl.col("labels") > 1).then(pl.lit(CONFLICT)).otherwise(pl.lit(OPEN))
    return (
        of_item.join(leading, on=ITEM, nulls_equal=True)
        .with_columns(pl.when(settled).then(pl.lit(SETTLED)).otherwise(differ).alias("status"))
        .with_columns(pl.when(settled).then("gold_label").alias("gold_label"))
        .select(*ITEM, "status", "gold_label", "votes", "agreeing", "said", "last_at")
        .sort(*ITEM, nulls_last=False)
    )


def by_task(labels: pl.DataFrame) -> list[TaskAgreement]:
    """Return how far the labellers of each task agree; tasks in which no item has two votes are left out."""
    found = []
    for (task,), rows in votes(labels).sort("task").group_by("task", maintain_order=True):
        shared = rows.filter(pl.len().over(ITEM) > 1)
        if shared.height:
            counts = _counts(shared)
            people = shared["labeller"].n_unique()
            found.append(TaskAgreement(str(task), len(counts), people, _same_pairs(counts), fleiss_kappa(counts)))
    return found


def by_pair(labels: pl.DataFrame) -> list[PairAgreement]:
    """Return how far each two labellers agree, by task; pairs without a common item are left out."""
    found = []
    for (task,), rows in votes(labels).sort("task").group_by("task", maintain_order=True):
        of = {str(name): part for (name,), part in rows.sort("labeller").group_by("labeller", maintain_order=True)}
        for first, second in combinations(of, 2):
            both = of[first].join(of[second], on=ITEM, nulls_equal=True)
            if both.height:
                found.append(_pair(str(task), first, second, both))
    return found


def _pair(task: str, first: str, second: str, both: pl.DataFrame) -> PairAgreement:
    names = sorted({*both["gold_label"], *both["gold_label_right"]})
    table = np.zeros((len(names), len(names)), np.int64)
    for one, other in both.select("gold_label", "gold_label_right").iter_rows():
        table[names.index(one), names.index(other)] += 1
    return PairAgreement(task, first, second, both.height, float(np.trace(table) / both.height), cohen_kappa(table))


def cohen_kappa(table: NDArray[np.int64]) -> float | None:
    """Return Cohen's kappa (1960) of two labellers.

    Args:
        table: How often the first gave the label of a row and the second that of a column, `(labels, labels)`.

    >>> round(cohen_kappa(np.array([[20, 5], [10, 15]])), 3)
    0.4
    """
    shares = table / table.sum()
    return _beyond_chance(float(np.trace(shares)), float(shares.sum(axis=0) @ shares.sum(axis=1)))


def fleiss_kappa(counts: NDArray[np.int64]) -> float | None:
    """Return Fleiss' kappa (1971) of any number of labellers; items need not have equally many votes.

    Args:
        counts: How many votes each label got, `(items, labels)`; two or more an item.

    >>> round(fleiss_kappa(np.array([[2, 0], [2, 0], [1, 1], [0, 2]])), 3)
    0.467
    """
    shares = counts.sum(axis=0) / counts.sum()
    each = counts.sum(axis=1)
    same = (counts * (counts - 1)).sum(axis=1) / (each * (each - 1))
    return _beyond_chance(float(same.mean()), float(shares @ shares))


def _beyond_chance(seen: float, expected: float) -> float | None:
    return None if expected >= 1.0 else (seen - expected) / (1.0 - expected)


def _same_pairs(counts: NDArray[np.int64]) -> float:
    each = counts.sum(axis=1)
    return float((counts * (counts - 1)).sum() / (each * (each - 1)).sum())


def _counts(shared: pl.DataFrame) -> NDArray[np.int64]:
    wide = shared.group_by(*ITEM, "gold_label").len().sort(*ITEM, "gold_label")
    items = wide.select(pl.struct(ITEM).rank("dense") - 1).to_series().to_numpy()
    places = wide.select(pl.col("gold_label").rank("dense") - 1).to_series().to_numpy()
    counts = np.zeros((int(items.max()) + 1, int(places.max()) + 1), np.int64)
    counts[items.astype(np.intp), places.astype(np.intp)] = wide["len"].to_numpy()
    return counts
