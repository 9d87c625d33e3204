"""A closed-form map from vectors to labels that learns and unlearns one example at a time.

Kernel ridge regression: of the kernel `K` of the examples and their labels `Y` follow the coefficients `A` by
`(K + ridge I) A = Y`, and a text's scores are `k A`, where `k` is the kernel between it and the examples. What is
unlike every example scores near zero. An example more or less is a bordered inverse (Schur complement), of cost n² for
n examples; the scores without an example follow from the same inverse (Rasmussen and Williams 2006, 5.12).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WIDTH = 1.0
"""Of the Gaussian kernel `exp(-WIDTH d²)`; vectors have length one, so `d²` is between 0 and 4."""
RIDGE = 0.1
"""How little a single example counts. Both were chosen on a part that no figure was taken on."""


class Alignment:
    """Examples and their labels, and the coefficients that make scores of them.

    >>> alignment = Alignment(hidden=2, labels=2)
    >>> alignment.add(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    >>> alignment.add(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    >>> alignment.scores(np.array([[1.0, 0.0], [0.0, -1.0]])).round(2).tolist()
    [[0.91, 0.01], [0.12, 0.0]]
    """

    def __init__(self, hidden: int, labels: int = 0) -> None:
        self._vectors: Floats = np.zeros((0, hidden))
        self._targets: Floats = np.zeros((0, labels))
        self._inverse: Floats = np.zeros((0, 0))
        self._coefficients: Floats = np.zeros((0, labels))

    @classmethod
    def solve(cls, vectors: Floats, targets: Floats) -> Alignment:
        """Return the alignment of many examples at once, `(examples, hidden)` and `(examples, labels)`."""
        found = cls(vectors.shape[1], targets.shape[1])
        kernel = gaussian(vectors, vectors)
        found._vectors, found._targets = vectors, targets
        found._inverse = np.asarray(np.linalg.inv(kernel + RIDGE * np.eye(len(vectors))), np.float64)
        found._coefficients = found._inverse @ targets
        return found

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def vectors(self) -> Floats:
        """The examples, `(examples, hidden)`."""
        return self._vectors

    @property
    def targets(self) -> Floats:
        """Their labels, `(examples, labels)`: one where a label is theirs, else zero."""
        return self._targets

    @property
    def coefficients(self) -> Floats:
        """What each example adds to a text that is just like it, `(examples, labels)`."""
        return self._coefficients

    def scores(self, vectors: Floats) -> Floats:
        """Return the scores `(rows, labels)` of vectors `(rows, hidden)`: near one where they are like a label's."""
        return gaussian(vectors, self._vectors) @ self._coefficients

    def left_out(self) -> Floats:
        """Return what each example would score, had it not been learnt, `(examples, labels)`."""
        return self._targets - self._coefficients / self._inverse.diagonal()[:, None]

    def add(self, vector: Floats, target: Floats) -> None:
        """Learn an example: a vector `(hidden,)` and its labels `(labels,)`."""
        near = gaussian(self._vectors, vector[None])[:, 0]
        change = self._inverse @ near
        rest = 1.0 + RIDGE - near @ change
        missed = target - near @ self._coefficients
        count = len(self)
        inverse = np.empty((count + 1, count + 1))
        np.multiply.outer(change, change / rest, out=inverse[:count, :count])
        inverse[:count, :count] += self._inverse
        inverse[count, :count] = inverse[:count, count] = -change / rest
        inverse[count, count] = 1.0 / rest
        self._inverse = inverse
        self._coefficients = np.vstack([self._coefficients - np.outer(change, missed / rest), missed / rest])
        self._vectors = np.vstack([self._vectors, vector])
        self._targets = np.vstack([self._targets, target])

    def relabel(self, place: int, target: Floats) -> None:
        """Give an example other labels."""
        self._coefficients += np.outer(self._inverse[:, place], target - self._targets[place])
        self._targets[place] = target

    def remove(self, place: int) -> None:
        """Unlearn an example; those after it move up by one."""
        column = self._inverse[:, place]
        self._coefficients -= np.outer(column, self._coefficients[place] / column[place])
        inverse = self._inverse - np.outer(column, column / column[place])
        self._inverse = np.delete(np.delete(inverse, place, axis=0), place, axis=1)
        self._coefficients = np.delete(self._coefficients, place, axis=0)
        self._vectors = np.delete(self._vectors, place, axis=0)
        self._targets = np.delete(self._targets, place, axis=0)

    def add_label(self) -> None:
        """Make room for one more label; no example has it yet."""
        none = np.zeros((len(self), 1))
        self._targets = np.hstack([self._targets, none])
        self._coefficients = np.hstack([self._coefficients, none])

    def remove_label(self, place: int) -> None:
        """Forget a label; those after it move up by one. Its examples stay, as examples of what others are not."""
        self._targets = np.delete(self._targets, place, axis=1)
        self._coefficients = np.delete(self._coefficients, place, axis=1)


def gaussian(one: Floats, other: Floats) -> Floats:
    """Return the Gaussian kernel of vectors of length one, `(rows of one, rows of other)`."""
    return np.exp(2.0 * WIDTH * (one @ other.T - 1.0))
