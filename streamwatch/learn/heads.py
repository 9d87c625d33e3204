"""Train the three heads on a frozen encoder: `python -m streamwatch.learn.heads --data DIR --out DIR`.

1. Read `sentiment.train.jsonl`, `topic.train.jsonl` and `intent.train.jsonl`, and for sentiment the project's own
   Chinese sentences; keep 15% of each for validation, by a hash of the text.
2. Embed all texts with the fp32 runtime.
3. Fit a multinomial logistic regression for each penalty and balance of classes; keep the best on validation.
4. Calibrate it by one temperature, on validation.
5. Measure on validation, in fp32 and in int8; write the heads and their manifest.

Nothing is random: the same data and versions on the same machine give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.learn.evaluate import accuracy, macro_f1, report
from streamwatch.learn.labelled import LabelledSet, read_set
from streamwatch.learn.softmax import Examples, calibrated, class_weights, fit
from streamwatch.model.artifacts import default_cache
from streamwatch.model.embedder import Embedder, load_embedder
from streamwatch.model.heads import TASKS, EncoderId, Head, save_heads

log = logging.getLogger(__name__)

CHINESE_FILE = "chinese_sentiment.jsonl"


class Recipe(msgspec.Struct, frozen=True):
    """What the heads depend on beside the data and the encoder."""

    penalties: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    balances: tuple[float, ...] = (0.0, 0.3)
    chinese_weight: float = 5.0
    max_tokens: int = 256


class Trained(NamedTuple):
    """A head, and what was found best for it."""

    head: Head
    penalty: float
    balance: float


def files_of(task: str, data: Path) -> list[Path]:
    """Return the files that a task's head learns from."""
    own = [Path(str(resources.files("streamwatch.learn"))) / CHINESE_FILE] if task == "sentiment" else []
    return [data / f"{task}.train.jsonl", *own]


def train(labelled: LabelledSet, vectors: NDArray[np.float32], recipe: Recipe) -> Trained:
    """Fit heads over the recipe's grid, keep the best on validation, and calibrate it there.

    Best is the largest mean of accuracy and macro-F1: posts are counted by label, and rare classes count.
    """
    classes = len(TASKS[labelled.task])
    kept, held = ~labelled.validation, labelled.validation
    gold, held_gold = labelled.gold[kept], labelled.gold[held]
    language_weight = np.where(labelled.langs[kept] == "zh", recipe.chinese_weight, 1.0)
    found: list[tuple[float, Trained]] = []
    for balance in recipe.balances:
        examples = Examples(vectors[kept], gold, class_weights(gold, classes, balance) * language_weight)
        for penalty in recipe.penalties:
            head = fit(examples, classes, penalty)
            predicted = head.probabilities(vectors[held]).argmax(axis=1)
            score = (accuracy(held_gold, predicted) + macro_f1(held_gold, predicted, classes)) / 2
            log.info("%s: penalty %g, balance %g: %.4f", labelled.task, penalty, balance, score)
            found.append((score, Trained(head, penalty, balance)))
    best = max(found, key=lambda pair: pair[0])[1]
    return best._replace(head=calibrated(best.head, vectors[held], held_gold))


def measure(labelled: LabelledSet, vectors: NDArray[np.float32], head: Head) -> dict[str, Any]:
    """Measure a head on the validation part, whose vectors are given, and on its Chinese part by itself."""
    labels, gold = TASKS[labelled.task], labelled.gold[labelled.validation]
    probabilities = head.probabilities(vectors)
    figures = report(gold, probabilities, labels)
    chinese = labelled.langs[labelled.validation] == "zh"
    if chinese.any():
        figures["chinese"] = report(gold[chinese], probabilities[chinese], labels)
    return figures


def train_all(data: Path, out: Path, embedders: Mapping[str, Embedder], recipe: Recipe, keep: Path | None) -> None:
    """Train and measure all heads, and write them to `out`.

    Args:
        data: Folder of the labelled sets.
        out: Folder for the heads.
        embedders: By runtime; `onnx-fp32` gives the vectors to learn from, all are measured.
        recipe: What to try.
        keep: Folder in which vectors are kept for another run; none: they are not kept.
    """
    base = embedders["onnx-fp32"]
    heads: dict[str, Head] = {}
    metrics: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    for task in TASKS:
        labelled = read_set(task, files_of(task, data))
        vectors = _vectors(base, labelled.texts, keep)
        trained = train(labelled, vectors, recipe)
        heads[task] = trained.head
        chosen[task] = {"rows": len(labelled.texts), "penalty": trained.penalty, "balance": trained.balance}
        held = [text for text, is_held in zip(labelled.texts, labelled.validation, strict=True) if is_held]
        metrics[task] = {
            name: measure(labelled, _vectors(embedder, held, keep), trained.head)
            for name, embedder in embedders.items()
        }
    settings = {**msgspec.to_builtins(recipe), "chosen": chosen}
    save_heads(out, heads, EncoderId(base.encoder.name, base.encoder.sha256), settings, metrics)


def _vectors(embedder: Embedder, texts: list[str], keep: Path | None) -> NDArray[np.float32]:
    """Return the texts' vectors, from the folder `keep` if an earlier run left them there."""
    if keep is None:
        return embedder.embed(texts)
    content = msgspec.json.encode([embedder.encoder.sha256, embedder.runtime.precision, embedder.max_tokens, texts])
    path = keep / f"{hashlib.sha256(content).hexdigest()[:16]}.npy"
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    vectors = embedder.embed(texts)
    keep.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(prog="python -m streamwatch.learn.heads", description="Train the heads.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the *.train.jsonl sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for heads.safetensors and heads.json")
    parser.add_argument("--base", default=ModelConfig().base, help="encoder, as in model.base")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: all cores")
    parser.add_argument("--keep", type=Path, help="folder that keeps the texts' vectors for another run")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    recipe = Recipe()
    embedders = {}
    for runtime in ("onnx-fp32", "onnx-int8"):
        config = ModelConfig(
            base=arguments.base, runtime=runtime, threads=arguments.threads, max_tokens=recipe.max_tokens
        )
        embedders[runtime] = load_embedder(config, default_cache())
    train_all(arguments.data, arguments.out, embedders, recipe, arguments.keep)


if __name__ == "__main__":
    main()
