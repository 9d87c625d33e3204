"""The encoder in torch: on the GPU if there is one, else eagerly on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from streamwatch.model.batches import Padded
from streamwatch.model.weights import BertWeights, Layer, LayerNorm, Linear


class TorchRuntime:
    """Embeds padded batches with torch; bf16 on CUDA, fp32 on the CPU.

    Args:
        module: The encoder, `input_ids` and `attention_mask` in, `last_hidden_state` out.
        threads: CPU threads for the whole process; 0 leaves torch's own choice.
    """

    def __init__(self, module: torch.nn.Module, threads: int) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._module = module.to(self._device).eval()
        self.precision = "torch-bf16" if self._device.type == "cuda" else "torch-fp32"

    def embed(self, batch: Padded) -> NDArray[np.float32]:
        """Return the unit vectors of a batch's rows, `(rows, hidden)`."""
        ids = torch.from_numpy(batch.ids).to(self._device)
        lengths = torch.from_numpy(batch.lengths).to(self._device)
        counts = torch.arange(ids.shape[1], device=self._device)[None, :] < lengths[:, None]
        bf16 = torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda")
        with torch.inference_mode(), bf16:
            hidden = self._module(input_ids=ids, attention_mask=counts.long()).last_hidden_state.float()
        mean = (hidden * counts[:, :, None]).sum(1) / lengths[:, None]
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return vectors


def bert_module(weights: BertWeights) -> torch.nn.Module:
    """Build the transformers module that holds these weights."""
    from transformers import BertConfig, BertModel

    words = weights.word_table()
    config = BertConfig(
        vocab_size=words.shape[0],
        hidden_size=weights.hidden,
        num_hidden_layers=len(weights.layers),
        num_attention_heads=weights.attention_heads,
        intermediate_size=weights.layers[0].feed_in.weight.shape[0],
        max_position_embeddings=weights.positions.shape[0],
        type_vocab_size=1,
        layer_norm_eps=weights.epsilon,
    )
    with torch.device("meta"):
        module = BertModel(config, add_pooling_layer=False)
    arrays = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": weights.positions,
        "embeddings.token_type_embeddings.weight": weights.token_type[None],
        **_norm("embeddings.LayerNorm", weights.embedding_norm),
    }
    for i, layer in enumerate(weights.layers):
        arrays |= _layer(f"encoder.layer.{i}", layer)
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    module.load_state_dict(state, assign=True)
    positions = torch.arange(weights.positions.shape[0])[None]
    module.embeddings.register_buffer("position_ids", positions, persistent=False)
    module.embeddings.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)
    encoder: torch.nn.Module = module.eval()
    return encoder


def _linear(name: str, linear: Linear) -> dict[str, NDArray[np.float32]]:
    return {f"{name}.weight": linear.weight, f"{name}.bias": linear.bias}


def _norm(name: str, norm: LayerNorm) -> dict[str, NDArray[np.float32]]:
    return {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}


def _layer(name: str, layer: Layer) -> dict[str, NDArray[np.float32]]:
    return {
        **_linear(f"{name}.attention.self.query", layer.query),
        **_linear(f"{name}.attention.self.key", layer.key),
        **_linear(f"{name}.attention.self.value", layer.value),
        **_linear(f"{name}.attention.output.dense", layer.attention_out),
        **_norm(f"{name}.attention.output.LayerNorm", layer.attention_norm),
        **_linear(f"{name}.intermediate.dense", layer.feed_in),
        **_linear(f"{name}.output.dense", layer.feed_out),
        **_norm(f"{name}.output.LayerNorm", layer.feed_norm),
    }
