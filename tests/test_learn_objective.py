import math

import numpy as np
import pytest
import torch
from torch import Tensor

from streamwatch.learn.examples import Example, Span
from streamwatch.learn.objective import (
    UNLABELLED,
    Gold,
    class_weights,
    cross_entropy,
    disagreement,
    gold_of,
    worst_direction,
)
from streamwatch.model.heads import HEADS

EVEN = {head: torch.ones(len(labels)) for head, labels in HEADS.items()}


def example(spans: tuple[int, ...] = (), **labels: int) -> Example:
    return Example("Apple", "en", "x", "train", labels, tuple(Span(0, 5, sentiment) for sentiment in spans))


def random_look(rows: int, entities: int, seed: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        head: torch.randn(entities if head == "entity" else rows, len(labels), generator=draw)
        for head, labels in HEADS.items()
    }


def log_shares(logits: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return log probabilities, computed apart from torch."""
    values = logits.detach().double().numpy()
    shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = values - np.log(
        np.exp(values).sum(axis=1, keepdims=True)
    )
    return shares


def test_the_right_classes_of_a_batch() -> None:
    gold = gold_of([example(sentiment=2), example((0, 2), topic=19), example((1,), sentiment=0, intent=6)])
    assert {head: classes.tolist() for head, classes in gold.by_head.items()} == {
        "sentiment": [2, UNLABELLED, 0],
        "topic": [UNLABELLED, 19, UNLABELLED],
        "intent": [UNLABELLED, UNLABELLED, 6],
        "entity": [0, 2, 1],
    }
    assert {classes.dtype for classes in gold_of([]).by_head.values()} == {torch.int64}


def test_the_loss_is_the_mean_over_the_labels_that_are_there() -> None:
    examples = [example(sentiment=2), example((0, 2), topic=19), example((1,), sentiment=0, intent=6)]
    look = random_look(3, 3, 1)
    right = [("sentiment", 0, 2), ("sentiment", 2, 0), ("topic", 1, 19), ("intent", 2, 6)]
    right += [("entity", 0, 0), ("entity", 1, 2), ("entity", 2, 1)]
    expected = -np.mean([log_shares(look[head])[row, label] for head, row, label in right])
    assert float(cross_entropy([look], gold_of(examples), EVEN, smoothing=0)) == pytest.approx(expected, abs=1e-5)


def test_rare_classes_count_by_their_weight_and_labels_by_their_number() -> None:
    examples = [example(sentiment=0), example(sentiment=0), example(sentiment=2), example(intent=3)]
    look, weights = random_look(4, 0, 2), dict(EVEN)
    weights["sentiment"] = torch.tensor([0.5, 1.0, 3.0])
    sentiment, intent = log_shares(look["sentiment"]), log_shares(look["intent"])
    weighted = -(0.5 * sentiment[0, 0] + 0.5 * sentiment[1, 0] + 3 * sentiment[2, 2]) / (0.5 + 0.5 + 3)
    expected = (3 * weighted - intent[3, 3]) / 4
    assert float(cross_entropy([look], gold_of(examples), weights, smoothing=0)) == pytest.approx(expected, abs=1e-5)


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    look = random_look(2, 0, 3)
    shares = log_shares(look["sentiment"])
    expected = -np.mean([0.9 * shares[row, 1] + 0.1 * shares[row].mean() for row in range(2)])
    found = cross_entropy([look], gold_of([example(sentiment=1)] * 2), EVEN, smoothing=0.1)
    assert float(found) == pytest.approx(expected, abs=1e-5)


def test_several_looks_count_alike() -> None:
    gold = gold_of([example((2,), sentiment=1), example(topic=4)])
    looks = [random_look(2, 1, seed) for seed in (4, 5)]
    each = [float(cross_entropy([look], gold, EVEN, smoothing=0.05)) for look in looks]
    assert float(cross_entropy(looks, gold, EVEN, smoothing=0.05)) == pytest.approx(np.mean(each), abs=1e-5)


def test_what_is_not_labelled_teaches_nothing() -> None:
    look = {head: logits.requires_grad_() for head, logits in random_look(2, 0, 6).items()}
    cross_entropy([look], gold_of([example(sentiment=1), example(topic=2)]), EVEN, smoothing=0.1).backward()  # type: ignore[no-untyped-call]
    sentiment, topic, intent = (look[head].grad for head in ("sentiment", "topic", "intent"))
    assert sentiment is not None
    assert topic is not None
    assert sentiment[0].abs().min() > 0
    assert topic[1].abs().min() > 0
    assert not sentiment[1].any()
    assert not topic[0].any()
    assert intent is None or not intent.any()


def test_a_batch_without_labels_has_no_loss() -> None:
    assert float(cross_entropy([random_look(2, 0, 7)], gold_of([example(), example()]), EVEN, smoothing=0.1)) == 0


def uneven() -> list[Example]:
    return [example(sentiment=0)] * 60 + [example(sentiment=1)] * 30 + [example((2,), sentiment=2)] * 10


def test_without_balance_all_classes_weigh_one() -> None:
    weights = class_weights(uneven(), 0.0)
    assert weights.keys() == HEADS.keys()
    assert weights["sentiment"].tolist() == pytest.approx([1, 1, 1])


def test_full_balance_makes_classes_count_alike() -> None:
    weights = class_weights(uneven(), 1.0)["sentiment"].numpy()
    assert weights * np.array([60, 30, 10]) == pytest.approx([weights[0] * 60] * 3)


@pytest.mark.parametrize("balance", [0.0, 0.3, 1.0])
def test_weights_are_one_on_average_over_the_labels(balance: float) -> None:
    weights = class_weights(uneven(), balance)["sentiment"].numpy()
    assert weights @ np.array([0.6, 0.3, 0.1]) == pytest.approx(1)
    assert list(weights) == sorted(weights)


def test_classes_and_heads_that_nobody_labelled_get_finite_weights() -> None:
    for weights in class_weights(uneven(), 1.0).values():
        assert torch.isfinite(weights).all()
        assert weights.min() > 0


def test_equal_looks_do_not_disagree() -> None:
    look = random_look(5, 3, 8)
    shifted = {head: logits + 2 for head, logits in look.items()}
    assert float(disagreement(look, look)) == pytest.approx(0, abs=1e-6)
    assert float(disagreement(look, shifted)) == pytest.approx(0, abs=1e-5)


def test_disagreement_is_the_symmetric_divergence() -> None:
    one, two = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]), torch.zeros(2, 2)
    p, q = np.array([0.25, 0.75]), np.array([0.5, 0.5])
    both = ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()) / 2
    assert float(disagreement({"a": one}, {"a": two})) == pytest.approx(both / 2, abs=1e-6)
    assert float(disagreement({"a": two}, {"a": one})) == pytest.approx(both / 2, abs=1e-6)


def test_a_batch_without_entities_disagrees_on_the_texts_alone() -> None:
    one, two = random_look(4, 0, 9), random_look(4, 0, 10)
    found = float(disagreement(one, two))
    assert math.isfinite(found)
    assert found > 0


def loss_of(words: Tensor, matrix: Tensor, gold: Gold) -> Tensor:
    """Return the loss of a model whose logits depend on a text's words in a curved way."""
    return cross_entropy([{"sentiment": torch.tanh(words.mean(1)) @ matrix}], gold, EVEN, smoothing=0)


def test_the_disturbance_raises_the_loss_more_than_any_other_of_its_length() -> None:
    draw = torch.Generator().manual_seed(11)
    words = torch.randn(4, 6, 8, generator=draw).requires_grad_()
    matrix = torch.randn(8, 3, generator=draw)
    gold = Gold({"sentiment": torch.tensor([0, 1, 2, 0])})
    before = loss_of(words, matrix, gold)
    before.backward()  # type: ignore[no-untyped-call]
    worst = worst_direction(words, 0.1)
    assert torch.allclose(worst.flatten(1).norm(dim=1), torch.full((4,), 0.1))
    plain = words.detach()
    raised = float(loss_of(plain + worst, matrix, gold))
    assert raised > before.item() > float(loss_of(plain - worst, matrix, gold))
    for _ in range(20):
        other = torch.randn(words.shape, generator=draw)
        other *= 0.1 / other.flatten(1).norm(dim=1)[:, None, None]
        assert float(loss_of(plain + other, matrix, gold)) < raised


def test_a_text_without_gradient_is_not_disturbed() -> None:
    words = torch.ones(2, 3, 4, requires_grad=True)
    words[0].square().sum().backward()  # type: ignore[no-untyped-call]
    worst = worst_direction(words, 0.5)
    assert worst[0].norm() == pytest.approx(0.5)
    assert not worst[1].any()
