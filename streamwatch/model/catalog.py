"""Which models there are: trained ones, encoders that were fetched, runtime files that were built."""

from __future__ import annotations

import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.artifacts import default_cache
from streamwatch.model.encoder import DEFAULT_BASE, encoder_file, fine_tuned_sha256, load_encoder
from streamwatch.model.huggingface import download
from streamwatch.model.runtime import NAME_FILE, OnnxName, graph_folder, graph_folder_name
from streamwatch.model.scorer import configured_model
from streamwatch.model.trained import Manifest, Trained, load_trained, shipped_folder

_GRAPH_FOLDER = re.compile(r"([0-9a-f]{16})-(onnx-int8|onnx-fp32)-v\d+")
_PRECISIONS = {"onnx-int8": "int8", "onnx-fp32": "fp32", "torch": "torch-fp32", "torch on CUDA": "torch-bf16"}


class TrainedModel(NamedTuple):
    """A trained model in a folder."""

    folder: Path
    manifest: Manifest
    bytes: int
    written_at: datetime


class BuiltFiles(NamedTuple):
    """Runtime files in the cache; `in_use`: those that the configured model takes."""

    folder: Path
    encoder: str | None
    runtime: str
    bytes: int
    written_at: datetime
    in_use: bool


class Fetched(NamedTuple):
    """An encoder that is on this machine and loads; `runtimes` are those that can run it."""

    base: str
    folder: Path
    sha256: str
    bytes: int
    parameters: int
    runtimes: tuple[str, ...]


class Exported(NamedTuple):
    """Runtime files; `built` is False where they had been built before."""

    folder: Path
    bytes: int
    seconds: float
    built: bool


def trained_model(folder: Path) -> TrainedModel:
    """Return what is known of a trained model.

    Raises:
        ModelError: It is missing, damaged, or was trained for other labels.
    """
    return TrainedModel(folder, load_trained(folder).manifest, *_size_and_time(folder))


def versions(manifest: Manifest, config: ModelConfig) -> dict[str, str]:
    """Return the version that each runtime gives a model, as it stands beside every score."""
    return {
        runtime: manifest.version((config.max_tokens, config.context_tokens), precision)
        for runtime, precision in _PRECISIONS.items()
    }


def built_files(config: ModelConfig) -> list[BuiltFiles]:
    """Return the runtime files in the cache, the newest first.

    Raises:
        ModelError: The configured model cannot be read.
    """
    sha256 = _running_sha256(load_trained(config.weights or shipped_folder()))
    in_use = {graph_folder_name(sha256, name) for name in ("onnx-int8", "onnx-fp32")}
    cache = cache_folder(config)
    found = []
    for folder in cache.iterdir() if cache.is_dir() else ():
        if match := _GRAPH_FOLDER.fullmatch(folder.name):
            named = folder / NAME_FILE
            encoder = named.read_text(encoding="utf-8") if named.is_file() else None
            found.append(BuiltFiles(folder, encoder, match[2], *_size_and_time(folder), folder.name in in_use))
    return sorted(found, key=lambda files: files.written_at, reverse=True)


def cache_folder(config: ModelConfig) -> Path:
    """Return where a configuration keeps built files."""
    return config.cache_dir or default_cache()


def fetch(base: str) -> Fetched:
    """Bring an encoder onto this machine, so that later starts need no network, and see whether it loads.

    Args:
        base: As in `model.base`: a name on the Hugging Face hub, or a local folder, of which nothing is fetched.

    Raises:
        ModelError: The hub does not give it, or it holds no safetensors of an encoder.
    """
    if base == DEFAULT_BASE:
        folder = encoder_file()
    else:
        folder = Path(base).resolve() if Path(base).is_dir() else download(base)
    encoder = load_encoder(base)
    parameters = sum(parameter.numel() for parameter in encoder.module().parameters())
    try:
        encoder.weights()
    except ModelError:
        runtimes: tuple[str, ...] = ("torch",)
    else:
        runtimes = ("onnx-int8", "onnx-fp32", "torch")
    return Fetched(base, folder, encoder.sha256, _size_and_time(folder)[0], parameters, runtimes)


def export(config: ModelConfig, runtime: OnnxName, out: Path | None) -> Exported:
    """Build the configured model's runtime files, unless the cache holds them.

    Args:
        config: Which model.
        runtime: Which files.
        out: Where to copy them; a new or empty folder. None: they stay in the cache alone.

    Raises:
        ModelError: The model cannot be loaded, ONNX cannot run it, or `out` holds something.
    """
    if out and out.exists() and (not out.is_dir() or any(out.iterdir())):
        message = f"{out}: found {'a folder with files' if out.is_dir() else 'a file'}, expected a new folder"
        raise ModelError(message)
    started = time.monotonic()
    encoder = configured_model(config)[1]
    cache = cache_folder(config)
    known = (cache / graph_folder_name(encoder.sha256, runtime)).is_dir()
    folder = graph_folder(encoder, runtime, cache)
    if out:
        folder = Path(shutil.copytree(folder, out, dirs_exist_ok=True))
    return Exported(folder, _size_and_time(folder)[0], time.monotonic() - started, not known)


def _running_sha256(trained: Trained) -> str:
    """Return the SHA-256 of the encoder that runs for a model, without loading it."""
    of = trained.manifest
    return fine_tuned_sha256(of.encoder.sha256, of.tensors_sha256) if trained.differences else of.encoder.sha256


def _size_and_time(path: Path) -> tuple[int, datetime]:
    """Return how many bytes a file or a folder's files have, and when the last of them was written."""
    found = [file.stat() for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    return sum(stat.st_size for stat in found), datetime.fromtimestamp(max(stat.st_mtime for stat in found), UTC)
