"""Why the model says what it says: how much each word of a text adds to a label's probability.

Integrated gradients (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365): the text's word embeddings are
reached on a straight way from a baseline without words, and each token is credited with what the probability gains
along the way by the token's own change. The credits add up to the probability less that of the baseline; by how much
they fail to, as the integral is computed as a finite sum, is each explanation's `error`.

The baseline is the same text with the unknown token in place of every other: as long, and with nothing in it. Training
puts that token in place of words at random, so the model has learnt that it says nothing of what stood there, which
holds neither for padding, which no layer ever looks at, nor for a vector of zeros. A character that the vocabulary
does not hold is that token anyway, and is rightly credited with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.model.alignment import Span, aligned, words
from streamwatch.model.encoder import Encoder
from streamwatch.model.heads import ENTITY, TASKS
from streamwatch.model.scorer import check_widths, configured_model
from streamwatch.model.tokenizer import simplified
from streamwatch.model.trained import Trained
from streamwatch.records import Alert
from streamwatch.watch.groups import group_parts

if TYPE_CHECKING:
    from streamwatch.model.gradients import Asked, Slope

FIRST_PARTS = 8
MOST_PLACES = 257
TOLERANCE = 0.01
"""Parts of the way are halved until the credits of all parts together miss what they should be by less than this."""
PRECISION = "torch-fp32"


@dataclass(frozen=True)
class Question:
    """What is to be explained.

    Args:
        text: The text, as the scorer gets it.
        task: `sentiment`, `topic` or `intent`.
        mention: How the entity is spelt in the text whose own sentiment is meant; "" for the text's.
        label: Whose probability; "" for the most probable one.

    Raises:
        ValueError: There is no such task or label; the message names those that there are.
    """

    text: str
    task: str = "sentiment"
    mention: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            message = f"there is no task {self.task!r}: the tasks are {', '.join(TASKS)}"
            raise ValueError(message)
        if self.label and self.label not in TASKS[self.task]:
            message = f"{self.task} has no label {self.label!r}: its labels are {', '.join(TASKS[self.task])}"
            raise ValueError(message)
        if self.mention and self.task != "sentiment":
            message = f"of an entity the model knows the sentiment alone, not the {self.task}"
            raise ValueError(message)


@dataclass(frozen=True)
class Piece:
    """A word of the text, `text[start:end]`, and what it adds to the probability."""

    text: str
    start: int
    end: int
    attribution: float


@dataclass(frozen=True)
class Explanation:
    """What each word adds to a label's probability; all of them together the probability less the baseline's.

    Attributes:
        text: The text; `pieces` counts in its characters.
        task: Which task.
        entity: How the entity is spelt whose own sentiment is explained; None: the text's label.
        label: Whose probability is explained.
        probability: Of the label, for the text.
        baseline_probability: Of the label, for the text without its words.
        pieces: Words in order; where words are written without spaces, tokens. Behind the last one the model reads
            nothing, as it cuts texts.
        error: By how much the attributions miss the difference of the two probabilities.
        places: At how many places of the way the gradient was taken.
        model_version: As beside a score, for the precision that was computed with.
    """

    text: str
    task: str
    entity: str | None
    label: str
    probability: float
    baseline_probability: float
    pieces: tuple[Piece, ...]
    error: float
    places: int
    model_version: str

    @property
    def unread(self) -> str:
        """The end of the text that was cut off and not read."""
        return self.text[self.pieces[-1].end :].strip() if self.pieces else ""


class _Way:
    """The way from the baseline to the text, in parts, each integrated by Simpson's rule.

    The probability is known wherever the slope is, so each part can be held against what it should give, and those
    that fail are halved. The probability mostly turns at one place, so the rest of the way needs few places. To hold
    only the whole against what it should give would not do: too much here often makes up for too little there.
    """

    def __init__(self, asked: Asked, label: int) -> None:
        self.asked = asked
        self.label = label
        self.slopes: dict[float, Slope] = {}
        self._parts = [(part / FIRST_PARTS, (part + 1) / FIRST_PARTS) for part in range(FIRST_PARTS)]

    def next_places(self) -> list[float]:
        """Return where the slope is to be known next; nowhere when the attributions are good enough."""
        if self.slopes:
            worst = self._worst_parts()
            self._parts = [new for part in self._parts for new in (_halves(part) if part in worst else (part,))]
        places = {place for start, end in self._parts for place in (start, (start + end) / 2, end)}
        return sorted(places - self.slopes.keys())

    def attributions(self) -> NDArray[np.float64]:
        """Return what each token adds, `(tokens,)`."""
        whole: NDArray[np.float64] = self._sums().sum(axis=0)
        return whole

    def _sums(self) -> NDArray[np.float64]:
        """Return what each token adds on each part, `(parts, tokens)`."""
        return np.array(
            [
                (end - start) / 6 * (self._slope(start) + 4 * self._slope((start + end) / 2) + self._slope(end))
                for start, end in self._parts
            ]
        )

    def _slope(self, place: float) -> NDArray[np.float64]:
        return self.slopes[place].by_token

    def _worst_parts(self) -> set[tuple[float, float]]:
        """Return the parts that are to be halved: but for them the errors would come to half of what is allowed."""
        gained = [self.slopes[end].probability - self.slopes[start].probability for start, end in self._parts]
        errors = np.abs(self._sums().sum(axis=1) - gained)
        if errors.sum() < TOLERANCE:
            return set()
        order = np.argsort(-errors, kind="stable")
        left = errors.sum() - np.cumsum(errors[order])
        many = min(int((left >= TOLERANCE / 2).sum()) + 1, (MOST_PLACES - len(self.slopes)) // 2)
        return {self._parts[part] for part in order[:many].tolist()}


class Explainer:
    """Explains the verdicts of an encoder with its heads, in fp32.

    What the scorer says in int8 may differ in the second digit.
    """

    def __init__(self, encoder: Encoder, trained: Trained, config: ModelConfig) -> None:
        from streamwatch.model.gradients import Gradients

        self.version = trained.manifest.version((config.max_tokens, config.context_tokens), PRECISION)
        self._tokenizer = encoder.tokenizer
        self._max_tokens = config.max_tokens
        self._gradients = Gradients(
            encoder.module(), trained.heads, pad_id=encoder.tokenizer.pad_id, batch_tokens=config.micro_batch_tokens
        )
        check_widths(trained, self._gradients.hidden)

    @classmethod
    def load(cls, config: ModelConfig | None = None) -> Explainer:
        """Load the trained model that a configuration names; none: the one that comes with streamwatch.

        Raises:
            EncoderMissing: The package of the default encoder is not installed.
            ModelError: Encoder or model are damaged, or do not belong together.
        """
        import torch

        config = config or ModelConfig()
        trained, encoder = configured_model(config)
        if config.threads:
            torch.set_num_threads(config.threads)
        return cls(encoder, trained, config)

    def explain(self, questions: Sequence[Question]) -> list[Explanation]:
        """Answer questions, all of them together; an answer does not depend on its neighbours.

        A mention that the text does not hold is as none, as it is for the scorer.
        """
        spans, asked = [], []
        for question in questions:
            text = aligned(self._tokenizer, question.text, self._max_tokens)
            spans.append(text.spans)
            asked.append(self._asked(question, text.ids, text.spans))
        probabilities = self._gradients.probabilities(asked)
        labels = [
            TASKS[question.task].index(question.label) if question.label else int(found.argmax())
            for question, found in zip(questions, probabilities, strict=True)
        ]
        ways = [_Way(text, label) for text, label in zip(asked, labels, strict=True)]
        self._walk(ways)
        return [
            self._explanation(question, of_text, way)
            for question, of_text, way in zip(questions, spans, ways, strict=True)
        ]

    def _explanation(self, question: Question, spans: Sequence[Span], way: _Way) -> Explanation:
        by_token, at_baseline, at_text = way.attributions(), way.slopes[0.0].probability, way.slopes[1.0].probability
        return Explanation(
            text=question.text,
            task=question.task,
            entity=question.mention if way.asked.entity else None,
            label=TASKS[question.task][way.label],
            probability=at_text,
            baseline_probability=at_baseline,
            pieces=_pieces(question.text, spans, by_token),
            error=abs(float(by_token.sum()) - (at_text - at_baseline)),
            places=len(way.slopes),
            model_version=self.version,
        )

    def _asked(self, question: Question, ids: NDArray[np.int64], spans: Sequence[Span]) -> Asked:
        from streamwatch.model.gradients import Asked

        # What stands for no character of the text stays as it is, so that nothing is credited to it.
        stands = np.array([end > start for start, end in spans])
        baseline = np.where(stands, self._tokenizer.unknown_id, ids)
        text = simplified(question.text)
        at = text.find(question.mention) if question.mention else -1
        if at < 0:
            return Asked(ids, baseline, question.task, None)
        span = (at, at + len(question.mention))
        (marked,) = self._tokenizer.encode_marked([text], [[span]], self._max_tokens)
        return Asked(ids, baseline, ENTITY, marked.spans[0])

    def _walk(self, ways: Sequence[_Way]) -> None:
        """Take the gradients that the ways need, as often as they need some."""
        from streamwatch.model.gradients import Point

        while points := [(way, place) for way in ways for place in way.next_places()]:
            slopes = self._gradients.slopes([Point(way.asked, way.label, place) for way, place in points])
            for (way, place), slope in zip(points, slopes, strict=True):
                way.slopes[place] = slope


def _halves(part: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    start, end = part
    middle = (start + end) / 2
    return (start, middle), (middle, end)


def _pieces(text: str, spans: Sequence[Span], by_token: NDArray[np.float64]) -> tuple[Piece, ...]:
    found = []
    for tokens in words(text, spans):
        start, end = min(spans[token][0] for token in tokens), max(spans[token][1] for token in tokens)
        found.append(Piece(text[start:end], start, end, float(by_token[tokens].sum())))
    return tuple(found)


def explain_evidence(
    explainer: Explainer, alert: Alert, spelt: Callable[[Sequence[str], str], Sequence[str]]
) -> list[Explanation]:
    """Explain why each post of an alert's evidence counts as negative.

    Where the alert is about an entity, its own sentiment is explained, as it is what counted. Evidence is cut to its
    first characters, so a long post's probability may differ from the one that the alert tells.

    Args:
        explainer: Explains.
        alert: The alert.
        spelt: How an entity is spelt in each of some texts, "" where it is not: `Gazetteer.spelt`.
    """
    entity = group_parts(alert.group_by, alert.group).get("entity")
    texts = [post.text for post in alert.evidence]
    mentions = spelt(texts, entity) if entity else [""] * len(texts)
    return explainer.explain(
        [Question(text, mention=mention, label="negative") for text, mention in zip(texts, mentions, strict=True)]
    )
