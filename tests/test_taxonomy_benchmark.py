from __future__ import annotations

import numpy as np
import pytest

from jobs.taxonomy_benchmark import Texts, correction_times, open_set
from streamwatch.desk.space import Space

CLASSES, HIDDEN, TEXTS = 8, 24, 1_600


@pytest.fixture(scope="module")
def texts() -> Texts:
    """Texts of eight classes, far from each other."""
    rng = np.random.default_rng(2)
    middles = 4.0 * rng.normal(size=(CLASSES, HIDDEN))
    classes = rng.integers(CLASSES, size=TEXTS)
    vectors = (middles[classes] + rng.normal(size=(TEXTS, HIDDEN))).astype(np.float32)
    parts = {"train": np.arange(1_200), "dev": np.arange(1_200, 1_300), "validation": np.arange(1_300, TEXTS)}
    return Texts(vectors, classes, middles.astype(np.float32), parts, Space.of(vectors[:1_200]))


def test_a_draw_has_so_many_examples_of_each_class_of_the_training_part(texts: Texts) -> None:
    drawn = texts.drawn(7, seed=1)
    assert np.bincount(texts.classes[drawn]).tolist() == [7] * CLASSES
    assert set(drawn) < set(texts.parts["train"])
    assert len(set(drawn)) == len(drawn)
    assert np.array_equal(drawn, texts.drawn(7, seed=1))
    assert not np.array_equal(drawn, texts.drawn(7, seed=2))


def test_names_are_one_more_example_of_each_class(texts: Texts) -> None:
    lesson = texts.lesson(texts.drawn(3, seed=1), named=True)
    assert np.bincount(lesson.classes).tolist() == [4] * CLASSES
    assert np.array_equal(lesson.vectors[-CLASSES:], texts.names)


def test_of_a_few_named_classes_the_texts_are_found_and_the_others_left(texts: Texts) -> None:
    found, taken = (figure.value for figure in open_set(texts, draws=2))
    assert isinstance(found, float)
    assert isinstance(taken, float)
    assert 0.02 < found <= 1.0
    assert taken < 0.01


def test_a_correction_is_timed_with_few_and_with_all_labels(texts: Texts) -> None:
    figures = correction_times(texts)
    assert [figure.remark.split(";")[0] for figure in figures[::2]] == [
        "100 examples of 5 labels",
        f"{20 * CLASSES} examples of {CLASSES} labels",
    ]
    assert all(isinstance(figure.value, float) and figure.value > 0 for figure in figures)
