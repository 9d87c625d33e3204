"""Encoders in the layout of the Hugging Face hub: safetensors only, no code of the repository's own is run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamwatch.errors import ModelError
from streamwatch.model.tokenizer import TextTokenizer
from streamwatch.model.weights import POSITIONS, WORDS, BertWeights, weights_from_state

if TYPE_CHECKING:
    import torch

    from streamwatch.model.encoder import Encoder

FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
BERT_SHAPED = {"bert": 0, "roberta": 1, "xlm-roberta": 1, "camembert": 1}
"""Model types that the ONNX graph knows; 1: positions are counted from behind the padding token's."""


def find_folder(base: str) -> Path:
    """Return the local folder of an encoder, downloaded from the hub if it was not before.

    What was downloaded once is taken as it is, without asking the hub: a start works offline, and a model is not
    changed by what somebody publishes later.

    Raises:
        ModelError: It is neither a folder nor a name that the hub gives.
    """
    if Path(base).is_dir():
        return Path(base)
    from huggingface_hub import snapshot_download

    try:
        known = Path(snapshot_download(base, allow_patterns=list(FILES), local_files_only=True))
    except (OSError, ValueError):
        return download(base)
    # Another program may have fetched less of it, such as the tokenizer alone.
    return known if any(known.glob("*.safetensors")) else download(base)


def download(base: str) -> Path:
    """Fetch the newest version of an encoder from the hub, and return its folder.

    Raises:
        ModelError: The hub cannot be reached, or has no such encoder.
    """
    import httpx
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(base, allow_patterns=list(FILES)))
    except (OSError, ValueError, httpx.HTTPError) as error:
        message = f"{base}: neither a local folder nor an encoder that the Hugging Face hub gives: {error}"
        raise ModelError(message) from error


def folder_encoder(base: str, folder: Path) -> Encoder:
    """Load the encoder in a folder.

    Raises:
        ModelError: The folder holds no safetensors, no fast tokenizer, or a model that transformers does not know.
    """
    from streamwatch.model.encoder import Encoder

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        message = f"{folder}: holds no *.safetensors; weights in other formats are not loaded"
        raise ModelError(message)

    def weights() -> BertWeights:
        return bert_weights(_module(folder), folder)

    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    name = base if not Path(base).is_dir() else folder.resolve().name
    return Encoder(name, digest.hexdigest(), _tokenizer(folder), weights, lambda: _module(folder))


def _tokenizer(folder: Path) -> TextTokenizer:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        message = f"{folder}: no tokenizer that can be used: {error}"
        raise ModelError(message) from error
    if not tokenizer.is_fast:
        message = f"{folder}: its tokenizer has no fast version (tokenizer.json)"
        raise ModelError(message)
    pad_id = tokenizer.pad_token_id or 0
    unknown_id = tokenizer.mask_token_id if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    return TextTokenizer(tokenizer.backend_tokenizer, pad_id=pad_id, unknown_id=unknown_id or pad_id)


def _module(folder: Path) -> torch.nn.Module:
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # stderr is ours
    try:
        module: torch.nn.Module = AutoModel.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, use_safetensors=True, dtype="float32"
        )
    except (OSError, ValueError, KeyError) as error:
        message = f"{folder}: not an encoder that transformers can load: {error}"
        raise ModelError(message) from error
    return module.eval()


def bert_weights(module: torch.nn.Module, folder: Path) -> BertWeights:
    """Return the weights of a BERT-shaped module.

    Raises:
        ModelError: The module has another architecture.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind, activation = config.get("model_type"), config.get("hidden_act", "gelu")
    if kind not in BERT_SHAPED or activation != "gelu":
        known = ", ".join(BERT_SHAPED)
        message = f"{folder}: ONNX runs {known} with gelu, not {kind} with {activation}: set model.runtime to torch"
        raise ModelError(message)
    state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    skipped = (config.get("pad_token_id", 1) + 1) if BERT_SHAPED[kind] else 0
    state[POSITIONS] = state[POSITIONS][skipped:]
    return weights_from_state(
        state, state[WORDS], attention_heads=config["num_attention_heads"], epsilon=config.get("layer_norm_eps", 1e-12)
    )
