"""The weights of a BERT-shaped encoder as plain arrays, whatever file they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Weights that share one scale in a 4-bit matrix."""


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
