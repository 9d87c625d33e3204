"""A trained model for a tiny encoder, and the configuration that names both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.model.encoder import load_encoder
from streamwatch.model.heads import ENTITY, HEADS, Head
from streamwatch.model.trained import EncoderId, save_trained
from tests.tiny_encoder import HIDDEN, write_encoder


def write_model(folder: Path, metrics: Mapping[str, Any] | None = None) -> ModelConfig:
    """Write an encoder and heads that know nothing into a folder; its cache is there too."""
    encoder = load_encoder(str(write_encoder(folder / "encoder")))
    draw = np.random.default_rng(7)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return draw.normal(0, 1, shape).astype(np.float32)

    heads = {
        name: Head(drawn(len(labels), (2 if name == ENTITY else 1) * HIDDEN), np.zeros(len(labels), np.float32))
        for name, labels in HEADS.items()
    }
    differences = {"encoder.layer.1.output.dense.weight": 0.01 * drawn(HIDDEN, 2 * HIDDEN)}
    identity = EncoderId(encoder.name, encoder.sha256)
    save_trained(folder / "trained", heads, differences, identity, {"seed": 7}, dict(metrics or {}))
    return ModelConfig(
        base=str(folder / "encoder"),
        weights=folder / "trained",
        cache_dir=folder / "cache",
        runtime="onnx-fp32",
        threads=1,
        max_tokens=24,
        context_tokens=8,
    )


def write_configuration(file: Path, model: ModelConfig) -> None:
    """Write the configuration that names a model."""
    settings = {
        "base": f'"{model.base}"',
        "weights": f'"{model.weights}"',
        "cache_dir": f'"{model.cache_dir}"',
        "runtime": f'"{model.runtime}"',
        "threads": model.threads,
        "max_tokens": model.max_tokens,
        "context_tokens": model.context_tokens,
    }
    lines = [f"{key} = {value}" for key, value in settings.items()]
    file.write_text("\n".join(["[model]", *lines, ""]), encoding="utf-8")
