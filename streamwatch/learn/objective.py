"""What training minimises: cross-entropy over the labels that are there, and what makes it harder on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from streamwatch.learn.examples import Example
from streamwatch.model.heads import ENTITY, HEADS, TASKS

UNLABELLED = -100


class Gold(NamedTuple):
    """Right classes by head: int64 `(rows,)`, for the entity head `(entities,)`; `UNLABELLED` where none is known."""

    by_head: dict[str, Tensor]

    def to(self, device: torch.device) -> Gold:
        """Return the same tensors on a device."""
        return Gold({head: tensor.to(device, non_blocking=True) for head, tensor in self.by_head.items()})


def gold_of(examples: Sequence[Example]) -> Gold:
    """Return the right classes of a batch."""
    found = {task: [example.labels.get(task, UNLABELLED) for example in examples] for task in TASKS}
    found[ENTITY] = [span.sentiment for example in examples for span in example.spans]
    return Gold({head: torch.tensor(classes, dtype=torch.int64) for head, classes in found.items()})


def class_weights(examples: Sequence[Example], balance: float) -> dict[str, Tensor]:
    """Return a weight for each class of each head: its frequency to the power of `-balance`, of mean 1 over the rows.

    0 leaves the classes as frequent as they are, 1 makes them count alike.
    """
    weights = {}
    for head, classes in gold_of(examples).by_head.items():
        known = classes[classes != UNLABELLED].numpy()
        frequency = np.maximum(np.bincount(known, minlength=len(HEADS[head])), 1) / max(len(known), 1)
        raised = frequency**-balance
        weights[head] = torch.tensor(raised / (raised * frequency).sum(), dtype=torch.float32)
    return weights


def cross_entropy(
    looks: Sequence[Mapping[str, Tensor]], gold: Gold, weights: Mapping[str, Tensor], *, smoothing: float
) -> Tensor:
    """Return the mean loss over all labels of a batch, whichever head they are for, in nats.

    Args:
        looks: Logits by head, once for each dropout mask.
        gold: Right classes.
        weights: Of the classes of each head.
        smoothing: Share of the probability that is spread over all classes.
    """
    total, labels = torch.zeros((), device=next(iter(gold.by_head.values())).device), 0
    for head, classes in gold.by_head.items():
        known = int((classes != UNLABELLED).sum())
        if not known:
            continue
        labels += known
        for logits in looks:
            total = total + functional.cross_entropy(
                logits[head], classes, weights[head], ignore_index=UNLABELLED, label_smoothing=smoothing
            ) * (known / len(looks))
    return total / max(labels, 1)


def disagreement(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Tensor:
    """Return how far two looks at a batch are apart: the symmetric Kullback-Leibler divergence, mean over the rows.

    R-Drop (Liang et al. 2021, https://arxiv.org/abs/2106.14448): the same texts under two dropout masks.
    """
    parts = []
    for head in first:
        if len(first[head]):
            one, two = first[head].log_softmax(1), second[head].log_softmax(1)
            there = functional.kl_div(one, two, reduction="batchmean", log_target=True)
            back = functional.kl_div(two, one, reduction="batchmean", log_target=True)
            parts.append((there + back) / 2)
    return torch.stack(parts).mean()


def worst_direction(word_vectors: Tensor, length: float) -> Tensor:
    """Return the disturbance of the word embeddings, of this length for each text, that raises the loss fastest.

    FGM (Miyato et al. 2017, https://arxiv.org/abs/1605.07725).
    """
    gradient = word_vectors.grad
    assert gradient is not None
    norms = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
    scaled: Tensor = length * gradient / norms[:, None, None]
    return scaled
