import io
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from numpy.typing import NDArray
from sklearn import metrics

from streamwatch.learn.confusion_plot import draw_confusion
from streamwatch.learn.evaluate import (
    by_class,
    by_group,
    calibration_error,
    confusion,
    evaluation,
    headline,
    macro_f1,
    most_confused,
    report,
)

LABELS = ("negative", "neutral", "positive")


def drawn(rows: int, classes: int, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    draw = np.random.default_rng(seed)
    return draw.integers(classes, size=rows), draw.dirichlet(np.ones(classes), rows)


@pytest.mark.parametrize(("rows", "classes"), [(400, 3), (60, 20), (5, 7)])
def test_figures_are_those_of_scikit_learn(rows: int, classes: int) -> None:
    gold, probabilities = drawn(rows, classes)
    predicted = probabilities.argmax(axis=1)
    found = headline(gold, probabilities)
    assert found["rows"] == rows
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(gold, predicted), abs=1e-4)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(gold, predicted, average="macro"), abs=1e-4)
    assert found["log_loss"] == pytest.approx(
        metrics.log_loss(gold, probabilities, labels=list(range(classes))), abs=1e-4
    )
    places = list(range(classes))
    table = confusion(gold, predicted, classes)
    assert table.tolist() == metrics.confusion_matrix(gold, predicted, labels=places).tolist()
    expected = metrics.precision_recall_fscore_support(gold, predicted, labels=places, zero_division=0)
    figures = by_class(table, [str(place) for place in places])
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [figures[str(place)][name] for place in places] == pytest.approx(values.tolist(), abs=1e-4)


def test_a_class_that_nobody_speaks_of_does_not_pull_the_mean_down() -> None:
    gold = np.array([0, 0, 1])
    assert macro_f1(gold, gold, 20) == 1.0
    assert macro_f1(gold, np.array([0, 2, 1]), 20) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_calibration_counts_how_far_the_sure_are_wrong() -> None:
    sure = np.tile([0.9, 0.1], (10, 1))
    assert calibration_error(np.array([0] * 9 + [1]), sure) == pytest.approx(0, abs=1e-9)
    assert calibration_error(np.array([0] * 4 + [1] * 6), sure) == pytest.approx(0.5)


def test_confusions_come_by_how_often_they_happen_and_never_name_what_is_right() -> None:
    table = np.array([[90, 3, 0], [0, 5, 7], [1, 0, 0]])
    found = most_confused(table, LABELS, 10)
    assert [(pair.gold, pair.predicted, pair.rows) for pair in found] == [
        ("neutral", "positive", 7),
        ("negative", "neutral", 3),
        ("positive", "negative", 1),
    ]
    assert found[0].share == pytest.approx(7 / 12, abs=1e-4)
    assert [pair.rows for pair in most_confused(table, LABELS, 2)] == [7, 3]
    assert most_confused(np.diag([3, 1, 1]), LABELS, 10) == []


def test_groups_have_the_figures_of_their_own_rows() -> None:
    gold, probabilities = drawn(200, 3, seed=1)
    groups = ["zh" if place % 4 == 0 else "en" for place in range(200)]
    found = by_group(gold, probabilities, groups)
    assert list(found) == ["en", "zh"]
    chinese = np.array(groups) == "zh"
    assert found["zh"] == headline(gold[chinese], probabilities[chinese])
    assert sum(figures["rows"] for figures in found.values()) == 200


def test_an_evaluation_holds_all_of_it_in_types_of_json() -> None:
    gold, probabilities = drawn(50, 3)
    found = evaluation(gold, probabilities, LABELS, {"lang": ["en"] * 50})
    assert found | headline(gold, probabilities) == found
    assert np.sum(found["confusion"]["counts"]) == 50
    assert found["confusion"]["labels"] == list(LABELS)
    assert found["by"]["lang"]["en"] == headline(gold, probabilities)
    assert {type(figures["support"]) for figures in found["classes"].values()} == {int}
    assert {type(count) for row in found["confusion"]["counts"] for count in row} == {int}


def test_a_report_still_tells_a_manifest_each_class_by_its_label() -> None:
    gold, probabilities = drawn(50, 3)
    found = report(gold, probabilities, LABELS)
    assert found | headline(gold, probabilities) == found
    assert sum(found["share_gold"].values()) == pytest.approx(1, abs=1e-3)
    assert list(found["f1"]) == list(LABELS)


def dark_pixels(counts: NDArray[np.int64], labels: Sequence[str]) -> int:
    """Return how many pixels of a picture have the colour of a whole row in one cell."""
    data = draw_confusion(counts, labels, "topic: accuracy 1.000, macro-F1 1.000", "5 rows")
    picture = imread(io.BytesIO(data), format="png")[:, :, :3]
    return int((np.abs(picture - np.array(to_rgb("#08306b"))) < 0.01).all(axis=2).sum())


def test_a_cell_is_as_dark_as_its_share_of_the_row() -> None:
    right = dark_pixels(np.diag([1_000, 1, 1]), LABELS)
    spread = dark_pixels(np.full((3, 3), 1_000), LABELS)
    assert right > 10 * spread
    assert right > 3 * 40 * 40
