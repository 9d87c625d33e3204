"""Multinomial logistic regression on frozen vectors, and the temperature that calibrates it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from streamwatch.model.heads import Head

MAX_STEPS = 300
TOLERANCE = 1e-6
TEMPERATURES = (0.2, 5.0)


class Examples(NamedTuple):
    """Vectors `(rows, hidden)` with the class and the weight of each."""

    vectors: NDArray[np.float32]
    gold: NDArray[np.intp]
    weights: NDArray[np.float64]


def class_weights(gold: NDArray[np.intp], classes: int, balance: float) -> NDArray[np.float64]:
    """Return a weight for each row: its class's frequency to the power of `-balance`, of mean 1.

    >>> class_weights(np.array([0, 0, 0, 1]), 2, 1.0).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    frequency = np.maximum(np.bincount(gold, minlength=classes), 1) / len(gold)
    weights = frequency[gold] ** -balance
    scaled: NDArray[np.float64] = weights / weights.mean()
    return scaled


def fit(examples: Examples, classes: int, penalty: float) -> Head:
    """Fit a head by L-BFGS in float64, from zero: the same examples give the same head.

    Args:
        examples: What to learn from.
        classes: How many classes there are.
        penalty: Weight of the squared norm of the coefficients of the standardised vectors, for each row.
    """
    raw = examples.vectors.astype(np.float64)
    mean, spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)
    vectors, hot = (raw - mean) / spread, np.eye(classes)[examples.gold]
    shares = examples.weights / examples.weights.sum()

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight, bias = flat[classes:].reshape(classes, -1), flat[:classes]
        logs = log_softmax(vectors @ weight.T + bias, axis=1)
        error = (np.exp(logs) - hot) * shares[:, None]
        value = -float((logs * hot).sum(axis=1) @ shares) + penalty * float((weight**2).sum())
        slope = error.T @ vectors + 2 * penalty * weight
        return value, np.concatenate([error.sum(axis=0), slope.ravel()])

    start = np.zeros(classes * (vectors.shape[1] + 1))
    options = {"maxiter": MAX_STEPS, "ftol": TOLERANCE, "gtol": TOLERANCE}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    folded = found[classes:].reshape(classes, -1) / spread
    return Head(folded.astype(np.float32), (found[:classes] - folded @ mean).astype(np.float32))


def calibrated(head: Head, vectors: NDArray[np.float32], gold: NDArray[np.intp]) -> Head:
    """Divide a head's logits by the temperature under which the gold labels are most probable.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.
    """
    logits = vectors.astype(np.float64) @ head.weight.T.astype(np.float64) + head.bias
    rows = np.arange(len(gold))

    def loss(temperature: float) -> float:
        return -float(log_softmax(logits / temperature, axis=1)[rows, gold].mean())

    best = np.float32(minimize_scalar(loss, bounds=TEMPERATURES, method="bounded").x)
    return Head(head.weight / best, head.bias / best)
