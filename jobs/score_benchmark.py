"""Speed of the scorer alone, beside what a user would install in its place, in turns on the same texts.

Every contender runs the same fine-tuned encoder and reads a sentiment off it; ours reads topic and intent as well.
The pipeline and FastEmbed get the texts as they are, as their users do; ours leaves out links and accounts by itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from numpy.typing import NDArray
from onnxruntime.quantization import quantize_dynamic

from jobs.chain_benchmark import Figure
from jobs.plain_loop import build_pipeline
from streamwatch.config import ModelConfig
from streamwatch.learn.evaluate import macro_f1
from streamwatch.learn.examples import Example
from streamwatch.model.encoder import Encoder, fine_tuned, load_encoder
from streamwatch.model.heads import Head
from streamwatch.model.scorer import Scorer
from streamwatch.model.trained import load_trained, shipped_folder
from streamwatch.records import SENTIMENTS

BATCH = 32
FASTEMBED_BATCH = 64
WARM_UP_TEXTS = 64


class Contender(Protocol):
    """Whatever gives each text a sentiment."""

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return the sentiment of each text."""


class Round(NamedTuple):
    """Texts a second of each contender, by name."""

    speeds: dict[str, float]


def measure_score(
    texts: Sequence[str], labelled: Sequence[Example], rounds: int, folder: Path, say: Callable[[str], None]
) -> list[Figure]:
    """Measure all contenders in turns.

    Args:
        texts: What is scored; each round takes its own part of them.
        labelled: Texts with a sentiment, on which each contender's macro-F1 is measured; none: it is not.
        rounds: How many.
        folder: Where FastEmbed's model goes.
        say: Told what is being done.
    """
    contenders = _contenders(folder, say)
    size = len(texts) // rounds
    for name, contender in contenders.items():
        say(f"warming up {name}")
        contender(texts[:WARM_UP_TEXTS])
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        part = texts[number * size : (number + 1) * size]
        for name, contender in contenders.items():
            say(f"round {number + 1} of {rounds}: {name}")
            started = time.perf_counter()
            contender(part)
            speeds[name].append(len(part) / (time.perf_counter() - started))
    ours = speeds["streamwatch int8"]
    figures = [Figure("texts of a round", size), Figure("threads", os.cpu_count() or 1)]
    for name, found in speeds.items():
        ratio = median(own / other for own, other in zip(ours, found, strict=True))
        remark = f"streamwatch int8 is {ratio:.2f} times as fast (median of {rounds} paired rounds)"
        figures.append(Figure(f"{name}, posts/s", round(median(found), 1), remark))
    if labelled:
        figures += _quality(contenders, labelled, say)
    return figures


def _quality(contenders: dict[str, Contender], labelled: Sequence[Example], say: Callable[[str], None]) -> list[Figure]:
    gold = np.array([example.labels["sentiment"] for example in labelled], np.intp)
    figures = []
    for name, contender in contenders.items():
        say(f"macro-F1 of {name}")
        said = np.array([SENTIMENTS.index(label) for label in contender([example.text for example in labelled])])
        score = macro_f1(gold, said, len(SENTIMENTS))
        figures.append(Figure(f"{name}, macro-F1", round(score, 4), f"sentiment of {len(gold)} labelled texts"))
    return figures


def _contenders(folder: Path, say: Callable[[str], None]) -> dict[str, Contender]:
    trained, base = load_trained(shipped_folder()), load_encoder(ModelConfig().base)
    encoder = fine_tuned(base, trained.differences, trained.manifest.tensors_sha256)
    head = trained.heads["sentiment"]
    pipeline = build_pipeline()

    def plain(texts: Sequence[str]) -> list[str]:
        return [str(answer["label"]) for answer in pipeline(list(texts), truncation=True)]

    say("exporting the encoder for FastEmbed")
    full, small = export_for_fastembed(encoder, folder)
    return {
        "streamwatch int8": _ours("onnx-int8"),
        "streamwatch fp32": _ours("onnx-fp32"),
        f"transformers pipeline, batch {BATCH}": plain,
        "FastEmbed, fp32": _fastembed(full, head, base),
        "FastEmbed, dynamic int8": _fastembed(small, head, base),
    }


def _ours(runtime: Any) -> Contender:
    scorer = Scorer.load(ModelConfig(runtime=runtime))
    return lambda texts: scorer.predict(texts).labels("sentiment")


def export_for_fastembed(encoder: Encoder, folder: Path) -> tuple[Path, Path]:
    """Write an encoder as its users export it for FastEmbed: in fp32, and in ONNX Runtime's dynamic int8."""
    full, small = folder / "fp32", folder / "int8"
    for each in (full, small):
        each.mkdir(parents=True)
        _write_tokenizer(encoder, each)
    module = encoder.module()
    example = {"input_ids": torch.ones((2, 8), dtype=torch.int64), "attention_mask": torch.ones((2, 8)).long()}
    dynamic = {name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in example}
    torch.onnx.export(
        module,
        (),
        str(full / "model.onnx"),
        kwargs=example,
        input_names=list(example),
        output_names=["last_hidden_state"],
        dynamic_shapes=dynamic,
        dynamo=True,
        verbose=False,
    )
    quantize_dynamic(full / "model.onnx", small / "model.onnx")
    return full, small


def _write_tokenizer(encoder: Encoder, folder: Path) -> None:
    encoder.tokenizer.library.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"pad_token_id": encoder.tokenizer.pad_id}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 256, "pad_token": "<pad>"}))
    (folder / "special_tokens_map.json").write_text("{}")


def _fastembed(folder: Path, head: Head, encoder: Encoder) -> Contender:
    name = f"streamwatch/{folder.name}"
    TextEmbedding.add_custom_model(
        name,
        pooling=PoolingType.MEAN,
        normalization=False,
        sources=ModelSource(url="https://localhost/none"),
        dim=head.weight.shape[1],
        model_file="model.onnx",
    )
    model = TextEmbedding(name, specific_model_path=str(folder), threads=os.cpu_count())

    def said(texts: Sequence[str]) -> list[str]:
        vectors: NDArray[np.float32] = np.array(list(model.embed(list(texts), batch_size=FASTEMBED_BATCH)))
        return [SENTIMENTS[place] for place in head.probabilities(vectors).argmax(axis=1).tolist()]

    return said
