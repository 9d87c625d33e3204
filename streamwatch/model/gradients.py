"""How a probability changes on the way from a text without words to the text: encoder and heads in torch, fp32.

It runs on the CPU, so that explaining a few texts takes nothing from a GPU that scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamwatch.model.batches import cut
from streamwatch.model.heads import Head


class Asked(NamedTuple):
    """Which probabilities of which text: `entity` holds the first token that names it and the one behind the last.

    Attributes:
        ids: int64 `(tokens,)`.
        baseline: The same text without its words, int64 `(tokens,)`.
        head: Which head; one over an entity's vector needs `entity`.
        entity: None for a head over the text's vector.
    """

    ids: NDArray[np.int64]
    baseline: NDArray[np.int64]
    head: str
    entity: tuple[int, int] | None


class Point(NamedTuple):
    """A place on the straight way from the baseline's word embeddings (0) to the text's (1), and a label's number."""

    asked: Asked
    label: int
    place: float


class Slope(NamedTuple):
    """A label's probability at a point, and how fast it grows there for what each token changes, `(tokens,)`."""

    probability: float
    by_token: NDArray[np.float64]


class Gradients:
    """An encoder with its heads, whose probabilities are differentiated by its word embeddings.

    Args:
        encoder: `inputs_embeds` and `attention_mask` in, `last_hidden_state` out.
        heads: By name.
        pad_id: What fills the rest of a shorter row.
        batch_tokens: Padded tokens that the encoder is given at a time.
    """

    def __init__(self, encoder: torch.nn.Module, heads: Mapping[str, Head], *, pad_id: int, batch_tokens: int) -> None:
        self._encoder = encoder.eval().requires_grad_(False)
        self._heads = {
            name: (torch.tensor(head.weight, dtype=torch.float64), torch.tensor(head.bias, dtype=torch.float64))
            for name, head in heads.items()
        }
        self._words: torch.nn.Module = cast("Any", encoder).get_input_embeddings()
        self._pad_id = pad_id
        self._batch_tokens = batch_tokens

    @property
    def hidden(self) -> int:
        """Width of a token's vector."""
        return int(next(self._words.parameters()).shape[1])

    def probabilities(self, asked: Sequence[Asked]) -> list[NDArray[np.float64]]:
        """Return the probabilities of each head that is asked, `(classes,)`."""
        found: dict[int, NDArray[np.float64]] = {}
        with torch.no_grad():
            for rows, tokens in self._batches(asked):
                texts = [asked[row] for row in rows]
                vectors = self._word_vectors((text.ids for text in texts), tokens)
                found |= {row: at.numpy() for row, at in zip(rows, self._run(vectors, texts), strict=True)}
        return [found[row] for row in range(len(asked))]

    def slopes(self, points: Sequence[Point]) -> list[Slope]:
        """Return the slope at each point."""
        found: dict[int, Slope] = {}
        for rows, tokens in self._batches([point.asked for point in points]):
            chosen = [points[row] for row in rows]
            probabilities, by_token = self._differentiated(chosen, tokens)
            for row, point, probability, slope in zip(rows, chosen, probabilities, by_token, strict=True):
                found[row] = Slope(float(probability), slope[: len(point.asked.ids)])
        return [found[row] for row in range(len(points))]

    def _batches(self, asked: Sequence[Asked]) -> Iterator[tuple[list[int], int]]:
        for batch in cut([len(text.ids) for text in asked], self._batch_tokens):
            yield batch.rows.tolist(), batch.tokens

    def _differentiated(self, points: Sequence[Point], tokens: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the probabilities at some points `(points,)`, and the slopes of their tokens `(points, tokens)`."""
        texts = [point.asked for point in points]
        places = torch.tensor([point.place for point in points])[:, None, None]
        baseline = self._word_vectors((text.baseline for text in texts), tokens)
        way = self._word_vectors((text.ids for text in texts), tokens) - baseline
        vectors = (baseline + places * way).requires_grad_()
        rows = zip(self._run(vectors, texts), points, strict=True)
        probabilities = torch.stack([found[point.label] for found, point in rows])
        # The rows of a batch do not touch each other, so the gradient of their sum holds that of each.
        (gradients,) = torch.autograd.grad(probabilities.sum(), vectors)
        return probabilities.detach().numpy(), (gradients.double() * way.double()).sum(2).numpy()

    def _word_vectors(self, rows: Iterable[NDArray[np.int64]], tokens: int) -> Tensor:
        padded = [np.pad(ids, (0, tokens - len(ids)), constant_values=self._pad_id) for ids in rows]
        vectors: Tensor = self._words(torch.from_numpy(np.stack(padded)))
        return vectors

    def _run(self, vectors: Tensor, texts: Sequence[Asked]) -> list[Tensor]:
        """Return the probabilities of each text's head, `(classes,)`, for word vectors `(texts, tokens, hidden)`."""
        lengths = torch.tensor([len(text.ids) for text in texts])
        counts = (torch.arange(vectors.shape[1])[None, :] < lengths[:, None]).long()
        hidden = self._encoder(inputs_embeds=vectors, attention_mask=counts).last_hidden_state.double()
        return [self._answer(row, text) for row, text in zip(hidden, texts, strict=True)]

    def _answer(self, hidden: Tensor, text: Asked) -> Tensor:
        pooled = hidden[: len(text.ids)].mean(0)
        if text.entity:
            pooled = torch.cat([hidden[slice(*text.entity)].mean(0), pooled])
        weight, bias = self._heads[text.head]
        return torch.softmax(weight @ pooled + bias, 0)
