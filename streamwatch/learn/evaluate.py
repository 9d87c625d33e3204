"""How good predictions are: accuracy, macro-F1, confusion, calibration, of all rows and of groups of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 15


def accuracy(gold: NDArray[np.intp], predicted: NDArray[np.intp]) -> float:
    """Return the share of rows that are right.

    >>> accuracy(np.array([0, 1, 1]), np.array([0, 1, 0]))
    0.6666666666666666
    """
    return float(np.mean(gold == predicted))


def confusion(gold: NDArray[np.intp], predicted: NDArray[np.intp], classes: int) -> NDArray[np.int64]:
    """Return how often class `i` was taken for `j`, `(classes, classes)`.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(gold * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def f1_by_class(gold: NDArray[np.intp], predicted: NDArray[np.intp], classes: int) -> NDArray[np.float64]:
    """Return each class's F1; 0 for a class that is neither there nor predicted.

    >>> f1_by_class(np.array([0, 1, 1]), np.array([0, 1, 0]), 3).round(3).tolist()
    [0.667, 0.667, 0.0]
    """
    table = confusion(gold, predicted, classes)
    both = table.sum(axis=0) + table.sum(axis=1)
    scores: NDArray[np.float64] = 2 * np.diag(table) / np.maximum(both, 1)
    return scores


def macro_f1(gold: NDArray[np.intp], predicted: NDArray[np.intp], classes: int) -> float:
    """Return the mean F1 over the classes that are there or are predicted, as scikit-learn takes it.

    >>> macro_f1(np.array([0, 1]), np.array([0, 1]), 3)
    1.0
    """
    found = np.union1d(gold, predicted)
    return float(f1_by_class(gold, predicted, classes)[found].mean())


def calibration_error(gold: NDArray[np.intp], probabilities: NDArray[Any], bins: int = BINS) -> float:
    """Return the expected calibration error of the most probable class, equal-width bins.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.

    >>> calibration_error(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))
    0.25
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    place = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(gold))


def log_loss(gold: NDArray[np.intp], probabilities: NDArray[Any]) -> float:
    """Return the mean negative log probability, in nats, of what was right.

    >>> round(log_loss(np.array([0]), np.array([[0.5, 0.5]])), 3)
    0.693
    """
    return float(-np.log(np.maximum(probabilities[np.arange(len(gold)), gold], 1e-12)).mean())


def headline(gold: NDArray[np.intp], probabilities: NDArray[Any]) -> dict[str, Any]:
    """Return how many rows there are and the figures that sum them up, rounded to four digits."""
    predicted = probabilities.argmax(axis=1)
    return {
        "rows": len(gold),
        "accuracy": round(accuracy(gold, predicted), 4),
        "macro_f1": round(macro_f1(gold, predicted, probabilities.shape[1]), 4),
        "calibration_error": round(calibration_error(gold, probabilities), 4),
        "log_loss": round(log_loss(gold, probabilities), 4),
    }


def report(gold: NDArray[np.intp], probabilities: NDArray[Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return the figures of one head as a manifest or a model card keeps them."""
    predicted, classes = probabilities.argmax(axis=1), len(labels)
    gold_shares = np.bincount(gold, minlength=classes) / len(gold)
    return {
        **headline(gold, probabilities),
        "f1": _by_label(labels, f1_by_class(gold, predicted, classes)),
        "share_gold": _by_label(labels, gold_shares),
        "share_predicted": _by_label(labels, probabilities.mean(axis=0)),
    }


def by_class(table: NDArray[np.int64], labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support (rows that are of the class) of each class.

    Args:
        table: From `confusion`.
        labels: Of the classes, in order.

    >>> by_class(np.array([[1, 0], [1, 2]]), ["bad", "good"])["good"]
    {'precision': 1.0, 'recall': 0.6667, 'f1': 0.8, 'support': 3}
    """
    right, support, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    figures = {
        "precision": right / np.maximum(predicted, 1),
        "recall": right / np.maximum(support, 1),
        "f1": 2 * right / np.maximum(support + predicted, 1),
    }
    return {
        label: {**{name: round(float(values[at]), 4) for name, values in figures.items()}, "support": int(support[at])}
        for at, label in enumerate(labels)
    }


class Confused(NamedTuple):
    """How many rows of one class were taken for another, and which share of the class that is."""

    gold: str
    predicted: str
    rows: int
    share: float


def most_confused(table: NDArray[np.int64], labels: Sequence[str], most: int) -> list[Confused]:
    """Return which classes are taken for which others, the most frequent first.

    >>> most_confused(np.array([[5, 1], [2, 2]]), ["bad", "good"], 1)
    [Confused(gold='good', predicted='bad', rows=2, share=0.5)]
    """
    support = table.sum(axis=1)
    wrong = np.argwhere((table > 0) & ~np.eye(len(table), dtype=bool))
    largest = wrong[np.argsort(-table[tuple(wrong.T)], kind="stable")][:most].tolist()
    return [
        Confused(labels[i], labels[j], int(table[i, j]), round(float(table[i, j] / support[i]), 4)) for i, j in largest
    ]


def by_group(gold: NDArray[np.intp], probabilities: NDArray[Any], groups: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the headline of each group's rows, the largest group first.

    >>> by_group(np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]], ["zh", "en", "en"])["en"]["accuracy"]
    0.5
    """
    names, places, counts = np.unique(np.asarray(groups, str), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable").tolist()
    return {str(names[at]): headline(gold[places == at], probabilities[places == at]) for at in order}


def evaluation(
    gold: NDArray[np.intp], probabilities: NDArray[Any], labels: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return everything that is measured of one head: headline, classes, confusion, and the headline by group.

    In `confusion`, `counts[i][j]` says how often label `i` was taken for label `j`.

    Args:
        gold: The right classes, `(rows,)`.
        probabilities: `(rows, classes)`.
        labels: Of the classes, in order.
        groups: Ways to group the rows, such as `lang`: the group's name for each row.
    """
    table = confusion(gold, probabilities.argmax(axis=1), len(labels))
    return {
        **headline(gold, probabilities),
        "classes": by_class(table, labels),
        "confusion": {"labels": list(labels), "counts": table.tolist()},
        "by": {name: by_group(gold, probabilities, rows) for name, rows in groups.items()},
    }


def _by_label(labels: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    return dict(zip(labels, values.astype(float).round(4).tolist(), strict=True))
