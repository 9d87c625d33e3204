"""Fine-tune the encoder and its heads on labelled texts, all tasks at once.

One loop for one process and for many: what computes gradients and steps is a `Stepper`, so that a distributed engine
takes the place of plain torch and nothing else changes. Every random draw comes from the recipe's seed.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from msgspec import Meta, Struct
from numpy.typing import NDArray
from torch import Tensor, nn

from streamwatch.errors import ModelError
from streamwatch.learn.augment import Augmenter
from streamwatch.learn.evaluate import macro_f1
from streamwatch.learn.examples import Example
from streamwatch.learn.network import Network, Tokens, layer_of, trainable
from streamwatch.learn.objective import (
    UNLABELLED,
    Gold,
    class_weights,
    cross_entropy,
    disagreement,
    gold_of,
    worst_direction,
)
from streamwatch.learn.sampling import cut_epoch, draw_epoch, lay_out, sorted_batches
from streamwatch.model.heads import HEADS
from streamwatch.model.tokenizer import TextTokenizer

log = logging.getLogger(__name__)

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
Positive = Annotated[int, Meta(ge=1)]
EVALUATION_BATCH = 64
REPORT_STEPS = 10


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """What a training depends on beside its data and its encoder.

    Attributes:
        epochs: Passes; one draws as many texts as there are.
        batch_texts: Texts of a step's batch.
        accumulate: Batches whose gradients make one step.
        learning_rate: Highest rate of the encoder's weights.
        head_learning_rate: Highest rate of the heads.
        layer_decay: Factor of the rate from a layer to the one below it; 1: all alike.
        weight_decay: Decoupled, not on biases and norms.
        warmup: Share of the steps in which the rate rises from zero; then it falls to zero in a line.
        clip_norm: Longest gradient.
        temperature: Of the sets' shares; 1: by size.
        class_balance: How far rare classes are raised: 0 not, 1 until all count alike.
        label_smoothing: Share of the probability spread over all classes.
        dropout: Of the pooled vectors, before the heads.
        dropout_samples: Dropout masks of a step.
        max_tokens: Longer texts are cut, in training.
        context_tokens: So many tokens of a text that is answered are read.
        adapter: `full` learns every weight above the frozen ones, `lora` low-rank changes of the matrices.
        lora_rank: Rank of these.
        frozen_layers: Layers, from the first one, that stay as they are.
        averaging: Decay of the running mean of the weights, which is what is kept; 0: the last ones are.
        adversarial: Length of FGM's disturbance of the word embeddings; 0: none.
        r_drop: Weight of the disagreement of two passes; 0: one pass.
        joined: Share of texts about entities that are joined with another such text of another verdict.
        disguised: Share of texts with other cashtags and numbers.
        switched: Share of texts with words of the other language.
        dropped_tokens: Share of tokens made unknown.
        evaluations: How often in an epoch the dev part is measured.
        patience: Evaluations without a better one after which it ends.
        seed: Of every draw.
    """

    epochs: Positive = 3
    batch_texts: Positive = 32
    accumulate: Positive = 1
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    layer_decay: float = 0.95
    weight_decay: float = 0.01
    warmup: Share = 0.06
    clip_norm: float = 1.0
    temperature: float = 2.0
    class_balance: float = 0.3
    label_smoothing: Share = 0.05
    dropout: Share = 0.1
    dropout_samples: Positive = 4
    max_tokens: Positive = 128
    context_tokens: Positive = 48
    adapter: Literal["full", "lora"] = "full"
    lora_rank: Positive = 16
    frozen_layers: Annotated[int, Meta(ge=0)] = 0
    averaging: Share = 0.999
    adversarial: float = 0.0
    r_drop: float = 0.0
    joined: Share = 0.3
    disguised: Share = 0.2
    switched: Share = 0.2
    dropped_tokens: Share = 0.05
    evaluations: Positive = 2
    patience: Positive = 4
    seed: int = 0


class Stepper(Protocol):
    """What computes gradients and changes weights."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""

    def step(self, rate: float) -> None:
        """Change the weights, at this share of their highest rates, and forget the gradients."""


class TorchStepper:
    """AdamW in this process."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(parameter_groups(network, recipe), fused=True)
        self._highest = [group["lr"] for group in self._optimizer.param_groups]
        self._clip_norm = recipe.clip_norm

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it

    def step(self, rate: float) -> None:
        """Change the weights, at this share of their highest rates, and forget the gradients."""
        torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        for group, highest in zip(self._optimizer.param_groups, self._highest, strict=True):
            group["lr"] = rate * highest
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)


def parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Return what learns, grouped by rate and weight decay, for an optimizer."""
    layers = 1 + max((layer_of(name) or 0 for name, _ in network.encoder.named_parameters()), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        rate = recipe.head_learning_rate
        if name.startswith("encoder."):
            layer = layer_of(name)
            depth = 0 if layer is None else layer + 1
            rate = recipe.learning_rate * recipe.layer_decay ** (layers - depth)
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


class Average:
    """The running mean of what learns (Polyak averaging): steadier than the last weights.

    The mean forgets faster in the first steps, so that it does not hold on to the untrained weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._live = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._mean = [parameter.detach().clone() for parameter in self._live]
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._mean, [parameter.detach() for parameter in self._live], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module have the mean while this lasts."""
        last = [parameter.detach().clone() for parameter in self._live]
        self._copy(self._mean)
        try:
            yield
        finally:
            self._copy(last)

    @torch.no_grad()
    def _copy(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self._live, values, strict=True):
            parameter.copy_(value)


@dataclass(frozen=True)
class Predicted:
    """Right classes int64 `(labels,)` and logits float32 `(labels, classes)` of one head.

    `places` are those of the examples that the rows belong to.
    """

    places: NDArray[np.intp]
    gold: NDArray[np.intp]
    logits: NDArray[np.float32]


def predict(
    network: Network, tokenizer: TextTokenizer, examples: Sequence[Example], max_tokens: int, context_tokens: int
) -> dict[str, Predicted]:
    """Return what a network says of labelled texts, by head."""
    device = next(network.parameters()).device
    network.eval()
    rows: dict[str, list[tuple[Any, Any, Any]]] = {head: [] for head in HEADS}
    with torch.inference_mode(), _precision(device):
        for batch in sorted_batches(examples, EVALUATION_BATCH):
            texts = [examples[place] for place in batch]
            tokens = lay_out(tokenizer, texts, max_tokens, context_tokens)
            (logits,) = network(tokens.to(device))
            for head, classes in gold_of(texts).by_head.items():
                known = (classes != UNLABELLED).numpy()
                owners = tokens.entities[:, 0].numpy() if head == "entity" else np.arange(len(texts))
                found = logits[head].float().cpu().numpy()
                rows[head].append((np.array(batch, np.intp)[owners][known], classes.numpy()[known], found[known]))
    return {
        head: Predicted(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        for head, parts in rows.items()
        if sum(len(part[1]) for part in parts)
    }


def mean_f1(predicted: dict[str, Predicted]) -> float:
    """Return the mean macro-F1 of the heads: what the best weights are chosen by."""
    return float(np.mean([macro_f1(at.gold, at.logits.argmax(1), len(HEADS[head])) for head, at in predicted.items()]))


@dataclass
class Progress:
    """How far a training is, for whoever watches."""

    step: int
    steps: int
    loss: float
    texts_per_s: float
    score: float | None = None


def finetune(
    network: Network,
    tokenizer: TextTokenizer,
    train: Sequence[Example],
    dev: Sequence[Example],
    recipe: Recipe,
    *,
    on_progress: Callable[[Progress], None],
    on_best: Callable[[Network], None],
    make_stepper: Callable[[Network, Recipe], Stepper] = TorchStepper,
) -> float:
    """Train a network, and hand it out whenever it is better on the dev part than ever before.

    Args:
        network: Is changed.
        tokenizer: Of its encoder.
        train: What to learn.
        dev: What to choose and to stop by.
        recipe: How.
        on_progress: Told every ten steps, and after each evaluation.
        on_best: Given the network, with averaged weights, to keep.
        make_stepper: Makes what computes gradients.

    Returns:
        The best mean macro-F1 on the dev part.

    Raises:
        ModelError: There are too few texts for one step.
    """
    told = _Listener(on_progress, on_best)
    return _Training(network, tokenizer, train, dev, recipe, told, make_stepper).run()


class _Listener(NamedTuple):
    on_progress: Callable[[Progress], None]
    on_best: Callable[[Network], None]


class _Training:
    """A training: what it works with, as `finetune` says, and how far it is."""

    def __init__(
        self,
        network: Network,
        tokenizer: TextTokenizer,
        train: Sequence[Example],
        dev: Sequence[Example],
        recipe: Recipe,
        told: _Listener,
        make_stepper: Callable[[Network, Recipe], Stepper],
    ) -> None:
        self._step_texts = recipe.batch_texts * recipe.accumulate
        if len(train) < self._step_texts:
            message = f"{len(train)} texts to learn from are fewer than a step takes: {self._step_texts}"
            raise ModelError(message)
        torch.manual_seed(recipe.seed)
        self._draw = np.random.default_rng(recipe.seed)
        trainable(network, frozen_layers=recipe.frozen_layers)
        if recipe.adapter == "lora":
            add_low_rank(network, recipe)
        self._network, self._tokenizer, self._train, self._dev = network, tokenizer, train, dev
        self._recipe, self._told = recipe, told
        self._device = next(network.parameters()).device
        weights = class_weights(train, recipe.class_balance)
        self._weights = {head: tensor.to(self._device) for head, tensor in weights.items()}
        self._augmenter = Augmenter(
            train,
            joined=recipe.joined,
            disguised=recipe.disguised,
            switched=recipe.switched,
            dropped=recipe.dropped_tokens,
            seed=recipe.seed,
        )
        self._stepper, self._average = make_stepper(network, recipe), Average(network, recipe.averaging)
        self._steps = len(train) // self._step_texts * recipe.epochs
        self._best, self._worse, self._step = -math.inf, 0, 0
        self._losses: list[float] = []
        self._seen, self._since = 0, time.perf_counter()

    def run(self) -> float:
        """Go on to the last step, or until nothing gets better, and return the best score."""
        every = max(1, self._steps // self._recipe.epochs // self._recipe.evaluations)
        while True:
            for texts in self._epoch():
                self._take_step(texts)
                if self._step % every == 0 or self._step == self._steps:
                    self._evaluate()
                if self._step == self._steps or self._worse >= self._recipe.patience:
                    return self._best

    def _epoch(self) -> Iterator[list[Example]]:
        """Yield the texts of each step of an epoch."""
        places = draw_epoch(self._train, self._recipe.temperature, self._draw)
        epoch = [self._augmenter.text(self._train[place]) for place in places]
        for chosen in cut_epoch([example.length for example in epoch], self._step_texts, self._draw):
            yield [epoch[place] for place in chosen]

    def _take_step(self, texts: Sequence[Example]) -> None:
        recipe = self._recipe
        self._network.train()
        for at in range(0, len(texts), recipe.batch_texts):
            batch = texts[at : at + recipe.batch_texts]
            tokens = lay_out(self._tokenizer, batch, recipe.max_tokens, recipe.context_tokens)
            tokens = self._augmenter.tokens(tokens, self._tokenizer.unknown_id).to(self._device)
            gold = gold_of(batch).to(self._device)
            self._losses.append(_learn(self._network, tokens, gold, self._weights, recipe, self._stepper))
        self._stepper.step(rate_at(self._step, self._steps, recipe.warmup))
        self._average.update()
        self._step += 1
        self._seen += len(texts)
        if self._step % REPORT_STEPS == 0 or self._step == self._steps:
            speed = self._seen / (time.perf_counter() - self._since)
            self._told.on_progress(Progress(self._step, self._steps, float(np.mean(self._losses)), speed))
            self._losses = []

    def _evaluate(self) -> None:
        recipe = self._recipe
        with self._average.in_place():
            found = predict(self._network, self._tokenizer, self._dev, recipe.max_tokens, recipe.context_tokens)
            score = mean_f1(found)
            self._told.on_progress(Progress(self._step, self._steps, math.nan, math.nan, score))
            if score > self._best:
                self._best, self._worse = score, 0
                self._told.on_best(self._network)
            else:
                self._worse += 1
        self._seen, self._since = 0, time.perf_counter()


def _learn(
    network: Network, tokens: Tokens, gold: Gold, weights: dict[str, Tensor], recipe: Recipe, stepper: Stepper
) -> float:
    """Add the gradients of one batch, and return its loss."""
    smoothing = recipe.label_smoothing
    words = network.word_vectors(tokens).detach().requires_grad_() if recipe.adversarial else None
    with _precision(tokens.ids.device):
        looks = network(tokens, words)
        loss = cross_entropy(looks, gold, weights, smoothing=smoothing)
        if recipe.r_drop:
            again = network(tokens, words)
            loss = (loss + cross_entropy(again, gold, weights, smoothing=smoothing)) / 2
            loss = loss + recipe.r_drop * disagreement(looks[0], again[0])
    stepper.backward(loss / recipe.accumulate)
    if words is not None:
        disturbed = words.detach() + worst_direction(words, recipe.adversarial)
        with _precision(tokens.ids.device):
            harder = cross_entropy(network(tokens, disturbed), gold, weights, smoothing=smoothing)
        stepper.backward(harder / recipe.accumulate)
    return float(loss.detach())


def rate_at(step: int, steps: int, warmup: float) -> float:
    """Return the share of the highest rate at a step: up in a line, then down in a line.

    >>> [round(rate_at(step, 100, 0.1), 2) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.5, 0.01]
    """
    rising = max(1, round(steps * warmup))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)


def add_low_rank(network: Network, recipe: Recipe) -> None:
    """Give the encoder's matrices low-rank changes that learn in their place (Hu et al. 2021, LoRA)."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=recipe.lora_rank, lora_alpha=2 * recipe.lora_rank, lora_dropout=recipe.dropout, target_modules="all-linear"
    )
    inject_adapter_in_model(config, network.encoder)
    for name, parameter in network.encoder.named_parameters():
        layer = layer_of(name)
        frozen = layer is None or layer < recipe.frozen_layers
        parameter.requires_grad_("lora_" in name and not frozen)


def merged(network: Network) -> nn.Module:
    """Return a copy of the encoder with low-rank changes worked into its matrices."""
    from peft.tuners.lora import LoraLayer

    encoder = copy.deepcopy(network.encoder)
    for name, layer in list(encoder.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            encoder.set_submodule(name, layer.get_base_layer())
    return encoder


def _precision(device: torch.device) -> torch.autocast:
    """Compute in bf16 where the device does so fast."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
