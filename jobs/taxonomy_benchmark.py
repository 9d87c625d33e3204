"""How good a desk's own labels are after 5, 10, 20 and 50 examples each, beside what scikit-learn has for few examples.

Texts are split by the hash of their words; of the training part examples are drawn, several times anew, and every
contender gets the same ones. Accuracy is that on the validation part. Whatever a contender can be set to (the strength
of its regulariser, which form of the vectors it gets) is chosen for it on the dev part.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from jobs.chain_benchmark import Figure
from streamwatch.config import ModelConfig
from streamwatch.desk.alignment import Alignment
from streamwatch.desk.space import SHRINKAGE, Space
from streamwatch.desk.taxonomy import Taxonomy
from streamwatch.learn.examples import LabelledText, part_of
from streamwatch.model.artifacts import default_cache
from streamwatch.model.embedder import Entry, load_embedder
from streamwatch.model.encoder import Encoder, load_encoder
from streamwatch.model.scorer import configured_model
from streamwatch.model.tokenizer import simplified

EXAMPLES = (5, 10, 20, 50)
NAMED_UP_TO = 20
"""With more examples a class's name makes no difference."""
BACKGROUND = 2_000
"""Texts of the training part, without their labels: what a desk's own posts are."""
STRENGTHS = (10.0, 100.0)
LR_ITERATIONS = 200
FEW_LABELS, FEW_EXAMPLES = 5, 10
CORRECTIONS = 40

Vectors = NDArray[np.float32]
Places = NDArray[np.intp]


class Lesson(NamedTuple):
    """What a contender learns from."""

    vectors: Vectors
    classes: Places


class Texts(NamedTuple):
    """Vectors of all texts, their classes, the vectors of the classes' names, and rows of each part; our space."""

    vectors: Vectors
    classes: Places
    names: Vectors
    parts: dict[str, Places]
    space: Space

    def drawn(self, count: int, seed: int) -> Places:
        """Return rows of the training part: so many of each class."""
        train = np.random.default_rng(seed).permutation(self.parts["train"])
        return np.concatenate([train[self.classes[train] == each][:count] for each in range(len(self.names))])

    def lesson(self, drawn: Places, *, named: bool = False) -> Lesson:
        """Return these rows; `named`: each class's name is one more example of it."""
        if not named:
            return Lesson(self.vectors[drawn], self.classes[drawn])
        classes = np.concatenate([self.classes[drawn], np.arange(len(self.names))])
        return Lesson(np.vstack([self.vectors[drawn], self.names]), classes)


Contender = Callable[[Texts, Lesson, Places], Places]
"""Learns a lesson, and says the classes of the rows that it is asked about."""


def measure_taxonomy(file: Path, draws: int, cache: Path, say: Callable[[str], None]) -> list[Figure]:
    """Return accuracy by encoder, contender and number of examples; recall with 'none of these'; time per correction.

    Args:
        file: JSON Lines with `text` and `intent`.
        draws: How often examples are drawn anew.
        cache: Vectors are kept here, so that a second run need not make them.
        say: Told what is being done.
    """
    found = [msgspec.json.decode(line, type=LabelledText) for line in file.read_bytes().splitlines()]
    figures = []
    for name, encoder, shrinkage in (
        ("frozen", load_encoder(ModelConfig().base), math.inf),
        ("fine-tuned", configured_model(ModelConfig())[1], SHRINKAGE),
    ):
        texts = _texts(found, encoder, shrinkage, cache, say)
        for count in EXAMPLES:
            say(f"{name}: {count} examples a class")
            reached = _accuracies(texts, name, count, draws)
            say(", ".join(str(figure.value) for figure in reached))
            figures += reached
        if shrinkage == SHRINKAGE:
            figures += [*open_set(texts, draws), *correction_times(texts)]
    return figures


def _texts(
    found: Sequence[LabelledText], encoder: Encoder, shrinkage: float, cache: Path, say: Callable[[str], None]
) -> Texts:
    labels = sorted({str(one.intent) for one in found})
    parts = np.array([part_of(one.text) for one in found])
    rows = {str(part): np.flatnonzero(parts == part) for part in ("train", "dev", "validation")}
    vectors = vectors_of([one.text for one in found], encoder, cache, say)
    names = vectors_of([label.replace("_", " ") for label in labels], encoder, cache, say)
    classes = np.array([labels.index(str(one.intent)) for one in found], np.intp)
    background = np.random.default_rng(0).permutation(rows["train"])[:BACKGROUND]
    return Texts(vectors, classes, names, rows, Space.of(vectors[background], shrinkage))


def vectors_of(texts: Sequence[str], encoder: Encoder, cache: Path, say: Callable[[str], None]) -> Vectors:
    """Return the vectors of texts, `(texts, hidden)`, from the cache where they are in it."""
    digest = hashlib.sha256("\n".join([encoder.sha256, *texts]).encode()).hexdigest()[:16]
    file = cache / f"{digest}.npy"
    if not file.is_file():
        say(f"vectors of {len(texts):,} texts")
        embedded = load_embedder(ModelConfig(), encoder, default_cache()).embed(
            [Entry(simplified(one)) for one in texts]
        )
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, embedded.texts[embedded.places])
    found: Vectors = np.load(file)
    return found


def _accuracies(texts: Texts, encoder: str, count: int, draws: int) -> list[Figure]:
    contenders = {"streamwatch": _ours, **_baselines(texts, count)}
    reached: dict[str, list[float]] = {}
    checked = texts.parts["validation"]
    for seed in range(draws):
        drawn = texts.drawn(count, seed)
        for name, choose in contenders.items():
            reached.setdefault(name, []).append(_right(texts, choose(texts, texts.lesson(drawn), checked), checked))
            if count <= NAMED_UP_TO:
                said = choose(texts, texts.lesson(drawn, named=True), checked)
                reached.setdefault(f"{name}, names too", []).append(_right(texts, said, checked))
    remark = f"of {len(checked):,} texts, {len(texts.names)} classes; standard deviation over {draws} draws"
    return [
        Figure(
            f"{encoder}, {count} examples: {name}", round(float(np.mean(found)), 4), f"± {np.std(found):.4f} {remark}"
        )
        for name, found in reached.items()
    ]


def _right(texts: Texts, said: Places, checked: Places) -> float:
    return float((said == texts.classes[checked]).mean())


def _ours(texts: Texts, lesson: Lesson, checked: Places) -> Places:
    alignment = Alignment.solve(texts.space.place(lesson.vectors), np.eye(len(texts.names))[lesson.classes])
    said: Places = alignment.scores(texts.space.place(texts.vectors[checked])).argmax(axis=1)
    return said


def _baselines(texts: Texts, count: int) -> dict[str, Contender]:
    """Return scikit-learn's contenders, each as it does best on the dev part."""
    forms: list[Callable[[Vectors], Any]] = [_unit, texts.space.place]
    regressions = [
        _learner(partial(LogisticRegression, C=strength, max_iter=LR_ITERATIONS), form)
        for strength in STRENGTHS
        for form in forms
    ]
    centroids = [_learner(NearestCentroid, form) for form in forms]
    lesson, dev = texts.lesson(texts.drawn(count, seed=0)), texts.parts["dev"]

    def best(contenders: list[Contender]) -> Contender:
        return max(contenders, key=lambda one: _right(texts, one(texts, lesson, dev), dev))

    return {"logistic regression": best(regressions), "nearest centroid": best(centroids)}


def _learner(make: Callable[[], Any], form: Callable[[Vectors], Any]) -> Contender:
    def said(texts: Texts, lesson: Lesson, checked: Places) -> Places:
        model = make().fit(form(lesson.vectors), lesson.classes)
        found: Places = model.predict(form(texts.vectors[checked]))
        return found

    return said


def _unit(vectors: Vectors) -> Vectors:
    rows: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows


def open_set(texts: Texts, draws: int) -> list[Figure]:
    """Return what a desk finds that names a few of the classes, all others being none of these.

    The background holds texts of the named classes too, as a desk's own posts do.
    """
    checked = texts.parts["validation"]
    found, false = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        named = rng.permutation(len(texts.names))[:FEW_LABELS]
        background = rng.permutation(texts.parts["train"])[:BACKGROUND]
        taxonomy = Taxonomy(texts.vectors[background])
        for each in named:
            rows = rng.permutation(texts.parts["train"])
            rows = rows[texts.classes[rows] == each][:FEW_EXAMPLES]
            taxonomy.name(str(each), [str(row) for row in rows], texts.vectors[rows])
        taken = taxonomy.verdicts(texts.vectors[checked]).taken
        own = texts.classes[checked][:, None] == named
        found.append(taken[own].mean())
        false.append(taken[~own].mean())
    about = f"{FEW_LABELS} classes named with {FEW_EXAMPLES} examples each, mean of {draws} draws"
    return [
        Figure("fine-tuned, none of these: recall", round(float(np.mean(found)), 4), about),
        Figure("fine-tuned, none of these: other texts taken", round(float(np.mean(false)), 4), about),
    ]


def correction_times(texts: Texts) -> list[Figure]:
    """Return how long a correction takes, with few labels and with all of them."""
    figures = []
    for labels, count in ((FEW_LABELS, 20), (len(texts.names), 20)):
        drawn = texts.drawn(count, seed=0)
        drawn = drawn[texts.classes[drawn] < labels]
        taxonomy = Taxonomy(texts.vectors[texts.parts["train"][:BACKGROUND]])
        for each in range(labels):
            rows = drawn[texts.classes[drawn] == each]
            taxonomy.name(str(each), [str(row) for row in rows], texts.vectors[rows])
        learnt, used = [], []
        for row in texts.parts["dev"][:CORRECTIONS]:
            started = time.perf_counter()
            taxonomy.correct(f"dev{row}", texts.vectors[row], [str(texts.classes[row] % labels)])
            learnt.append(time.perf_counter() - started)
            taxonomy.verdicts(texts.vectors[row][None])
            used.append(time.perf_counter() - started)
        about = f"{len(drawn):,} examples of {labels} labels; median of {CORRECTIONS}"
        figures.append(Figure("a correction, ms", round(1_000 * float(np.median(learnt)), 2), about))
        with_thresholds = round(1_000 * float(np.median(used)), 2)
        figures.append(Figure("a correction, thresholds and the next verdict, ms", with_thresholds, about))
    return figures
