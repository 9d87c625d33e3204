from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamwatch.errors import ModelError
from streamwatch.learn.examples import Example, read_examples
from streamwatch.learn.finetune import (
    Average,
    Progress,
    Recipe,
    TorchStepper,
    finetune,
    mean_f1,
    merged,
    parameter_groups,
    predict,
)
from streamwatch.learn.network import Network, encoder_state, trainable, word_embeddings
from streamwatch.learn.train import differences_of, new_network
from streamwatch.model.encoder import Encoder, load_encoder
from streamwatch.model.heads import HEADS
from tests.tiny_encoder import write_encoder
from tests.toy_texts import TOY_WORDS, entity_rows, text_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = Recipe(
    epochs=1,
    learning_rate=3e-3,
    head_learning_rate=1e-1,
    layer_decay=1.0,
    temperature=1.0,
    class_balance=0.0,
    label_smoothing=0.0,
    dropout=0.0,
    dropout_samples=1,
    max_tokens=16,
    context_tokens=16,
    frozen_layers=0,
    averaging=0.0,
    joined=0.0,
    disguised=0.0,
    switched=0.0,
    dropped_tokens=0.0,
    evaluations=1,
    patience=100,
)
"""Nothing but the labels' cross-entropy: no randomness beside the order of the texts."""
EVERYTHING = msgspec.structs.replace(
    PLAIN,
    layer_decay=0.9,
    temperature=2.0,
    class_balance=0.3,
    label_smoothing=0.05,
    dropout=0.1,
    dropout_samples=2,
    averaging=0.9,
    adversarial=0.1,
    joined=0.15,
    r_drop=0.3,
    disguised=0.2,
    switched=0.2,
    dropped_tokens=0.02,
)


def but(recipe: Recipe, **changes: Any) -> Recipe:
    """Return a recipe with changes."""
    return msgspec.structs.replace(recipe, **changes)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """An encoder without dropout of its own."""
    folder = tmp_path_factory.mktemp("encoder")
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return load_encoder(str(write_encoder(folder, "bert", TOY_WORDS, initializer_range=0.1, **none)))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    file = tmp_path_factory.mktemp("texts") / "toy.jsonl"
    return read_examples([write_rows(file, [*text_rows(1_000, 1), *entity_rows(600, 2)])])


@pytest.fixture(scope="module")
def learnt_from(texts: list[Example]) -> list[Example]:
    return [example for example in texts if example.part == "train"]


@pytest.fixture(scope="module")
def held_back(texts: list[Example]) -> list[Example]:
    return [example for example in texts if example.part != "train"]


def silent(progress: Progress) -> None:
    """Be told and say nothing."""


def train(encoder: Encoder, recipe: Recipe, learnt_from: Sequence[Example], dev: Sequence[Example]) -> Network:
    """Return the network as it is after the last step."""
    network = new_network(encoder, recipe)
    finetune(network, encoder.tokenizer, learnt_from, dev, recipe, on_progress=silent, on_best=lambda best: None)
    return network


def weights_of(network: Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Return the names of the weights that differ."""
    return {name for name in before if not torch.equal(before[name], after[name])}


class Recorder(TorchStepper):
    """Does as `TorchStepper`, and keeps what it is told."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__(network, recipe)
        self.losses: list[float] = []
        self.rates: list[float] = []

    def backward(self, loss: Tensor) -> None:
        self.losses.append(loss.item())
        super().backward(loss)

    def step(self, rate: float) -> None:
        self.rates.append(rate)
        super().step(rate)


def record(encoder: Encoder, recipe: Recipe, learnt_from: Sequence[Example], dev: Sequence[Example]) -> Recorder:
    made: list[Recorder] = []

    def make(network: Network, recipe: Recipe) -> Recorder:
        made.append(Recorder(network, recipe))
        return made[0]

    finetune(
        new_network(encoder, recipe),
        encoder.tokenizer,
        learnt_from,
        dev,
        recipe,
        on_progress=silent,
        on_best=lambda best: None,
        make_stepper=make,
    )
    return made[0]


@pytest.mark.parametrize("recipe", [but(PLAIN, epochs=5), but(EVERYTHING, epochs=5)], ids=["plain", "everything on"])
def test_texts_and_entities_are_learnt_together(
    encoder: Encoder, learnt_from: list[Example], held_back: list[Example], recipe: Recipe
) -> None:
    network = new_network(encoder, recipe)
    scores: list[float] = []
    told: list[Progress] = []

    def keep(best: Network) -> None:
        scores.append(mean_f1(predict(best, encoder.tokenizer, held_back, 16, 16)))

    before = mean_f1(predict(network, encoder.tokenizer, held_back, 16, 16))
    best = finetune(network, encoder.tokenizer, learnt_from, held_back, recipe, on_progress=told.append, on_best=keep)
    assert before < 0.5
    assert best > 0.9
    assert scores == sorted(set(scores))
    assert scores[-1] == best
    losses = [progress.loss for progress in told if progress.score is None]
    assert losses[-1] < losses[0] / 2
    assert max(progress.score for progress in told if progress.score is not None) == best
    assert told[-1].step == told[-1].steps


def test_a_seed_gives_the_same_weights_and_another_one_others(encoder: Encoder, learnt_from: list[Example]) -> None:
    few = learnt_from[::10]
    runs = [weights_of(train(encoder, but(EVERYTHING, seed=seed), few, few[:20])) for seed in (1, 1, 2)]
    assert changed(runs[0], runs[1]) == set()
    assert "encoder.encoder.layer.1.output.dense.weight" in changed(runs[0], runs[2])


@pytest.mark.parametrize("recipe", [PLAIN, but(PLAIN, adapter="lora")], ids=["full", "lora"])
def test_word_embeddings_and_frozen_layers_stay(encoder: Encoder, learnt_from: list[Example], recipe: Recipe) -> None:
    few = learnt_from[::10]
    before = encoder_state(encoder.module())
    words = word_embeddings(encoder.module()).weight
    for frozen in (0, 1, 2):
        frozen_recipe = but(recipe, frozen_layers=frozen)
        network = train(encoder, frozen_recipe, few, few[:20])
        assert torch.equal(word_embeddings(network.encoder).weight, words)
        learnt = differences_of(network, before, frozen_recipe)
        layers = {name.split(".")[2] for name in learnt if name.startswith("encoder.layer.")}
        assert layers == {str(layer) for layer in range(frozen, 2)}
        in_front = any(name.startswith("embeddings.") for name in learnt)
        assert in_front == (frozen == 0 and recipe.adapter == "full")


def test_low_rank_changes_touch_matrices_alone_and_merge_under_the_bases_names(
    encoder: Encoder, learnt_from: list[Example], held_back: list[Example]
) -> None:
    recipe = but(PLAIN, adapter="lora", lora_rank=4, learning_rate=1e-2)
    base = encoder_state(encoder.module())
    network = train(encoder, recipe, learnt_from, held_back)
    live = {name.replace(".base_layer", ""): value for name, value in encoder_state(network.encoder).items()}
    assert all(np.array_equal(live[name], value) for name, value in base.items())
    learnt = differences_of(network, base, recipe)
    assert learnt.keys() == {
        name for name, value in base.items() if name.startswith("encoder.layer.") and value.ndim == 2
    }
    for name, difference in learnt.items():
        assert np.linalg.matrix_rank(difference, tol=1e-4 * np.linalg.norm(difference, 2)) <= 4, name
    whole = merged(network)
    assert encoder_state(whole).keys() == base.keys()
    apart = Network(whole, 32, dropout=0, dropout_samples=1)
    apart.heads = network.heads
    found, expected = (predict(one, encoder.tokenizer, held_back, 16, 16) for one in (apart, network))
    for head in HEADS:
        assert np.abs(found[head].logits - expected[head].logits).max() < 1e-3


def test_what_was_merged_can_go_on_learning(encoder: Encoder, learnt_from: list[Example]) -> None:
    few = learnt_from[::10]
    recipe = but(PLAIN, adapter="lora", epochs=2)
    network = train(encoder, recipe, few, few[:20])
    before = {name: value.copy() for name, value in encoder_state(network.encoder).items()}
    merged(network)
    assert all(np.array_equal(before[name], value) for name, value in encoder_state(network.encoder).items())


def test_training_ends_when_nothing_gets_better(encoder: Encoder, learnt_from: list[Example]) -> None:
    standing = but(PLAIN, learning_rate=0.0, head_learning_rate=0.0, epochs=10, evaluations=2, patience=3)
    few = learnt_from[:128]
    kept: list[Network] = []
    told: list[Progress] = []
    finetune(
        new_network(encoder, standing),
        encoder.tokenizer,
        few,
        few[:20],
        standing,
        on_progress=told.append,
        on_best=kept.append,
    )
    scores = [progress.score for progress in told if progress.score is not None]
    assert len(scores) == 1 + 3
    assert len(set(scores)) == 1
    assert (told[-1].step, told[-1].steps) == (2 * 4, 40)
    assert len(kept) == 1


def test_the_mean_of_the_weights_is_handed_out_and_the_last_ones_learn_on(
    encoder: Encoder, learnt_from: list[Example]
) -> None:
    few = learnt_from[::10]
    handed_out: dict[float, dict[str, Tensor]] = {}
    last: dict[float, dict[str, Tensor]] = {}
    for decay in (0.0, 0.9):
        recipe = but(PLAIN, averaging=decay)
        network = new_network(encoder, recipe)

        def keep(best: Network, decay: float = decay) -> None:
            handed_out[decay] = weights_of(best)

        finetune(network, encoder.tokenizer, few, few, recipe, on_progress=silent, on_best=keep)
        last[decay] = weights_of(network)
    assert changed(last[0.0], last[0.9]) == set()
    assert changed(handed_out[0.0], last[0.0]) == set()
    start = weights_of(new_network(encoder, PLAIN))
    name = "encoder.encoder.layer.1.output.dense.weight"
    moved, mean_moved = last[0.9][name] - start[name], handed_out[0.9][name] - start[name]
    assert 0 < mean_moved.norm() < moved.norm()
    assert torch.nn.functional.cosine_similarity(mean_moved.flatten(), moved.flatten(), dim=0) > 0.8


def test_the_running_mean_forgets_fast_at_first() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    average, expected = Average(module, 0.3), 1.0
    for step, value in enumerate((2.0, 4.0, 8.0, 16.0), 1):
        nn.init.constant_(module.weight, value)
        average.update()
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.in_place():
        assert module.weight.item() == pytest.approx(expected)
    assert module.weight.item() == 16.0


def test_the_last_weights_are_put_back_after_an_error() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = Average(module, 0.9)
    nn.init.constant_(module.weight, 5.0)
    average.update()
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert module.weight.item() == 5.0


def test_what_does_not_learn_is_not_averaged() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    average = Average(module, 0.5)
    nn.init.constant_(module.bias, 7.0)
    average.update()
    with average.in_place():
        assert module.bias.tolist() == [7.0, 7.0]


def test_two_halves_of_a_batch_are_like_the_whole(encoder: Encoder, texts: list[Example]) -> None:
    labelled_alike = [example for example in texts if not example.spans][:160]
    start = weights_of(new_network(encoder, PLAIN))
    whole, halves = (
        weights_of(train(encoder, but(PLAIN, batch_texts=size, accumulate=32 // size), labelled_alike, texts[:20]))
        for size in (32, 16)
    )
    # A key's bias moves all of a row's attention alike: it has no gradient but noise.
    for name in changed(start, whole) - {name for name in start if name.endswith("self.key.bias")}:
        moved = (whole[name] - start[name]).norm()
        assert (halves[name] - whole[name]).norm() < 0.02 * moved, name


def test_accumulated_batches_make_one_step(encoder: Encoder, texts: list[Example]) -> None:
    labelled_alike = [example for example in texts if not example.spans][:128]
    parts, whole = (
        record(encoder, but(PLAIN, batch_texts=size, accumulate=32 // size), labelled_alike, texts[:20])
        for size in (8, 32)
    )
    assert (len(parts.rates), len(parts.losses)) == (4, 16)
    assert parts.rates == whole.rates
    assert sum(parts.losses[:4]) == pytest.approx(whole.losses[0], rel=1e-4)


def test_the_rate_rises_and_falls_over_the_whole_training(encoder: Encoder, learnt_from: list[Example]) -> None:
    few = learnt_from[:320]
    rates = record(encoder, but(PLAIN, epochs=2, warmup=0.2), few, few[:20]).rates
    assert len(rates) == 20
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4:] == pytest.approx([1 - step / 16 for step in range(16)])


def test_an_adversarial_step_adds_the_gradients_of_a_harder_batch(encoder: Encoder, learnt_from: list[Example]) -> None:
    few = learnt_from[:160]
    losses = record(encoder, but(PLAIN, adversarial=0.5), few, few[:20]).losses
    assert len(losses) == 2 * 5
    assert all(harder > plain for plain, harder in zip(losses[::2], losses[1::2], strict=True))


def test_two_passes_that_differ_cost_more(encoder: Encoder, learnt_from: list[Example]) -> None:
    few = learnt_from[:32]
    recipe = but(PLAIN, dropout=0.5, learning_rate=0.0, head_learning_rate=0.0)
    alone, little, much = (record(encoder, but(recipe, r_drop=weight), few, few).losses for weight in (0.0, 1.0, 100.0))
    assert len(alone) == len(little) == len(much) == 1
    assert much[0] > little[0] > 0
    equal = [record(encoder, but(PLAIN, r_drop=weight), few, few).losses[0] for weight in (0.0, 100.0)]
    assert equal[0] == pytest.approx(equal[1], rel=1e-4)


def test_rates_fall_from_the_heads_down_and_norms_do_not_decay(encoder: Encoder) -> None:
    recipe = but(PLAIN, learning_rate=1e-3, head_learning_rate=1e-1, layer_decay=0.5, weight_decay=0.01)
    network = new_network(encoder, recipe)
    trainable(network, frozen_layers=0)
    groups = parameter_groups(network, recipe)
    of = {id(parameter): group for group in groups for parameter in group["params"]}
    learning = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert sum(len(group["params"]) for group in groups) == len(of) == len(learning)
    for prefix, rate in {
        "heads.": 1e-1,
        "encoder.encoder.layer.1.": 1e-3,
        "encoder.encoder.layer.0.": 5e-4,
        "encoder.embeddings.": 2.5e-4,
    }.items():
        found = {of[id(value)]["lr"] for name, value in learning.items() if name.startswith(prefix)}
        assert sorted(found) == pytest.approx([rate]), prefix
    for name, value in learning.items():
        assert (of[id(value)]["weight_decay"] == 0) == (name.endswith(".bias") or "LayerNorm" in name), name


def test_predictions_belong_to_their_texts_in_any_order(encoder: Encoder, texts: list[Example]) -> None:
    network = new_network(encoder, PLAIN)
    some = [*texts[:70], *texts[-70:]]
    found = predict(network, encoder.tokenizer, some, 16, 16)
    backwards = predict(network, encoder.tokenizer, some[::-1], 16, 16)
    for task in ("sentiment", "topic", "intent"):
        assert sorted(found[task].places.tolist()) == [at for at, one in enumerate(some) if task in one.labels]
        assert [some[at].labels[task] for at in found[task].places] == found[task].gold.tolist()
        mine = dict(zip(found[task].places.tolist(), found[task].logits, strict=True))
        for place, logits in zip(backwards[task].places.tolist(), backwards[task].logits, strict=True):
            assert np.allclose(mine[len(some) - 1 - place], logits, atol=1e-5)
    entity = found["entity"]
    gold = [(at, span.sentiment) for at in dict.fromkeys(entity.places.tolist()) for span in some[at].spans]
    assert list(zip(entity.places.tolist(), entity.gold.tolist(), strict=True)) == gold
    assert len(gold) == 2 * 70


def test_a_head_that_nobody_labelled_is_left_out(encoder: Encoder, texts: list[Example]) -> None:
    plain = [example for example in texts if not example.spans][:40]
    assert predict(new_network(encoder, PLAIN), encoder.tokenizer, plain, 16, 16).keys() == {
        "sentiment",
        "topic",
        "intent",
    }


def test_measuring_does_not_change_what_is_learnt(encoder: Encoder, learnt_from: list[Example]) -> None:
    few = learnt_from[:160]
    seldom, often = (weights_of(train(encoder, but(EVERYTHING, evaluations=times), few, few[:20])) for times in (1, 5))
    assert changed(seldom, often) == set()


def test_fewer_texts_than_a_step_takes_are_refused(encoder: Encoder, learnt_from: list[Example]) -> None:
    with pytest.raises(ModelError, match="31 texts to learn from are fewer than a step takes: 32"):
        train(encoder, PLAIN, learnt_from[:31], learnt_from[:5])


def test_the_last_loss_that_is_told_is_a_mean_too(encoder: Encoder, learnt_from: list[Example]) -> None:
    standing = but(PLAIN, learning_rate=0.0, head_learning_rate=0.0, epochs=3)
    few = learnt_from[:128]
    told: list[Progress] = []
    finetune(
        new_network(encoder, standing),
        encoder.tokenizer,
        few,
        few[:20],
        standing,
        on_progress=told.append,
        on_best=lambda best: None,
    )
    first, last = (progress.loss for progress in told if progress.score is None)
    assert last == pytest.approx(first, rel=0.3)


@pytest.mark.parametrize(
    "changes", [{"epochs": 0}, {"dropout": 1.0}, {"adapter": "prefix"}, {"frozen_layers": -1}, {"epoch": 3}]
)
def test_a_recipe_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(changes, Recipe)
