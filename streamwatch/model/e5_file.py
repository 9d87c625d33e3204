"""Read `e5-small-q4.bin`: multilingual-e5-small in 4-bit blocks, with its tokenizer, as one little-endian file.

    "E5S1", version, 7 sizes, epsilon, bits         header
    5 counts, bytes of text                         tokenizer: pieces, scores, text of the pieces
    entries: code point -> code points              tokenizer: normalisation map
    entries: name, type, elements, offset, bytes    directory of tensors; type 0 float32, 1 blocks of 32 weights
    ...                                             tensors, at the directory's offsets

Every number is checked against the file's size before it is used, so a damaged file ends in a `ModelError` that
says where, never in a crash or in a model that is quietly wrong.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamwatch.errors import ModelError
from streamwatch.model.weights import BLOCK, BertWeights, Layer, LayerNorm, Linear, Q4Matrix

MAGIC = b"E5S1"
MAX_VOCABULARY = 4_000_000
Q4_BLOCK = np.dtype([("scale", "<f2"), ("packed", "u1", BLOCK // 2)])
LAYER_NORM_EPSILON = 1e-12


@dataclass(frozen=True)
class Pieces:
    """The tokenizer in the file: Unigram pieces with their log probabilities, and the normalisation map."""

    pieces: list[tuple[str, float]]
    normalisation: dict[int, str]
    bos: int
    eos: int
    pad: int
    unknown: int


class E5File:
    """What the file holds: the tokenizer's pieces, read at once, and the weights, read when asked for."""

    def __init__(self, cursor: _Cursor) -> None:
        self._sizes = _header(cursor)
        self.pieces = _pieces(cursor, self._sizes)
        self._tensors = _Tensors(cursor, _directory(cursor))

    def weights(self) -> BertWeights:
        """Read the weights; the layers in float32, the word embeddings in their 4-bit blocks.

        Raises:
            ModelError: A tensor is missing, has another shape, or holds values that are no numbers.
        """
        hidden = self._sizes.hidden
        return BertWeights(
            words=self._tensors.blocks("emb.word", self._sizes.vocabulary, hidden),
            positions=self._tensors.floats("emb.pos", self._sizes.positions, hidden),
            token_type=self._tensors.floats("emb.type", self._sizes.token_types, hidden)[0],
            embedding_norm=self._tensors.norm("emb.ln", hidden),
            layers=tuple(_layer(self._tensors, f"l{i}", hidden, self._sizes.feed) for i in range(self._sizes.layers)),
            attention_heads=self._sizes.heads,
            epsilon=LAYER_NORM_EPSILON,
        )


@dataclass(frozen=True)
class _Sizes:
    hidden: int
    layers: int
    heads: int
    feed: int
    vocabulary: int
    positions: int
    token_types: int


@dataclass(frozen=True)
class _Tensor:
    kind: int
    elements: int
    offset: int
    nbytes: int


class _Cursor:
    """Reads forward through bytes; every read past the end is a `ModelError` with the place."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data = data
        self.path = path
        self.at = 0

    def fail(self, what: str) -> ModelError:
        return ModelError(f"{self.path}: byte {self.at}: {what}")

    def require(self, right: bool, otherwise: str) -> None:
        """Raise a `ModelError` with the place unless something is right."""
        if not right:
            raise self.fail(otherwise)

    def skip(self, nbytes: int, what: str) -> int:
        """Step over `nbytes` and return where they begin."""
        begin = self.at
        self.require(begin + nbytes <= len(self.data), f"{what} needs {nbytes} bytes, past the end of the file")
        self.at = begin + nbytes
        return begin

    def numbers(self, form: str, what: str) -> tuple[Any, ...]:
        form = f"<{form}"
        return struct.unpack_from(form, self.data, self.skip(struct.calcsize(form), what))

    def array(self, kind: str, count: int, what: str) -> NDArray[Any]:
        begin = self.skip(count * np.dtype(kind).itemsize, what)
        return np.frombuffer(self.data, kind, count, begin)


def read_e5_file(path: Path) -> E5File:
    """Open the file and read its tokenizer.

    Raises:
        ModelError: The file cannot be read, is no such file, or is damaged; the message says at which byte.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise ModelError(message) from error
    except ValueError as error:
        message = f"{path}: the file is empty"
        raise ModelError(message) from error
    return E5File(_Cursor(data, path))


def _header(cursor: _Cursor) -> _Sizes:
    cursor.require(cursor.data[:4] == MAGIC, f"begins with {cursor.data[:4]!r}, not with {MAGIC!r}: no e5 file")
    cursor.skip(4, "magic")
    (version,) = cursor.numbers("I", "version")
    sizes = _Sizes(*cursor.numbers("7i", "sizes"))
    cursor.numbers("fi", "epsilon and block kind")
    cursor.require(version == 1, f"version {version}, only 1 is known")
    in_range = 0 < min(vars(sizes).values()) and max(vars(sizes).values()) <= MAX_VOCABULARY
    fits = in_range and not (sizes.hidden % BLOCK or sizes.feed % BLOCK or sizes.hidden % sizes.heads)
    cursor.require(fits, f"impossible {sizes}")
    return sizes


def _pieces(cursor: _Cursor, sizes: _Sizes) -> Pieces:
    count, bos, eos, pad, unknown = cursor.numbers("5i", "tokenizer counts")
    (text_bytes,) = cursor.numbers("Q", "size of the pieces' text")
    known = 0 < count <= sizes.vocabulary and all(0 <= special < count for special in (bos, eos, pad, unknown))
    cursor.require(known, f"{count} pieces in a vocabulary of {sizes.vocabulary}")
    offsets = cursor.array("<u4", count + 1, "offsets of the pieces")
    scores = cursor.array("<f4", count, "scores of the pieces")
    text = cursor.data[cursor.skip(text_bytes, "text of the pieces") : cursor.at]
    bounds = offsets.tolist()
    rising = bool(np.all(np.diff(offsets.astype(np.int64)) >= 0)) and bounds[-1] <= text_bytes
    cursor.require(rising and bool(np.isfinite(scores).all()), "offsets or scores of the pieces are out of range")
    try:
        words = [text[bounds[i] : bounds[i + 1]].decode() for i in range(count)]
    except UnicodeDecodeError as error:
        message = f"a piece is not UTF-8: {error.reason}"
        raise cursor.fail(message) from error
    pieces = list(zip(words, scores.tolist(), strict=True))
    return Pieces(pieces, _normalisation(cursor), bos, eos, pad, unknown)


def _normalisation(cursor: _Cursor) -> dict[int, str]:
    (count,) = cursor.numbers("i", "entries of the normalisation map")
    (nbytes,) = cursor.numbers("I", "bytes of the normalisation map")
    end = cursor.at + nbytes
    entries: dict[int, str] = {}
    for _ in range(count):
        code, length = cursor.numbers("IB", "entry of the normalisation map")
        outputs = cursor.numbers(f"{length}I", "entry of the normalisation map")
        try:
            entries[code] = "".join(map(chr, outputs))
        except (ValueError, OverflowError) as error:
            message = "the normalisation map holds no code point"
            raise cursor.fail(message) from error
    cursor.require(cursor.at == end, f"the normalisation map ends here, not at byte {end}")
    return entries


def _directory(cursor: _Cursor) -> dict[str, _Tensor]:
    (count,) = cursor.numbers("i", "number of tensors")
    tensors: dict[str, _Tensor] = {}
    for _ in range(count):
        (length,) = cursor.numbers("H", "length of a tensor's name")
        begin = cursor.skip(length, "name of a tensor")
        name = cursor.data[begin : cursor.at].decode("utf-8", "replace")
        tensor = _Tensor(*cursor.numbers("BIQQ", f"entry of tensor {name}"))
        cursor.require(tensor.offset + tensor.nbytes <= len(cursor.data), f"tensor {name} ends past the file's end")
        tensors[name] = tensor
    return tensors


class _Tensors:
    """The tensors by name, their shapes checked."""

    def __init__(self, cursor: _Cursor, directory: dict[str, _Tensor]) -> None:
        self._cursor = cursor
        self._directory = directory

    def _find(self, name: str, kind: int, shape: tuple[int, ...], nbytes: int) -> int:
        place = f"{self._cursor.path}: tensor {name}"
        tensor = self._directory.get(name)
        if tensor is None:
            message = f"{place} is missing"
            raise ModelError(message)
        if (tensor.kind, tensor.elements, tensor.nbytes) != (kind, int(np.prod(shape)), nbytes):
            message = f"{place} is {tensor}, expected kind {kind}, shape {shape}, {nbytes} bytes"
            raise ModelError(message)
        return tensor.offset

    def floats(self, name: str, *shape: int) -> NDArray[np.float32]:
        count = int(np.prod(shape))
        offset = self._find(name, 0, shape, 4 * count)
        values = np.frombuffer(self._cursor.data, "<f4", count, offset).reshape(shape)
        return self._finite(name, values)

    def blocks(self, name: str, out: int, into: int) -> Q4Matrix:
        count = out * into // BLOCK
        offset = self._find(name, 1, (out, into), count * Q4_BLOCK.itemsize)
        blocks = np.frombuffer(self._cursor.data, Q4_BLOCK, count, offset).reshape(out, -1)
        scales = np.ascontiguousarray(blocks["scale"])
        return Q4Matrix(self._finite(name, scales), np.ascontiguousarray(blocks["packed"]))

    def _finite(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        if not np.isfinite(values).all():
            message = f"{self._cursor.path}: tensor {name} holds values that are no numbers"
            raise ModelError(message)
        return values

    def linear(self, name: str, out: int, into: int) -> Linear:
        return Linear(self.blocks(f"{name}.w", out, into).dequantised(), self.floats(f"{name}.b", out))

    def norm(self, name: str, width: int) -> LayerNorm:
        return LayerNorm(self.floats(f"{name}.w", width), self.floats(f"{name}.b", width))


def _layer(tensors: _Tensors, name: str, hidden: int, feed: int) -> Layer:
    return Layer(
        query=tensors.linear(f"{name}.q", hidden, hidden),
        key=tensors.linear(f"{name}.k", hidden, hidden),
        value=tensors.linear(f"{name}.v", hidden, hidden),
        attention_out=tensors.linear(f"{name}.ao", hidden, hidden),
        attention_norm=tensors.norm(f"{name}.aln", hidden),
        feed_in=tensors.linear(f"{name}.fi", feed, hidden),
        feed_out=tensors.linear(f"{name}.fo", hidden, feed),
        feed_norm=tensors.norm(f"{name}.oln", hidden),
    )
