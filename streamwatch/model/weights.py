"""The weights of a BERT-shaped encoder as plain arrays, whatever file they came from.

`state` and `weights_from_state` name them as `transformers` does, so that what is trained there finds its place here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Weights that share one scale in a 4-bit matrix."""
WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TOKEN_TYPES = "embeddings.token_type_embeddings.weight"

State = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Q4Matrix:
    """A matrix in 4-bit blocks of 32 along its columns: value `(q - 8) * scale`.

    In a block's 16 bytes the low nibbles are weights 0 to 15, the high ones 16 to 31.

    >>> matrix = Q4Matrix(np.array([[0.5]], np.float16), np.full((1, 1, 16), 0x7A, np.uint8))
    >>> matrix.shape, matrix.dequantised()[0, [0, 16]].tolist()
    ((1, 32), [1.0, -0.5])
    """

    scales: NDArray[np.float16]  # (rows, blocks)
    packed: NDArray[np.uint8]  # (rows, blocks, 16)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.scales.shape[0], self.scales.shape[1] * BLOCK

    @classmethod
    def quantised(cls, matrix: NDArray[np.float32]) -> Q4Matrix:
        """Round a matrix `(rows, columns)` to 4 bits; the columns come in whole blocks.

        A block's largest weight becomes exactly -8 scales, so that all sixteen levels are used.

        >>> Q4Matrix.quantised(np.linspace(-1, 1, 32, dtype=np.float32)[None]).dequantised()[0, [0, 15, 31]].tolist()
        [-1.0, 0.0, 0.875]
        """
        blocks = matrix.reshape(len(matrix), -1, BLOCK)
        largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        scales = (largest / -8).astype(np.float16)
        steps = np.divide(blocks, scales[:, :, None], out=np.zeros_like(blocks), where=scales[:, :, None] != 0)
        q = np.clip(np.rint(steps) + 8, 0, 15).astype(np.uint8)
        return cls(scales, q[:, :, : BLOCK // 2] | (q[:, :, BLOCK // 2 :] << 4))

    def dequantised(self) -> NDArray[np.float32]:
        """Return the matrix in float32, `(rows, columns)`."""
        q = np.concatenate([self.packed & 15, self.packed >> 4], axis=2).astype(np.int8) - np.int8(8)
        return (q * self.scales.astype(np.float32)[:, :, None]).reshape(self.shape)

    def sequential(self) -> NDArray[np.uint8]:
        """Return the nibbles `(rows, columns / 2)` in ONNX's order: even weights low, odd ones high."""
        rows = self.packed.shape[0]
        even_odd = np.concatenate([self.packed & 15, self.packed >> 4], axis=2).reshape(rows, -1, 2)
        nibbles: NDArray[np.uint8] = even_odd[:, :, 0] | (even_odd[:, :, 1] << 4)
        return nibbles


@dataclass(frozen=True)
class Linear:
    """A dense layer: `x @ weight.T + bias`."""

    weight: NDArray[np.float32]  # (out, in)
    bias: NDArray[np.float32]  # (out,)


@dataclass(frozen=True)
class LayerNorm:
    """Scale and shift of a layer normalisation."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One Transformer layer, normalised after each residual (post-norm)."""

    query: Linear
    key: Linear
    value: Linear
    attention_out: Linear
    attention_norm: LayerNorm
    feed_in: Linear
    feed_out: Linear
    feed_norm: LayerNorm


@dataclass(frozen=True)
class BertWeights:
    """A BERT-shaped encoder.

    Row `i` of `positions` is the i-th token's; `token_type` is that of the first segment, the only one used.
    """

    words: Q4Matrix | NDArray[np.float32]  # (vocabulary, hidden)
    positions: NDArray[np.float32]  # (positions, hidden)
    token_type: NDArray[np.float32]  # (hidden,)
    embedding_norm: LayerNorm
    layers: tuple[Layer, ...]
    attention_heads: int
    epsilon: float

    @property
    def hidden(self) -> int:
        """Width of a token's vector."""
        return int(self.positions.shape[1])

    def word_table(self) -> NDArray[np.float32]:
        """Return the word embeddings in float32, `(vocabulary, hidden)`."""
        return self.words.dequantised() if isinstance(self.words, Q4Matrix) else self.words

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return every weight but the word embeddings under its name in `transformers`."""
        state = {POSITIONS: self.positions, TOKEN_TYPES: self.token_type[None]}
        state |= _named("embeddings.LayerNorm", self.embedding_norm)
        for number, layer in enumerate(self.layers):
            for name, part in _parts(layer).items():
                state |= _named(f"encoder.layer.{number}.{name}", part)
        return state


def weights_from_state(
    state: State, words: Q4Matrix | NDArray[np.float32], *, attention_heads: int, epsilon: float
) -> BertWeights:
    """Put weights together from what they are called in `transformers`; see `BertWeights.state`."""
    numbers = {int(name.split(".")[2]) for name in state if name.startswith("encoder.layer.")}
    return BertWeights(
        words=words,
        positions=state[POSITIONS],
        token_type=state[TOKEN_TYPES][0],
        embedding_norm=_norm(state, "embeddings.LayerNorm"),
        layers=tuple(_layer(state, f"encoder.layer.{number}") for number in sorted(numbers)),
        attention_heads=attention_heads,
        epsilon=epsilon,
    )


def _parts(layer: Layer) -> dict[str, Linear | LayerNorm]:
    return {
        "attention.self.query": layer.query,
        "attention.self.key": layer.key,
        "attention.self.value": layer.value,
        "attention.output.dense": layer.attention_out,
        "attention.output.LayerNorm": layer.attention_norm,
        "intermediate.dense": layer.feed_in,
        "output.dense": layer.feed_out,
        "output.LayerNorm": layer.feed_norm,
    }


def _named(name: str, part: Linear | LayerNorm) -> dict[str, NDArray[np.float32]]:
    return {f"{name}.weight": part.weight, f"{name}.bias": part.bias}


def _linear(state: State, name: str) -> Linear:
    return Linear(state[f"{name}.weight"], state[f"{name}.bias"])


def _norm(state: State, name: str) -> LayerNorm:
    return LayerNorm(state[f"{name}.weight"], state[f"{name}.bias"])


def _layer(state: State, name: str) -> Layer:
    return Layer(
        query=_linear(state, f"{name}.attention.self.query"),
        key=_linear(state, f"{name}.attention.self.key"),
        value=_linear(state, f"{name}.attention.self.value"),
        attention_out=_linear(state, f"{name}.attention.output.dense"),
        attention_norm=_norm(state, f"{name}.attention.output.LayerNorm"),
        feed_in=_linear(state, f"{name}.intermediate.dense"),
        feed_out=_linear(state, f"{name}.output.dense"),
        feed_norm=_norm(state, f"{name}.output.LayerNorm"),
    )
