"""A desk's own topics or intents: named with a few examples, there at once, better with every correction.

A post may have several of them, or none. Each label's threshold follows from background posts, of which it may take so
many in a thousand beside those that look like its own; what has no label above its threshold is none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamwatch.desk.alignment import Alignment, Floats, gaussian
from streamwatch.desk.space import Space
from streamwatch.desk.threshold import threshold
from streamwatch.errors import TaxonomyError

LEAST_BACKGROUND = 100
"""Fewer posts cannot tell what is rare among them."""

NAME_KEY = "name:"
"""Before a label's name it is the key of the example that the name is."""

Vectors = NDArray[np.float32]


class Verdicts(NamedTuple):
    """What a taxonomy says of some texts.

    Attributes:
        scores: Near one for what is as a label's examples, near zero for what is not, `(texts, labels)`.
        taken: Whether a score reaches its label's threshold, `(texts, labels)`.
        best: The place of the label that is furthest above its threshold; -1: none of these. `(texts,)`.
    """

    scores: Floats
    taken: NDArray[np.bool_]
    best: NDArray[np.intp]


class LabelFit(NamedTuple):
    """How well a label is known.

    Attributes:
        label: Its name.
        examples: How many it has.
        threshold: From which score on a post has it.
        found: Share of its examples that it would find, had it not learnt them.
    """

    label: str
    examples: int
    threshold: float
    found: float


class Parts(NamedTuple):
    """The examples: where they stand in the desk's space, `(examples, hidden)`, and `(examples, labels)` of 0 and 1."""

    vectors: NDArray[np.float32]
    targets: NDArray[np.uint8]


class Taxonomy:
    """The labels of one kind, topics or intents, and their examples.

    Args:
        background: Vectors `(posts, hidden)` of posts as they come, a thousand or so; which of them have one of the
            labels need not be known, while they are few.
        labels: Names to begin with.

    Raises:
        TaxonomyError: There are too few posts.
    """

    def __init__(self, background: Vectors, labels: Iterable[str] = ()) -> None:
        if len(background) < LEAST_BACKGROUND:
            message = f"found {len(background)} background posts, expected {LEAST_BACKGROUND} or more"
            raise TaxonomyError(message)
        self.background = background
        self.labels = list(labels)
        self.keys: list[str] = []
        self._space = Space.of(background)
        self._ordinary = self._space.place(background)
        self._alignment = Alignment(background.shape[1], len(self.labels))
        self._near: Vectors = np.zeros((len(background), 0), np.float32)
        self._levels: Floats | None = None

    @classmethod
    def restore(cls, background: Vectors, labels: Iterable[str], keys: Iterable[str], parts: Parts) -> Taxonomy:
        """Return the taxonomy of these examples, solved for at once; see `parts`."""
        found = cls(background, labels)
        found.keys = list(keys)
        found._alignment = Alignment.solve(parts.vectors.astype(np.float64), parts.targets.astype(np.float64))
        found._near = gaussian(found._ordinary, found._alignment.vectors).astype(np.float32)
        return found

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def parts(self) -> Parts:
        """What it has learnt, in the order of its keys and labels."""
        vectors, targets = self._alignment.vectors, self._alignment.targets
        return Parts(vectors.astype(np.float32), targets.astype(np.uint8))

    @property
    def examples(self) -> list[tuple[str, tuple[str, ...]]]:
        """The key of each example, and its labels; none for what was called none of these."""
        rows = self._alignment.targets.astype(bool)
        return [(key, tuple(np.array(self.labels, object)[row])) for key, row in zip(self.keys, rows, strict=True)]

    def name(self, label: str, keys: Sequence[str], vectors: Vectors) -> None:
        """Make a label of examples, or give it more; an example that another label has keeps that one too.

        Args:
            label: Its name.
            keys: What each example goes by, such as a post's id.
            vectors: The examples' vectors, `(examples, hidden)`.

        Raises:
            TaxonomyError: The name is empty, or the vectors are not as wide as the background's.
        """
        self._check(label, vectors)
        if label not in self.labels:
            self.labels.append(label)
            self._alignment.add_label()
        place = self.labels.index(label)
        for key, vector in zip(keys, self._space.place(vectors), strict=True):
            known = self.keys.index(key) if key in self.keys else None
            target = np.zeros(len(self.labels)) if known is None else self._alignment.targets[known].copy()
            target[place] = 1.0
            self._learn(key, vector, target)

    def correct(self, key: str, vector: Vectors, labels: Sequence[str]) -> None:
        """Say which labels a post has, and with that, that it has no other; none: none of these.

        Args:
            key: What the post goes by; what was said of it before is forgotten.
            vector: Its vector, `(hidden,)`.
            labels: Its labels.

        Raises:
            TaxonomyError: A label is unknown, or the vector is not as wide as the background's.
        """
        for label in labels:
            if label not in self.labels:
                message = f"no label {label!r}: there are {', '.join(self.labels) or 'none yet'}"
                raise TaxonomyError(message)
            self._check(label, vector[None])
        target = np.array([float(name in labels) for name in self.labels])
        self._learn(key, self._space.place(vector[None])[0], target)

    def forget(self, key: str) -> None:
        """Take an example back; nothing happens where there is none of that key."""
        if key in self.keys:
            place = self.keys.index(key)
            self._alignment.remove(place)
            self._near = np.delete(self._near, place, axis=1)
            del self.keys[place]
            self._levels = None

    def drop(self, label: str) -> None:
        """Take a label back, and the examples that have no other; nothing happens where there is none of that name."""
        if label not in self.labels:
            return
        gone = [key for key, names in self.examples if names == (label,)]
        self._alignment.remove_label(self.labels.index(label))
        self.labels.remove(label)
        for key in gone:
            self.forget(key)
        self._levels = None

    def verdicts(self, vectors: Vectors) -> Verdicts:
        """Return what the labels say of texts, by their vectors `(texts, hidden)`."""
        scores = self._alignment.scores(self._space.place(vectors))
        above = scores - self.thresholds
        taken = above >= 0.0
        best = above.argmax(axis=1) if self.labels else np.zeros(len(scores), np.intp)
        return Verdicts(scores, taken, np.where(taken.any(axis=1), best, -1))

    @property
    def thresholds(self) -> Floats:
        """From which score on a post has each label, `(labels,)`."""
        if self._levels is None:
            scores = np.sort(self._near @ self._alignment.coefficients.astype(np.float32), axis=0)
            self._levels = np.array([threshold(column, own) for column, own in zip(scores.T, self._own(), strict=True)])
        return self._levels

    def fits(self) -> list[LabelFit]:
        """Return how well each label is known: the fewer of its own examples it finds, the more it needs."""
        found = []
        for label, level, own in zip(self.labels, self.thresholds.tolist(), self._own(), strict=True):
            share = float((own >= level).mean()) if len(own) else 0.0
            found.append(LabelFit(label, len(own), level, share))
        return found

    def _own(self) -> list[Floats]:
        """Return what each label's examples score when they are left out."""
        left_out, targets = self._alignment.left_out(), self._alignment.targets.astype(bool)
        return [left_out[targets[:, place], place] for place in range(len(self.labels))]

    def _learn(self, key: str, vector: Floats, target: Floats) -> None:
        self._levels = None
        if key in self.keys:
            place = self.keys.index(key)
            if np.allclose(self._alignment.vectors[place], vector, atol=1e-6):
                self._alignment.relabel(place, target)
                return
            self.forget(key)
        self._alignment.add(vector, target)
        near = gaussian(self._ordinary, vector[None]).astype(np.float32)
        self._near = np.hstack([self._near, near])
        self.keys.append(key)

    def _check(self, label: str, vectors: Vectors) -> None:
        if not label.strip():
            message = "a label without a name"
            raise TaxonomyError(message)
        hidden = self.background.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != hidden:
            message = f"found vectors of shape {vectors.shape}, expected (examples, {hidden})"
            raise TaxonomyError(message)


def name_by_texts(
    taxonomy: Taxonomy, label: str, texts: Mapping[str, str], embed: Callable[[Sequence[str]], Vectors]
) -> None:
    """Make a label of example texts, or give it more; the label's own name is one more example of it.

    A name says about as much as one or two examples more, so with few of them it counts.

    Args:
        taxonomy: Gets the label.
        label: Its name.
        texts: The examples by their keys.
        embed: Gives vectors of texts: `Scorer.vectors`.

    Raises:
        TaxonomyError: The name is empty.
    """
    keys = [*texts, f"{NAME_KEY}{label}"]
    taxonomy.name(label, keys, embed([*texts.values(), label.replace("_", " ")]))
