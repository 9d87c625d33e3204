from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.desk.alignment import RIDGE, Alignment, Floats, gaussian

HIDDEN, LABELS = 6, 3


def examples(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, HIDDEN))
    targets = (rng.random((count, LABELS)) < 0.4).astype(float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), targets


def solved(vectors: Floats, targets: Floats, asked: Floats) -> Floats:
    """Return the scores as the textbook has them."""
    kernel = gaussian(vectors, vectors) + RIDGE * np.eye(len(vectors))
    found: Floats = gaussian(asked, vectors) @ np.linalg.solve(kernel, targets)
    return found


def same(alignment: Alignment, vectors: Floats, targets: Floats) -> None:
    asked = examples(20, seed=9)[0]
    assert len(alignment) == len(vectors)
    assert np.allclose(alignment.vectors, vectors)
    assert np.array_equal(alignment.targets, targets)
    assert np.allclose(alignment.scores(asked), solved(vectors, targets, asked), atol=1e-9)


def test_examples_one_by_one_are_as_all_at_once() -> None:
    vectors, targets = examples(30)
    alignment = Alignment(HIDDEN, LABELS)
    for vector, target in zip(vectors, targets, strict=True):
        alignment.add(vector, target)
    same(alignment, vectors, targets)
    same(Alignment.solve(vectors, targets), vectors, targets)


STEPS = st.lists(st.tuples(st.sampled_from(["add", "relabel", "remove"]), st.integers(0, 99)), max_size=40)


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_any_corrections_give_what_solving_anew_gives(steps: list[tuple[str, int]]) -> None:
    pool, labels = examples(100, seed=1)
    vectors, targets = list(pool[:3]), list(labels[:3])
    alignment = Alignment.solve(np.array(vectors), np.array(targets))
    for step, number in steps:
        if step == "add":
            alignment.add(pool[number], labels[number])
            vectors.append(pool[number])
            targets.append(labels[number])
        elif vectors and step == "relabel":
            alignment.relabel(number % len(vectors), labels[number])
            targets[number % len(vectors)] = labels[number]
        elif vectors:
            alignment.remove(number % len(vectors))
            del vectors[number % len(vectors)], targets[number % len(targets)]
    same(alignment, np.reshape(vectors, (-1, HIDDEN)), np.reshape(targets, (-1, LABELS)))


def test_left_out_scores_are_those_of_learning_the_rest() -> None:
    vectors, targets = examples(12)
    found = Alignment.solve(vectors, targets).left_out()
    for place in range(len(vectors)):
        rest = np.arange(len(vectors)) != place
        assert np.allclose(found[place], solved(vectors[rest], targets[rest], vectors[[place]])[0])


def test_labels_come_and_go_without_touching_the_others() -> None:
    vectors, targets = examples(8)
    alignment = Alignment.solve(vectors, targets)
    alignment.add_label()
    with_one_more = np.hstack([targets, np.zeros((8, 1))])
    same(alignment, vectors, with_one_more)
    with_one_more[2, LABELS] = 1.0
    alignment.relabel(2, with_one_more[2])
    same(alignment, vectors, with_one_more)
    alignment.remove_label(0)
    same(alignment, vectors, with_one_more[:, 1:])


def test_what_is_unlike_every_example_scores_near_zero() -> None:
    away = np.eye(HIDDEN)[:1]
    alignment = Alignment(HIDDEN, 1)
    assert alignment.scores(away).tolist() == [[0.0]]
    for near in (-away[0], np.eye(HIDDEN)[1]):
        alignment.add(near, np.ones(1))
    assert alignment.scores(-away)[0, 0] == pytest.approx(1.0, abs=0.15)
    assert alignment.scores(away)[0, 0] < 0.15
