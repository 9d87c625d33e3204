"""The encoder as an ONNX graph: token ids in, one vector a text and one a token out, in fp32 or int8.

Written by hand rather than exported, for two reasons. The word embeddings stay in the 4-bit blocks of their file
(`GatherBlockQuantized`), 60 MB instead of 384. And the int8 activations get one scale for each token
(ZeroQuant, Yao et al. 2022, https://arxiv.org/abs/2206.01861), where ONNX Runtime's dynamic quantisation has one
for the whole batch: so a text's vector does not depend on the other texts in its batch.

Between attentions the vectors of all tokens are one matrix, a row a token. So one operator scales and rounds them row
by row, and ONNX Runtime (1.31) does not fuse the sums with the normalisations behind them into its operator for both,
which on a CPU takes three times as long as the two by themselves. Two thirds of the int8 graph's time on AVX2 are then
matrix products.

int8 weights use 7 bits, -63 to 63: with 8-bit activations two products then always fit in 16 bits, so AVX2
processors, whose instruction saturates there, agree with newer ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamwatch.model.weights import BLOCK, BertWeights, Layer, LayerNorm, Linear, Q4Matrix

OPSET = 21
IR_VERSION = 10
CONTRIB = "com.microsoft"
WEIGHT_LEVELS = 63
ACTIVATION_LEVELS = 127
ACTIVATION_ZERO = np.uint8(128)
IDS, LENGTHS, OWN, VECTORS, TOKENS = "ids", "lengths", "own", "vectors", "tokens"


class _Graph:
    """Collects nodes and constants; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node of ONNX itself and return the name of its output."""
        return self._node(kind, inputs, output, "", attributes)

    def contrib(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of ONNX Runtime's own operators and return the name of its output."""
        return self._node(kind, inputs, "", CONTRIB, attributes)

    def _node(self, kind: str, inputs: tuple[str, ...], output: str, domain: str, attributes: dict[str, Any]) -> str:
        name = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Add a constant and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name))
        return name

    def nibbles(self, packed: bytes, shape: tuple[int, int]) -> str:
        """Add a constant of unsigned 4-bit numbers, two a byte, and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(helper.make_tensor(name, TensorProto.UINT4, shape, packed, raw=True))
        return name


class _Fp32:
    """Dense layers in fp32."""

    def prepare(self, graph: _Graph, x: str) -> tuple[str, ...]:
        return (x,)

    def dense(self, graph: _Graph, prepared: tuple[str, ...], linear: Linear) -> str:
        return graph.op("MatMul", *prepared, graph.constant(linear.weight.T))


class _Int8:
    """Dense layers in int8: activations scaled by token, weights by output."""

    def prepare(self, graph: _Graph, x: str) -> tuple[str, ...]:
        axis = graph.constant(np.array([-1]))
        above, below = (graph.op(kind, x, axis, keepdims=0) for kind in ("ReduceMax", "ReduceMin"))
        largest = graph.op("Max", above, graph.op("Neg", below), graph.constant(np.float32(1e-9)))
        scale = graph.op("Mul", largest, graph.constant(np.float32(1 / ACTIVATION_LEVELS)))
        zeros = graph.op("Expand", graph.constant(np.array([ACTIVATION_ZERO])), graph.op("Shape", scale))
        return graph.op("QuantizeLinear", x, scale, zeros, axis=0), graph.op("Unsqueeze", scale, axis)

    def dense(self, graph: _Graph, prepared: tuple[str, ...], linear: Linear) -> str:
        quantised, token_scale = prepared
        weight, scale = _quantised(linear.weight)
        one, zero = graph.constant(np.float32(1)), graph.constant(ACTIVATION_ZERO)
        product = graph.contrib(
            "MatMulIntegerToFloat", quantised, graph.constant(weight.T), one, graph.constant(scale), zero
        )
        return graph.op("Mul", product, token_scale)


def _quantised(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a weight `(out, in)` in 7 bits, and the scale of each output.

    >>> weight, scale = _quantised(np.array([[0.0, -2.0, 1.0], [0.0, 0.0, 0.0]], np.float32))
    >>> weight.tolist()
    [[0, -63, 31], [0, 0, 0]]
    """
    scale = np.maximum(np.abs(weight).max(axis=1), np.float32(1e-12)) / np.float32(WEIGHT_LEVELS)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def encoder_graph(weights: BertWeights, *, int8: bool) -> onnx.ModelProto:
    """Build the graph.

    Inputs `ids` int64 `(rows, tokens)`, `lengths` int64 `(rows,)`, the tokens of each row that are read, and `own`
    int64 `(rows,)`, how many of these are the text's own; outputs `tokens` float32 `(rows, tokens, hidden)`, and
    `vectors` float32 `(rows, hidden)`: the mean over a text's own tokens.
    """
    graph = _Graph()
    dense = _Int8() if int8 else _Fp32()
    mask = graph.op("Cast", LENGTHS, to=TensorProto.INT32)
    by_text = graph.op("Concat", graph.op("Shape", IDS), graph.constant(np.array([weights.hidden])), axis=0)
    by_token = graph.constant(np.array([-1, weights.hidden]))
    tokens = graph.op("Shape", IDS, start=1, end=2)
    x = graph.op("Reshape", _embed(graph, weights, tokens), by_token)
    for layer in weights.layers:
        x = _attend(graph, dense, weights, layer, x, _Shapes(mask, by_text, by_token))
        x = _feed(graph, dense, layer, x, weights.epsilon)
    _pool(graph, graph.op("Reshape", x, by_text), tokens)
    return _model(graph, weights.hidden)


class _Shapes(NamedTuple):
    """Names of values that attention needs: how many tokens each text has, and both shapes of the vectors."""

    mask: str
    by_text: str
    by_token: str


def _embed(graph: _Graph, weights: BertWeights, tokens: str) -> str:
    first = graph.constant(np.array([0]))
    positions = graph.op("Slice", graph.constant(weights.positions + weights.token_type), first, tokens, first)
    x = graph.op("Add", _words(graph, weights), positions)
    norm = weights.embedding_norm
    return _normed(graph, x, norm, weights.epsilon)


def _words(graph: _Graph, weights: BertWeights) -> str:
    words = weights.words
    if not isinstance(words, Q4Matrix):
        return graph.op("Gather", graph.constant(words), IDS)
    data = graph.nibbles(words.sequential().tobytes(), words.shape)
    scales = graph.constant(words.scales.astype(np.float32))
    zeros = graph.nibbles(b"\x88" * (words.scales.size // 2), words.scales.shape)
    return graph.contrib(
        "GatherBlockQuantized", data, IDS, scales, zeros, gather_axis=0, quantize_axis=1, block_size=BLOCK
    )


def _attend(graph: _Graph, dense: _Fp32 | _Int8, weights: BertWeights, layer: Layer, x: str, shapes: _Shapes) -> str:
    prepared = dense.prepare(graph, x)
    parts = (layer.query, layer.key, layer.value)
    heads = [graph.op("Reshape", dense.dense(graph, prepared, part), shapes.by_text) for part in parts]
    bias = graph.constant(np.concatenate([part.bias for part in parts]))
    context = graph.contrib("MultiHeadAttention", *heads, bias, shapes.mask, num_heads=weights.attention_heads)
    out = dense.dense(graph, dense.prepare(graph, graph.op("Reshape", context, shapes.by_token)), layer.attention_out)
    return _residual(graph, out, x, layer.attention_norm, layer.attention_out.bias, weights.epsilon)


def _feed(graph: _Graph, dense: _Fp32 | _Int8, layer: Layer, x: str, epsilon: float) -> str:
    inner = dense.dense(graph, dense.prepare(graph, x), layer.feed_in)
    inner = graph.contrib("BiasGelu", inner, graph.constant(layer.feed_in.bias))
    out = dense.dense(graph, dense.prepare(graph, inner), layer.feed_out)
    return _residual(graph, out, x, layer.feed_norm, layer.feed_out.bias, epsilon)


def _residual(graph: _Graph, out: str, x: str, norm: LayerNorm, bias: NDArray[np.float32], epsilon: float) -> str:
    return _normed(graph, graph.op("Add", graph.op("Add", out, x), graph.constant(bias)), norm, epsilon)


def _normed(graph: _Graph, x: str, norm: LayerNorm, epsilon: float) -> str:
    scale, shift = graph.constant(norm.weight), graph.constant(norm.bias)
    return graph.op("LayerNormalization", x, scale, shift, epsilon=epsilon, axis=-1)


def _pool(graph: _Graph, x: str, tokens: str) -> None:
    axis = graph.constant(np.array([1]))
    own = graph.op("Unsqueeze", OWN, axis)
    count, zero, one = graph.op("Squeeze", tokens), graph.constant(np.int64(0)), graph.constant(np.int64(1))
    counts = graph.op("Cast", graph.op("Less", graph.op("Range", zero, count, one), own), to=TensorProto.FLOAT)
    shares = graph.op("Div", counts, graph.op("Cast", own, to=TensorProto.FLOAT))
    graph.op("Squeeze", graph.op("MatMul", graph.op("Unsqueeze", shares, axis), x), axis, output=VECTORS)
    graph.op("Identity", x, output=TOKENS)


def _model(graph: _Graph, hidden: int) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(IDS, TensorProto.INT64, ["rows", "tokens"]),
        helper.make_tensor_value_info(LENGTHS, TensorProto.INT64, ["rows"]),
        helper.make_tensor_value_info(OWN, TensorProto.INT64, ["rows"]),
    ]
    outputs = [
        helper.make_tensor_value_info(VECTORS, TensorProto.FLOAT, ["rows", hidden]),
        helper.make_tensor_value_info(TOKENS, TensorProto.FLOAT, ["rows", "tokens", hidden]),
    ]
    body = helper.make_graph(graph.nodes, "encoder", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="streamwatch")
