"""The network that is trained: an encoder, three linear heads on a text's mean, one on an entity's.

An entity's verdict is read off the mean of the tokens that name it, beside the mean of the whole text: after twelve
layers these tokens have seen their sentence, so one pass serves the text and all of its entities.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamwatch.model.heads import ENTITY, HEADS
from streamwatch.model.pooling import pooled


class Tokens(NamedTuple):
    """Padded texts as the network takes them, and where entities stand in them.

    Shapes: `ids` int64 `(rows, tokens)`; `lengths` int64 `(rows,)`, how many of them are read, and `own` int64
    `(rows,)`, how many of these are the text's own, not those of one that it answers; `entities` int64 `(entities, 3)`,
    for each the row that it stands in, its first token and the one behind its last.
    """

    ids: Tensor
    lengths: Tensor
    own: Tensor
    entities: Tensor

    def to(self, device: torch.device) -> Tokens:
        """Return the same tensors on a device."""
        return Tokens(*(tensor.to(device, non_blocking=True) for tensor in self))


class Network(nn.Module):
    """The encoder with its heads.

    Args:
        encoder: A transformers encoder: `input_ids` or `inputs_embeds` and `attention_mask` in, `last_hidden_state`
            out.
        hidden: Width of a token's vector.
        dropout: Share of a pooled vector's numbers that is dropped before a head, in training.
        dropout_samples: With how many such masks the heads look at a vector; their losses are averaged
            (Inoue 2019, https://arxiv.org/abs/1905.09788).
    """

    def __init__(self, encoder: nn.Module, hidden: int, *, dropout: float, dropout_samples: int) -> None:
        super().__init__()
        self.encoder = encoder
        widths = {name: 2 * hidden if name == ENTITY else hidden for name in HEADS}
        heads = {name: nn.Linear(widths[name], len(labels)) for name, labels in HEADS.items()}
        for head in heads.values():
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        self.heads = nn.ModuleDict(heads)
        self.dropouts = nn.ModuleList(nn.Dropout(dropout) for _ in range(dropout_samples))

    def head(self, name: str) -> nn.Linear:
        """Return a head."""
        layer = self.heads[name]
        assert isinstance(layer, nn.Linear)
        return layer

    def word_vectors(self, tokens: Tokens) -> Tensor:
        """Return the word embeddings of a batch, `(rows, tokens, hidden)`."""
        vectors: Tensor = word_embeddings(self.encoder)(tokens.ids)
        return vectors

    def forward(self, tokens: Tokens, word_vectors: Tensor | None = None) -> list[dict[str, Tensor]]:
        """Return each head's logits, by head, once for each dropout mask; in evaluation once.

        Args:
            tokens: A batch.
            word_vectors: What stands in place of its word embeddings, such as disturbed ones.
        """
        places = torch.arange(tokens.ids.shape[1], device=tokens.ids.device)[None, :]
        read = places < tokens.lengths[:, None]
        source = {"input_ids": tokens.ids} if word_vectors is None else {"inputs_embeds": word_vectors}
        hidden = self.encoder(**source, attention_mask=read.long()).last_hidden_state.float()
        texts, entities = pooled(hidden, tokens.own, tokens.entities)
        read_by = {name: texts for name in HEADS} | {ENTITY: entities}
        if not self.training:
            return [{name: head(read_by[name]) for name, head in self.heads.items()}]
        return [{name: head(drop(read_by[name])) for name, head in self.heads.items()} for drop in self.dropouts]


def word_embeddings(encoder: nn.Module) -> nn.Embedding:
    """Return a transformers encoder's word embeddings."""
    found: nn.Embedding = cast("Any", encoder).get_input_embeddings()
    return found


def trainable(network: Network, *, frozen_layers: int) -> None:
    """Freeze the word embeddings and the first layers; the rest learns.

    The word embeddings are four fifths of the weights, and a fine-tuning set has few of their words: learning them
    would make the model large to ship and would change nothing for the words that were not seen.
    """
    word_embeddings(network.encoder).requires_grad_(False)
    for name, parameter in network.encoder.named_parameters():
        layer = layer_of(name)
        if frozen_layers and (layer is None or layer < frozen_layers):
            parameter.requires_grad_(False)


def layer_of(name: str) -> int | None:
    """Return the layer that a parameter belongs to, None for the embeddings.

    >>> layer_of("encoder.layer.11.output.dense.weight"), layer_of("embeddings.LayerNorm.bias")
    (11, None)
    """
    parts = name.split(".")
    return next((int(part) for part in parts if part.isdigit()), None)


def encoder_state(encoder: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return an encoder's parameters as arrays, by name; the word embeddings, which never learn, are left out."""
    words = word_embeddings(encoder).weight
    return {
        name: value.detach().float().cpu().numpy() for name, value in encoder.named_parameters() if value is not words
    }
