"""The encoder in torch: on the GPU if there is one, else eagerly on the CPU."""

from __future__ import annotations

import numpy as np
import torch

from streamwatch.model.batches import Padded
from streamwatch.model.pooling import pooled
from streamwatch.model.runtime import Vectors
from streamwatch.model.weights import WORDS, BertWeights


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

    def embed(self, batch: Padded) -> Vectors:
        """Return the vectors of a batch's rows and entities."""
        ids, lengths, own, entities = (torch.from_numpy(array).to(self._device) for array in batch)
        places = torch.arange(ids.shape[1], device=self._device)[None, :]
        read = places < lengths[:, None]
        bf16 = torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda")
        with torch.inference_mode(), bf16:
            tokens = self._module(input_ids=ids, attention_mask=read.long()).last_hidden_state.float()
        texts, named = pooled(tokens, own, entities)
        return Vectors(texts.cpu().numpy(), named.cpu().numpy())


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
    arrays = {WORDS: words, **weights.state()}
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    module.load_state_dict(state, assign=True)
    positions = torch.arange(weights.positions.shape[0])[None]
    module.embeddings.register_buffer("position_ids", positions, persistent=False)
    module.embeddings.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)
    encoder: torch.nn.Module = module.eval()
    return encoder
