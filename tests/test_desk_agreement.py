from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from streamwatch.desk.agreement import by_pair, by_task, fleiss_kappa, settle
from streamwatch.store.rows import rows_table

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def label(post: str, who: str, said: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "post_id": post,
        "task": "sentiment",
        "gold_label": said,
        "labeller": who,
        "labelled_at": NOON + timedelta(minutes=minute),
        "origin": "dashboard",
        "version": 0,
        "entity": None,
    } | more


def table(*rows: dict[str, Any]) -> pl.DataFrame:
    numbered = [row | {"version": row["version"] or number} for number, row in enumerate(rows)]
    return pl.DataFrame(pl.from_arrow(rows_table("labels", numbered)))


def settled(frame: pl.DataFrame) -> dict[str, tuple[str, str | None]]:
    return {row["post_id"]: (row["status"], row["gold_label"]) for row in frame.rows(named=True)}


def test_the_last_label_of_a_labeller_counts() -> None:
    labels = table(label("p", "ann", "positive", 2), label("p", "ann", "negative", 1), label("p", "ann", "neutral", 0))
    assert settled(settle(labels)) == {"p": ("settled", "positive")}
    assert settle(labels)["votes"].to_list() == [1]


def test_of_labels_of_one_moment_the_later_in_the_stream_counts() -> None:
    labels = table(label("p", "ann", "neutral", version=9), label("p", "ann", "positive", version=4))
    assert settled(settle(labels)) == {"p": ("settled", "neutral")}


def test_a_label_that_came_twice_is_one_vote() -> None:
    labels = table(label("p", "ann", "negative"), label("p", "ann", "negative"))
    assert settled(settle(labels, {"sentiment": 2})) == {"p": ("open", None)}


def test_two_must_agree_where_a_task_asks_for_two() -> None:
    labels = table(
        label("one", "ann", "negative"),
        label("agreed", "ann", "negative"),
        label("agreed", "bob", "negative"),
        label("apart", "ann", "negative"),
        label("apart", "bob", "neutral"),
        label("outvoted", "ann", "negative"),
        label("outvoted", "bob", "neutral"),
        label("outvoted", "cem", "negative"),
    )
    two = settle(labels, {"sentiment": 2})
    assert settled(two) == {
        "one": ("open", None),
        "agreed": ("settled", "negative"),
        "apart": ("conflict", None),
        "outvoted": ("settled", "negative"),
    }
    assert two.filter(pl.col("post_id") == "apart")["said"].to_list() == [["ann: negative", "bob: neutral"]]
    assert settled(settle(labels))["one"] == ("settled", "negative")
    assert settled(settle(labels, {"topic": 2}))["apart"] == ("conflict", None)


def test_tasks_and_entities_of_a_post_are_settled_apart() -> None:
    labels = table(
        label("p", "ann", "negative"),
        label("p", "ann", "earnings", task="topic"),
        label("p", "ann", "positive", task="entity", entity="AAPL"),
        label("p", "bob", "negative", task="entity", entity="TSLA"),
    )
    found = settle(labels)
    assert found.select("task", "entity", "gold_label").rows() == [
        ("entity", "AAPL", "positive"),
        ("entity", "TSLA", "negative"),
        ("sentiment", None, "negative"),
        ("topic", None, "earnings"),
    ]


def test_no_labels_settle_nothing() -> None:
    assert settle(table()).is_empty()
    assert by_task(table()) == []
    assert by_pair(table()) == []


def test_fleiss_kappa_is_that_of_the_published_example() -> None:
    # https://en.wikipedia.org/wiki/Fleiss%27_kappa: fourteen raters, ten subjects, five categories.
    counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    assert fleiss_kappa(np.array(counts)) == pytest.approx(0.210, abs=5e-4)


def test_full_agreement_on_one_label_says_nothing_beyond_chance() -> None:
    (found,) = by_task(table(label("p", "ann", "negative"), label("p", "bob", "negative")))
    assert (found.items, found.labellers, found.agreement, found.kappa) == (1, 2, 1.0, None)


SAID = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.sampled_from(["ann", "bob", "cem"]), st.sampled_from(["negative", "neutral"])
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(SAID)
def test_cohen_kappa_is_that_of_scikit_learn(said: list[tuple[str, str, str]]) -> None:
    labels = table(*(label(*one, minute=number) for number, one in enumerate(said)))
    last = {(post, who): what for post, who, what in said}
    for pair in by_pair(labels):
        both = [post for post in "abcdef" if {(post, pair.first), (post, pair.second)} <= last.keys()]
        sides = [[last[post, who] for post in both] for who in (pair.first, pair.second)]
        assert pair.items == len(both)
        if pair.kappa is None:
            assert len({*sides[0], *sides[1]}) == 1
        else:
            assert pair.kappa == pytest.approx(cohen_kappa_score(*sides))


@settings(max_examples=40, deadline=None)
@given(SAID, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(said: list[tuple[str, str, str]], order: Any) -> None:
    rows = [label(*one, minute=number, version=number + 1) for number, one in enumerate(said)]
    shuffled = order.sample(rows, len(rows))
    assert settle(table(*rows)).equals(settle(table(*shuffled)))
    assert by_task(table(*rows)) == by_task(table(*shuffled))
