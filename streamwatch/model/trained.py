"""What training adds to an encoder: heads, and the differences of its weights; two files in a folder.

`model.safetensors` holds a weight and a bias for each head, and for each weight of the encoder that was learnt its
difference to the encoder as it is published: matrices in 4-bit blocks (`.packed`, `.scales`), 12 MB for
multilingual-e5-small, the rest in fp16. A difference is a few hundredths of its weight, so what 4 bits lose of it
is less than what int8 loses of the weight. `model.json` is the manifest: the encoder, the labels in order, recipe
and metrics.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamwatch.errors import ModelError
from streamwatch.model.encoder import DEFAULT_BASE
from streamwatch.model.heads import ENTITY, HEADS, Head
from streamwatch.model.weights import BLOCK, Q4Matrix, State

TENSORS_FILE = "model.safetensors"
MANIFEST_FILE = "model.json"
VERSION_HASH_DIGITS = 8
_HEAD, _ENCODER = "head.", "encoder."


class EncoderId(msgspec.Struct, frozen=True):
    """Which encoder the heads and differences belong to."""

    name: str
    sha256: str

    def short_name(self) -> str:
        """Return a name without characters that a file's or a metric's name may not have.

        >>> EncoderId("multilingual-e5-small", "").short_name(), EncoderId("BAAI/bge-m3", "").short_name()
        ('e5s', 'baai-bge-m3')
        """
        return "e5s" if self.name == DEFAULT_BASE else re.sub(r"[^a-z0-9]+", "-", self.name.lower())[-24:].strip("-")


class Manifest(msgspec.Struct, frozen=True):
    """What stands in `model.json`; `metrics` and `recipe` are for people."""

    encoder: EncoderId
    labels: dict[str, list[str]]
    tensors_sha256: str
    recipe: dict[str, Any] = {}
    metrics: dict[str, Any] = {}

    def version(self, read: tuple[int, int], precision: str) -> str:
        """Name encoder, content and precision, such as `e5s-1f3a9c02-int8`: other scores, another version.

        Args:
            read: Most tokens that are read of a text, and of one that it answers.
            precision: Of the runtime.
        """
        content = f"{self.encoder.sha256} {self.tensors_sha256} {read[0]} {read[1]}"
        digest = hashlib.sha256(content.encode()).hexdigest()[:VERSION_HASH_DIGITS]
        return f"{self.encoder.short_name()}-{digest}-{precision}"


class Trained(NamedTuple):
    """Heads by name, what to add to the encoder's weights, and what is known of them."""

    heads: dict[str, Head]
    differences: dict[str, NDArray[np.float32]]
    manifest: Manifest


def shipped_folder() -> Path:
    """Return the folder of the model that comes with streamwatch."""
    return Path(str(resources.files("streamwatch.model"))) / "weights"


def save_trained(
    folder: Path,
    heads: Mapping[str, Head],
    differences: State,
    encoder: EncoderId,
    recipe: dict[str, Any],
    metrics: dict[str, Any],
) -> None:
    """Write a trained model into a folder, which is made if it is missing."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, head in heads.items():
        tensors |= {f"{_HEAD}{name}.{part}": value for part, value in head._asdict().items()}
    for name, difference in differences.items():
        tensors |= {f"{_ENCODER}{part}": value for part, value in _packed(name, difference).items()}
    data = save(tensors)
    labels = {name: list(names) for name, names in HEADS.items()}
    manifest = Manifest(encoder, labels, hashlib.sha256(data).hexdigest(), recipe, metrics)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TENSORS_FILE).write_bytes(data)
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def load_trained(folder: Path) -> Trained:
    """Read a trained model, and check that its parts fit each other and the labels of this version.

    Raises:
        ModelError: A file is missing, damaged, or was trained for other labels.
    """
    manifest, data = read_manifest(folder), _read(folder / TENSORS_FILE)
    for name, labels in HEADS.items():
        if manifest.labels.get(name) != list(labels):
            message = f"{folder / MANIFEST_FILE}: labels of {name} are {manifest.labels.get(name)}, expected {labels}"
            raise ModelError(message)
    if hashlib.sha256(data).hexdigest() != manifest.tensors_sha256:
        message = f"{folder / TENSORS_FILE}: SHA-256 is not the one in {MANIFEST_FILE}: damaged or of another training"
        raise ModelError(message)
    try:
        tensors = load(data)
        _check_finite(folder / TENSORS_FILE, tensors)
        heads = {name: Head(tensors[f"{_HEAD}{name}.weight"], tensors[f"{_HEAD}{name}.bias"]) for name in HEADS}
        differences = _unpacked(tensors)
    except (SafetensorError, KeyError, ValueError) as error:
        message = f"{folder / TENSORS_FILE}: not the tensors of a trained model: {error}"
        raise ModelError(message) from error
    for name, head in heads.items():
        _check_shape(folder / TENSORS_FILE, name, head)
    return Trained(heads, differences, manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read what is known of a trained model.

    Raises:
        ModelError: It is missing or damaged.
    """
    try:
        return msgspec.json.decode(_read(folder / MANIFEST_FILE), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{folder / MANIFEST_FILE}: not the manifest of a trained model: {error}"
        raise ModelError(message) from error


def _packed(name: str, difference: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    if difference.ndim != 2 or difference.shape[1] % BLOCK:
        return {name: difference.astype(np.float16)}
    matrix = Q4Matrix.quantised(difference)
    return {f"{name}.packed": matrix.packed, f"{name}.scales": matrix.scales}


def _unpacked(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    found = {}
    for full, value in tensors.items():
        name = full.removeprefix(_ENCODER)
        if not full.startswith(_ENCODER) or name.endswith(".scales"):
            continue
        if name.endswith(".packed"):
            name = name.removesuffix(".packed")
            found[name] = Q4Matrix(tensors[f"{_ENCODER}{name}.scales"], value).dequantised()
        else:
            found[name] = value.astype(np.float32)
    return found


def _check_finite(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            message = f"{path}: {name} holds values that are no numbers"
            raise ModelError(message)


def _check_shape(path: Path, name: str, head: Head) -> None:
    classes = len(HEADS[name])
    if head.weight.ndim != 2 or head.weight.shape[0] != classes or head.bias.shape != (classes,):
        message = f"{path}: {name} has shapes {head.weight.shape} and {head.bias.shape}, expected {classes} classes"
        raise ModelError(message)
    if name == ENTITY and head.weight.shape[1] % 2:
        message = f"{path}: {name} takes vectors of {head.weight.shape[1]}, expected twice the encoder's width"
        raise ModelError(message)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror}; `python -m streamwatch.learn.train` trains a model"
        raise ModelError(message) from error
