"""Which posts to label next: those that teach the model most, each with the reasons why.

A question is a post and a task; for the task `entity` also the entity. What asking it is worth adds up from how unsure
the model is, whether its verdicts disagree, whether another person's label is wanted, how many copies of the post there
are, and drift. Then questions are taken one by one, each worth less the more there are already of its language, source
and topic (a greedy choice, as for submodular gains: Nemhauser and others 1978); near copies of a post that was labelled
or taken are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from streamwatch.desk.agreement import ITEM, settle, votes
from streamwatch.desk.questions import Reason, asked, reasons
from streamwatch.ingest.novelty import differing_bits
from streamwatch.watch.stories import NEAR_BITS

CANDIDATES = 2_000
"""Questions that are looked at one by one: those worth most, and the best of each kind."""
BEST_OF_KIND = 10
KIND = ("lang", "source", "topic")
CROWDING = 0.5
"""A question is worth `1 / (1 + CROWDING n)` of its worth where n of its language, source and topic were taken."""
LEAST_ROOM = 4
"""Candidates for each question that is wanted."""


class Pick(NamedTuple):
    """A question to ask.

    Attributes:
        post_id: The post.
        task: What to ask of it.
        entity: Whom the question is about; None but for the task `entity`.
        worth: What it teaches, as it was when it was taken.
        reasons: Why it was taken, what counts most first.
    """

    post_id: str
    task: str
    entity: str | None
    worth: float
    reasons: tuple[Reason, ...]


def next_questions(
    posts: pl.DataFrame,
    labels: pl.DataFrame,
    count: int,
    *,
    agreeing: Mapping[str, int] | None = None,
    labeller: str | None = None,
) -> list[Pick]:
    """Return the questions that teach most, the best first; the same for the same rows.

    Args:
        posts: Rows of the table `posts`. A column `drift`, from 0 to 1, says how much a post's kind has changed lately.
        labels: Rows of the table `labels`.
        count: At most so many.
        agreeing: How many labellers must agree, by task; one, where it says nothing.
        labeller: Who is going to be asked: nothing that they labelled before.
    """
    found = asked(posts, settle(labels, agreeing))
    if labeller is not None:
        theirs = votes(labels).filter(pl.col("labeller") == labeller)
        found = found.join(theirs, on=ITEM, how="anti", nulls_equal=True)
    candidates = _candidates(found, max(CANDIDATES, LEAST_ROOM * count))
    known = posts.join(labels.select("post_id").unique(), left_on="id", right_on="post_id", how="semi")
    candidates = _unlike(candidates, known)
    rows = [(candidates.row(place, named=True), worth) for place, worth in _greedy(candidates, count)]
    return [Pick(row["post_id"], row["task"], row["entity"], worth, reasons(row)) for row, worth in rows]


def _candidates(found: pl.DataFrame, room: int) -> pl.DataFrame:
    """Return the questions worth most, and the best of each kind of post, one a post."""
    ordered = found.sort("worth", "published_at", "post_id", "task", "entity", descending=[True, True, *[False] * 3])
    ordered = ordered.unique("post_id", keep="first", maintain_order=True).with_row_index("place")
    rank = pl.col("place").rank("ordinal").over(KIND)
    return ordered.filter((pl.col("place") < room) | (rank <= BEST_OF_KIND)).head(2 * room)


def _unlike(candidates: pl.DataFrame, labelled: pl.DataFrame) -> pl.DataFrame:
    """Return the candidates that are no near copies of another post that was labelled."""
    hashes, ids = (labelled[name].to_numpy() for name in ("novelty", "id"))
    mine, own = (candidates[name].to_numpy() for name in ("novelty", "post_id"))
    near = np.zeros(len(mine), np.bool_)
    for start in range(0, len(hashes), 1_000):
        part = slice(start, start + 1_000)
        alike = differing_bits(mine[:, None], hashes[None, part]) <= NEAR_BITS
        near |= (alike & (own[:, None] != ids[None, part])).any(axis=1)
    return candidates.filter(~pl.Series(near))


def _greedy(candidates: pl.DataFrame, count: int) -> list[tuple[int, float]]:
    """Return the places of the questions that are taken, in turn, and what each was worth then."""
    worth = candidates["worth"].to_numpy().copy()
    like_it = np.zeros(len(worth))
    hashes = candidates["novelty"].to_numpy()
    kinds = [candidates[name].fill_null("").rank("dense").to_numpy() for name in KIND]
    taken: list[tuple[int, float]] = []
    while len(taken) < min(count, len(worth)):
        now = worth / (1.0 + CROWDING * like_it)
        place = int(now.argmax())
        if now[place] <= 0.0:
            break
        taken.append((place, float(now[place])))
        like_it += _alike(kinds, place)
        worth[differing_bits(hashes, hashes[place : place + 1]) <= NEAR_BITS] = 0.0
        worth[place] = 0.0
    return taken


def _alike(kinds: list[NDArray[np.uint32]], place: int) -> NDArray[np.float64]:
    """Return for each question which share of its language, source and topic it has in common with one of them."""
    shared: NDArray[np.float64] = np.mean([kind == kind[place] for kind in kinds], axis=0)
    return shared
