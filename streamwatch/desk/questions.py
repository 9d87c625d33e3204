"""What could be asked of posts, what each question is worth, and why in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from streamwatch.desk.agreement import CONFLICT, ITEM, SETTLED
from streamwatch.model.heads import ENTITY, TASKS
from streamwatch.records import SENTIMENTS

UNSURE, CLASH, CONFLICTING, SECOND, DRIFT, COPY = 1.0, 0.5, 1.0, 0.6, 0.5, 0.05
"""What each reason adds at its most; `COPY` for each doubling of the copies of a post."""
FEW_COPIES = 3
SMALL = 0.05
"""Less than that is no reason worth telling."""

OF_POST = ("lang", "source", "topic", "novelty", "published_at")


class Reason(NamedTuple):
    """Why a question is asked: `kind` for programs, `text` for people."""

    kind: str
    text: str


def asked(posts: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """Return every question that is not settled, with what it is worth.

    Args:
        posts: Rows of the table `posts`; those without probabilities give none.
        settled: What `agreement.settle` found.

    Returns:
        A row a question: its item, `worth`, what it is made of, and of its post what queues go by.
    """
    posts = _whole(posts)
    found = pl.concat([*(_of_text(posts, task) for task in TASKS), _of_entities(posts)], how="diagonal")
    known = settled.select(*ITEM, "status", "said")
    found = found.join(known, on=ITEM, how="left", nulls_equal=True, maintain_order="left")
    found = found.filter(pl.col("status").fill_null("") != SETTLED).with_columns(
        second=pl.col("status").is_not_null(), conflict=(pl.col("status") == CONFLICT).fill_null(value=False)
    )
    worth = (
        UNSURE * (1.0 - pl.col("margin"))
        + CLASH * pl.col("clash")
        + pl.when("conflict").then(CONFLICTING).when("second").then(SECOND).otherwise(0.0)
        + DRIFT * pl.col("drift")
        + COPY * pl.col("copies").log(2.0)
    )
    return found.with_columns(worth.alias("worth"))


def reasons(question: Mapping[str, Any]) -> tuple[Reason, ...]:
    """Return why a question is asked, what counts most first; at least one reason.

    Args:
        question: A row of `asked`.
    """
    about = f" about {question['entity']}" if question["entity"] else ""
    said = ", ".join(question["said"] or ())
    chances = (
        f"{question['first']} ({question['first_prob']:.0%}) or {question['other']} ({question['other_prob']:.0%})"
    )
    found = [
        (UNSURE * (1 - question["margin"]), Reason("unsure", f"{question['task']}{about}: {chances}")),
        (
            CLASH * question["clash"],
            Reason("disagreement", f"{question['first']}{about}, the text as a whole is {question['text_sentiment']}"),
        ),
        (CONFLICTING * question["conflict"], Reason("conflict", f"labellers differ: {said}")),
        (SECOND * (question["second"] and not question["conflict"]), Reason("second", f"another label wanted: {said}")),
        (DRIFT * question["drift"], Reason("drift", "posts of its kind have changed lately")),
        (
            COPY * np.log2(question["copies"]) * (question["copies"] >= FEW_COPIES),
            Reason("copies", f"its label holds for {question['copies']:,} posts that say the same"),
        ),
    ]
    told = sorted((one for one in found if one[0] >= SMALL), key=lambda one: -one[0])
    return tuple(reason for _, reason in told or found[:1])


def _whole(posts: pl.DataFrame) -> pl.DataFrame:
    """Return the posts that have all probabilities, each once, with the columns that the questions need."""
    scored = [pl.col(f"{task}_probs").list.len() == len(names) for task, names in TASKS.items()]
    drift = pl.col("drift").fill_null(0.0).clip(0.0, 1.0) if "drift" in posts.columns else pl.lit(0.0)
    # A post without a hash is a copy of no other.
    own = pl.col("id").hash(seed=1).reinterpret(signed=True)
    return (
        posts.filter(*scored)
        .unique("id", keep="last", maintain_order=True)
        .with_columns(pl.col("novelty").fill_null(own), drift.cast(pl.Float64).alias("drift"))
        .with_columns(pl.len().over("novelty").cast(pl.Int64).alias("copies"))
    )


def _of_text(posts: pl.DataFrame, task: str) -> pl.DataFrame:
    return posts.select(
        pl.col("id").alias("post_id"),
        pl.lit(task).alias("task"),
        pl.lit(None, pl.String).alias("entity"),
        *_two_best(posts[f"{task}_probs"], TASKS[task]),
        pl.lit(0.0).alias("clash"),
        pl.col("sentiment").alias("text_sentiment"),
        *OF_POST,
        "drift",
        "copies",
    )


def _of_entities(posts: pl.DataFrame) -> pl.DataFrame:
    """Return a question for each entity; its verdict may differ from the text's."""
    kept = ["id", "sentiment", "sentiment_probs", "entities", *OF_POST, "drift", "copies"]
    named = posts.select(kept).rename({"sentiment_probs": "text_probs"}).explode("entities", empty_as_null=False)
    about = pl.col("entities").struct
    ticker, probs = about.field("ticker"), about.field("sentiment_probs")
    named = named.with_columns(
        pl.when(ticker.fill_null("") != "").then(ticker).otherwise(about.field("name")).alias("entity"),
        probs.alias("own_probs"),
    ).filter((pl.col("own_probs").list.len() == len(SENTIMENTS)).fill_null(value=False), pl.col("entity").is_not_null())
    apart = np.abs(_matrix(named["own_probs"], SENTIMENTS) - _matrix(named["text_probs"], SENTIMENTS)).sum(axis=1) / 2
    differs = about.field("sentiment") != pl.col("sentiment")
    return named.select(
        pl.col("id").alias("post_id"),
        pl.lit(ENTITY).alias("task"),
        "entity",
        *_two_best(named["own_probs"], SENTIMENTS),
        (pl.Series("clash", apart) * differs.cast(pl.Float64)).fill_null(0.0).alias("clash"),
        pl.col("sentiment").alias("text_sentiment"),
        *OF_POST,
        "drift",
        "copies",
    ).unique(ITEM, keep="first", maintain_order=True)


def _two_best(probabilities: pl.Series, names: tuple[str, ...]) -> list[pl.Series]:
    """Return the two most probable labels of each row, how probable they are, and how far apart."""
    matrix = _matrix(probabilities, names)
    rows = np.arange(len(matrix))
    first = matrix.argmax(axis=1) if len(matrix) else np.zeros(0, np.intp)
    first_prob = matrix[rows, first]
    matrix[rows, first] = -1.0
    other = matrix.argmax(axis=1) if len(matrix) else np.zeros(0, np.intp)
    other_prob = matrix[rows, other]
    labels = pl.Series(names)
    return [
        labels.gather(first).alias("first"),
        labels.gather(other).alias("other"),
        pl.Series("first_prob", first_prob),
        pl.Series("other_prob", other_prob),
        pl.Series("margin", first_prob - other_prob),
    ]


def _matrix(probabilities: pl.Series, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return lists of equal length as the rows of a new matrix."""
    return probabilities.explode().cast(pl.Float64).to_numpy().reshape(-1, len(names)).copy()
