"""How good predictions are: accuracy, macro-F1, confusion, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    """Return the mean F1 over the classes.

    >>> macro_f1(np.array([0, 1]), np.array([0, 1]), 2)
    1.0
    """
    return float(f1_by_class(gold, predicted, classes).mean())


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


def report(gold: NDArray[np.intp], probabilities: NDArray[Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return all figures of one head, rounded to four digits, for a manifest or a model card."""
    predicted, classes = probabilities.argmax(axis=1), len(labels)
    gold_shares = np.bincount(gold, minlength=classes) / len(gold)
    return {
        "rows": len(gold),
        "accuracy": round(accuracy(gold, predicted), 4),
        "macro_f1": round(macro_f1(gold, predicted, classes), 4),
        "calibration_error": round(calibration_error(gold, probabilities), 4),
        "log_loss": round(log_loss(gold, probabilities), 4),
        "f1": _by_label(labels, f1_by_class(gold, predicted, classes)),
        "share_gold": _by_label(labels, gold_shares),
        "share_predicted": _by_label(labels, probabilities.mean(axis=0)),
    }


def _by_label(labels: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    return dict(zip(labels, values.astype(float).round(4).tolist(), strict=True))
