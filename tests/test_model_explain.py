import math
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.encoder import Encoder, load_encoder
from streamwatch.model.explain import (
    FIRST_PARTS,
    MOST_PLACES,
    TOLERANCE,
    Explainer,
    Explanation,
    Question,
    explain_evidence,
)
from streamwatch.model.heads import ENTITY, HEADS, Head
from streamwatch.model.scorer import Scorer
from streamwatch.model.trained import EncoderId, Manifest, Trained, save_trained
from streamwatch.records import Alert, EvidencePost, Provenance
from tests.tiny_encoder import HIDDEN, KINDS, write_encoder

TEXTS = [
    "Apple cuts its guidance, Tesla&#39;s shares soar https://t.co/x @jane",
    "公司业绩大幅下滑，股价暴跌",
    "crash😱😱 $AAPL",
    "",
    " \n",
    "shares fall after results " * 400,
    "مؤشر الأسهم يرتفع",
    "\ud800 cafe\u0301",
]
TINY_TEXTS = ["apple shares fall after tesla results", "shares rise", "", "nobody knows", "up " * 60 + "tesla"]
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Linear(torch.nn.Module):
    """An encoder that gives every token its own word embedding."""

    def __init__(self, embeddings: NDArray[np.float32]) -> None:
        super().__init__()
        self.words = torch.nn.Embedding.from_pretrained(torch.from_numpy(embeddings))

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.words

    def forward(self, inputs_embeds: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=inputs_embeds * attention_mask[:, :, None])


def drawn_heads(size: float) -> dict[str, Head]:
    draw = np.random.default_rng(4)
    return {
        name: Head(
            draw.normal(0, size, (len(labels), 2 * HIDDEN if name == ENTITY else HIDDEN)).astype(np.float32),
            draw.normal(0, 0.1, len(labels)).astype(np.float32),
        )
        for name, labels in HEADS.items()
    }


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Explainer:
    """A small encoder with heads that are sure of themselves."""
    return explainer(load_encoder(str(tiny_folder)), drawn_heads(1.0))


@pytest.fixture(scope="module")
def shipped() -> Explainer:
    return Explainer.load(ModelConfig(max_tokens=48))


def explainer(encoder: Encoder, heads: dict[str, Head]) -> Explainer:
    trained = Trained(heads, {}, Manifest(EncoderId(encoder.name, encoder.sha256), {}, "f" * 64))
    return Explainer(encoder, trained, ModelConfig(max_tokens=32, micro_batch_tokens=512))


def check(explanation: Explanation) -> None:
    """Check what holds for every explanation: it adds up as it says, and its pieces stand in the text in order."""
    total = math.fsum(piece.attribution for piece in explanation.pieces)
    gained = explanation.probability - explanation.baseline_probability
    assert abs(total - gained) == pytest.approx(explanation.error, abs=1e-9)
    assert explanation.error < TOLERANCE or explanation.places >= MOST_PLACES - 1
    at = 0
    for piece in explanation.pieces:
        assert at <= piece.start < piece.end
        assert piece.text == explanation.text[piece.start : piece.end]
        assert not piece.text[0].isspace()
        assert not piece.text[-1].isspace()
        at = piece.end


def test_attributions_add_up_and_stand_in_the_text(shipped: Explainer) -> None:
    explanations = shipped.explain([Question(text) for text in TEXTS])
    for explanation in explanations:
        check(explanation)
    by_text = dict(zip(TEXTS, explanations, strict=True))
    assert [piece.text for piece in by_text[TEXTS[0]].pieces] == TEXTS[0].split()
    assert [piece.text for piece in by_text[TEXTS[1]].pieces] == "公司 业绩 大幅 下滑 ， 股价 暴 跌".split()
    assert [piece.text for piece in by_text[TEXTS[2]].pieces] == ["crash", "😱", "😱", "$AAPL"]
    assert "shares fall" in by_text[TEXTS[5]].unread
    assert not by_text[TEXTS[0]].unread
    for nothing in ("", " \n"):
        assert by_text[nothing].pieces == ()
        assert by_text[nothing].probability == by_text[nothing].baseline_probability


@pytest.mark.parametrize("task", ["sentiment", "topic", "intent"])
def test_sure_verdicts_add_up_too(tiny: Explainer, task: str) -> None:
    explanations = tiny.explain([Question(text, task) for text in TINY_TEXTS])
    for explanation in explanations:
        check(explanation)
    assert max(abs(piece.attribution) for at in explanations for piece in at.pieces) > 0.05


def test_labels_share_what_there_is(tiny: Explainer) -> None:
    """The probabilities add up to one, so what the words add to all labels together is nothing."""
    found = tiny.explain([Question(TINY_TEXTS[0], label=label) for label in HEADS["sentiment"]])
    assert sum(at.probability for at in found) == pytest.approx(1)
    best = max(found, key=lambda at: at.probability)
    assert tiny.explain([Question(TINY_TEXTS[0])])[0].label == best.label
    for pieces in zip(*(at.pieces for at in found), strict=True):
        assert sum(piece.attribution for piece in pieces) == pytest.approx(0, abs=TOLERANCE)


def test_on_a_linear_encoder_the_attributions_are_gradient_times_difference(tiny_folder: Path) -> None:
    draw = np.random.default_rng(3)
    base = load_encoder(str(tiny_folder))
    embeddings = draw.normal(0, 1, (12, HIDDEN)).astype(np.float32)
    encoder = Encoder("linear", "0" * 64, base.tokenizer, base.weights, lambda: Linear(embeddings))
    direction = draw.normal(0, 2, HIDDEN).astype(np.float32)
    # One label has a weight: its probability follows one sum over the tokens, whose gradient is the same everywhere.
    heads = drawn_heads(0)
    heads["sentiment"].weight[0] = direction
    heads[ENTITY].weight[0, :HIDDEN] = direction
    text = "apple shares fall after tesla results"
    ids = base.tokenizer.encode([text], 32)[0]
    shares = (embeddings[ids] - embeddings[base.tokenizer.unknown_id]) @ direction / len(ids)
    whole, about = explainer(encoder, heads).explain(
        [Question(text, label="negative"), Question(text, mention="tesla results", label="negative")]
    )
    check(whole)
    gained = whole.probability - whole.baseline_probability
    assert abs(gained) > 0.05
    expected = shares[1:-1] / shares[1:-1].sum() * gained
    assert [piece.attribution for piece in whole.pieces] == pytest.approx(expected.tolist(), abs=whole.error + 1e-6)
    assert about.entity == "tesla results"
    assert [piece.attribution != 0 for piece in about.pieces] == [False] * 4 + [True] * 2


def test_the_baseline_is_the_unknown_token(tiny: Explainer) -> None:
    """So a text of unknown words is its own baseline, and none of them is credited."""
    (explanation,) = tiny.explain([Question("nobody knows this")])
    assert explanation.probability == explanation.baseline_probability
    assert [piece.attribution for piece in explanation.pieces] == [0, 0, 0]
    (other,) = tiny.explain([Question("shares rise up", label=explanation.label)])
    assert other.baseline_probability == pytest.approx(explanation.probability, abs=1e-6)
    assert explanation.places == 2 * FIRST_PARTS + 1 <= other.places


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_probabilities_are_the_scorers(kind: str, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / kind, kind)
    encoder = load_encoder(str(folder))
    changed = {"encoder.layer.0.output.dense.bias": np.full(HIDDEN, 0.5, np.float32)}
    save_trained(tmp_path, drawn_heads(1.0), changed, EncoderId(encoder.name, encoder.sha256), {}, {})
    config = ModelConfig(base=str(folder), weights=tmp_path, runtime="onnx-fp32", max_tokens=32, threads=1)
    scores = Scorer.load(config, tmp_path / "cache").predict(TINY_TEXTS, [["tesla"]] * len(TINY_TEXTS))
    explainer = Explainer.load(config)
    for task in ("sentiment", "topic", "intent"):
        found = explainer.explain([Question(text, task) for text in TINY_TEXTS])
        assert [at.label for at in found] == scores.labels(task)
        assert [at.probability for at in found] == pytest.approx(scores.probabilities(task).max(axis=1), abs=1e-5)
    named = explainer.explain([Question(text, mention="tesla", label="negative") for text in TINY_TEXTS])
    assert [at.probability for at in named] == pytest.approx([at[0][0] for at in scores.entities], abs=1e-5)
    assert [at.entity for at in named] == ["tesla", None, None, None, "tesla"]
    assert scores.model_version == named[0].model_version.replace("torch-fp32", "fp32")


def test_an_explanation_is_the_same_again_and_beside_others(tiny: Explainer) -> None:
    question = Question(TINY_TEXTS[0], mention="tesla")
    (first,), (again,) = tiny.explain([question]), tiny.explain([question])
    assert first == again
    beside = tiny.explain([Question(TINY_TEXTS[4], "topic"), question, Question("")])[1]
    assert beside.label == first.label
    assert [piece.attribution for piece in beside.pieces] == pytest.approx(
        [piece.attribution for piece in first.pieces], abs=1e-5
    )


def test_nothing_asked_is_nothing_answered(tiny: Explainer) -> None:
    assert tiny.explain([]) == []


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"label": "bullish"}, "its labels are negative, neutral, positive"),
        ({"task": "intent", "label": "negative"}, "its labels are inform, express, question"),
        ({"task": "mood"}, "the tasks are sentiment, topic, intent"),
        ({"task": "topic", "mention": "Tesla"}, "the sentiment alone"),
    ],
)
def test_a_wrong_question_says_what_can_be_asked(wrong: dict[str, str], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        Question("shares fall", **wrong)


def test_heads_of_another_width_are_refused(tiny_folder: Path) -> None:
    heads = drawn_heads(1.0) | {"topic": Head(np.zeros((20, 8), np.float32), np.zeros(20, np.float32))}
    with pytest.raises(ModelError, match="topic takes vectors of 8, the encoder gives 32"):
        explainer(load_encoder(str(tiny_folder)), heads)


def evidence(group: str, group_by: str) -> Alert:
    posts = [
        EvidencePost(
            id=str(place), source="news", published_at=NOON, text=text, sentiment="negative", negative_prob=0.9
        )
        for place, text in enumerate(["tesla shares fall", "shares fall"])
    ]
    return Alert(
        fingerprint="0" * 16,
        monitor="surge",
        group=group,
        group_by=group_by,
        severity="critical",
        status="firing",
        onset=NOON,
        window_start=NOON,
        window_end=NOON,
        updated_at=NOON,
        ended_at=None,
        measure="negative_count",
        seen=2,
        expected=0,
        surprise=9,
        count=2,
        negative=2,
        evidence=posts,
        annotations={},
        provenance=Provenance(model_version="v", monitors_hash="h", watermark=NOON, source_offsets={}),
    )


@pytest.mark.parametrize(
    ("group", "group_by", "entities"),
    [
        ("TSLA", "entity", ["tesla", None]),
        ("TSLA|earnings", "entity|topic", ["tesla", None]),
        ("a|b|TSLA", "source|entity", ["tesla", None]),
        ("earnings", "topic", [None, None]),
    ],
)
def test_evidence_is_explained_as_it_counted(
    tiny: Explainer, group: str, group_by: str, entities: list[str | None]
) -> None:
    def spelt(texts: list[str], entity: str) -> list[str]:
        return ["tesla" if entity == "TSLA" and "tesla" in text else "" for text in texts]

    found = explain_evidence(tiny, evidence(group, group_by), spelt)
    for explanation in found:
        check(explanation)
    assert [at.entity for at in found] == entities
    assert {at.label for at in found} == {"negative"}
    expected = tiny.explain([Question("tesla shares fall", mention=entities[0] or "", label="negative")])[0]
    assert found[0].probability == pytest.approx(expected.probability, abs=1e-6)
