"""Three linear heads over a text's vector: sentiment, topic and intent.

They are kept as two files in a folder: `heads.safetensors` with a weight `(classes, hidden)` and a bias for each
head, and `heads.json`, the manifest: labels in order, the encoder they were trained on, recipe and metrics.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamwatch.errors import ModelError
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS

TASKS = {"sentiment": SENTIMENTS, "topic": TOPICS, "intent": INTENTS}
"""The heads and their labels, in the order of their probabilities."""

TENSORS_FILE = "heads.safetensors"
MANIFEST_FILE = "heads.json"


class Head(NamedTuple):
    """A linear classifier: `vectors @ weight.T + bias` are its logits."""

    weight: NDArray[np.float32]  # (classes, hidden)
    bias: NDArray[np.float32]  # (classes,)

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities `(rows, classes)` of unit vectors `(rows, hidden)`.

        It is computed in float64, so that how BLAS cuts a matrix does not show in the float32 that comes out.

        >>> Head(np.eye(2, dtype=np.float32), np.zeros(2, np.float32)).probabilities(np.zeros((1, 2), np.float32))
        array([[0.5, 0.5]], dtype=float32)
        """
        logits = vectors.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares


class EncoderId(msgspec.Struct, frozen=True):
    """Which encoder the heads belong to."""

    name: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What stands in `heads.json`; `metrics` and `recipe` are for people."""

    encoder: EncoderId
    labels: dict[str, list[str]]
    tensors_sha256: str
    recipe: dict[str, Any] = {}
    metrics: dict[str, Any] = {}


class Heads(NamedTuple):
    """Trained heads by task, and what is known of them."""

    heads: dict[str, Head]
    manifest: Manifest


def shipped_folder() -> Path:
    """Return the folder of the heads that come with streamwatch."""
    return Path(str(resources.files("streamwatch.model"))) / "weights"


def save_heads(
    folder: Path, heads: dict[str, Head], encoder: EncoderId, recipe: dict[str, Any], metrics: dict[str, Any]
) -> None:
    """Write heads and manifest into a folder, which is made if it is missing."""
    tensors = {f"{task}.{part}": value for task, head in heads.items() for part, value in head._asdict().items()}
    data = save(tensors)
    labels = {task: list(names) for task, names in TASKS.items()}
    manifest = Manifest(encoder, labels, hashlib.sha256(data).hexdigest(), recipe, metrics)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TENSORS_FILE).write_bytes(data)
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def load_heads(folder: Path) -> Heads:
    """Read heads and manifest, and check that they fit each other and the labels of this version.

    Raises:
        ModelError: A file is missing, damaged, or was trained for other labels.
    """
    manifest, data = _read_manifest(folder / MANIFEST_FILE), _read(folder / TENSORS_FILE)
    for task, names in TASKS.items():
        if manifest.labels.get(task) != list(names):
            message = f"{folder / MANIFEST_FILE}: labels of {task} are {manifest.labels.get(task)}, expected {names}"
            raise ModelError(message)
    if hashlib.sha256(data).hexdigest() != manifest.tensors_sha256:
        message = f"{folder / TENSORS_FILE}: SHA-256 is not the one in {MANIFEST_FILE}: damaged or of another training"
        raise ModelError(message)
    try:
        tensors = load(data)
        heads = {task: Head(tensors[f"{task}.weight"], tensors[f"{task}.bias"]) for task in TASKS}
    except (SafetensorError, KeyError) as error:
        message = f"{folder / TENSORS_FILE}: not the heads' tensors: {error}"
        raise ModelError(message) from error
    for task, head in heads.items():
        _check_shape(folder / TENSORS_FILE, task, head)
    return Heads(heads, manifest)


def _check_shape(path: Path, task: str, head: Head) -> None:
    classes = len(TASKS[task])
    if head.weight.ndim != 2 or head.weight.shape[0] != classes or head.bias.shape != (classes,):
        message = f"{path}: {task} has shapes {head.weight.shape} and {head.bias.shape}, expected {classes} classes"
        raise ModelError(message)
    if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        message = f"{path}: {task} holds values that are no numbers"
        raise ModelError(message)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror}; `python -m streamwatch.learn.heads` trains heads"
        raise ModelError(message) from error


def _read_manifest(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(_read(path), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{path}: not a manifest of heads: {error}"
        raise ModelError(message) from error
