"""Train the model that comes with streamwatch: `python -m streamwatch.learn.train --data DIR --out DIR`.

1. Read the labelled sets and the project's own Chinese sentences; a hash of the words parts them into what is learnt
   from, a dev part, and a validation part that nothing is chosen on.
2. Fine-tune encoder and heads; the weights that are best on the dev part are written to `--out` as they are found.
3. Calibrate each head by one temperature, on the dev part.
4. Measure what was written on the validation part, by set and language, before and after calibration.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.learn.evaluate import calibration_error, report
from streamwatch.learn.examples import Example, Part, read_examples, training_files
from streamwatch.learn.finetune import Predicted, Progress, Recipe, finetune, mean_f1, merged, predict
from streamwatch.learn.network import Network, encoder_state, word_embeddings
from streamwatch.model.encoder import Encoder, load_encoder
from streamwatch.model.heads import HEADS, Head
from streamwatch.model.trained import EncoderId, Trained, load_trained, read_manifest, save_trained

log = logging.getLogger(__name__)

RECIPE_FILE = "recipe.toml"
MEASURED_TOKENS = 256
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of `mallopt(3)`."""
TEMPERATURES = (0.2, 5.0)


def new_network(encoder: Encoder, recipe: Recipe) -> Network:
    """Return an encoder as it is published, with heads that know nothing."""
    torch.manual_seed(recipe.seed)
    module = encoder.module()
    hidden = word_embeddings(module).embedding_dim
    return Network(module, hidden, dropout=recipe.dropout, dropout_samples=recipe.dropout_samples)


def trained_network(encoder: Encoder, trained: Trained) -> Network:
    """Return the network of a trained model."""
    network = new_network(encoder, Recipe())
    take_over(network, trained)
    return network.eval()


def take_over(network: Network, trained: Trained) -> None:
    """Give a network on the published encoder the weights of a trained model."""
    with torch.no_grad():
        parameters = dict(network.encoder.named_parameters())
        for name, difference in trained.differences.items():
            parameters[name].add_(torch.from_numpy(difference))
        for name, head in trained.heads.items():
            network.head(name).weight.copy_(torch.from_numpy(head.weight))
            network.head(name).bias.copy_(torch.from_numpy(head.bias))


def heads_of(network: Network) -> dict[str, Head]:
    """Return a network's heads as arrays."""
    state = {name: value.detach().float().cpu().numpy() for name, value in network.heads.state_dict().items()}
    return {name: Head(state[f"{name}.weight"], state[f"{name}.bias"]) for name in HEADS}


def differences_of(
    network: Network, base: Mapping[str, NDArray[np.float32]], recipe: Recipe
) -> dict[str, NDArray[np.float32]]:
    """Return what training has added to the encoder's weights, by name; what did not change is left out."""
    now = encoder_state(merged(network) if recipe.adapter == "lora" else network.encoder)
    differences = {name: now[name] - value for name, value in base.items()}
    return {name: difference for name, difference in differences.items() if difference.any()}


def best_temperature(at: Predicted) -> float:
    """Return the temperature under which the right classes are most probable.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.
    """
    rows = np.arange(len(at.gold))

    def loss(temperature: float) -> float:
        return -float(log_softmax(at.logits / temperature, axis=1)[rows, at.gold].mean())

    return float(minimize_scalar(loss, bounds=TEMPERATURES, method="bounded").x)


def measure(
    predicted: Mapping[str, Predicted], examples: Sequence[Example], before: Mapping[str, Predicted]
) -> dict[str, Any]:
    """Return the figures of each head on labelled texts: all of them, and by set.

    Args:
        predicted: Calibrated.
        examples: The texts.
        before: Not calibrated yet.
    """
    sets = np.array([example.set for example in examples])
    mixed = np.array([len({span.sentiment for span in example.spans}) > 1 for example in examples])
    found: dict[str, Any] = {}
    for head, at in predicted.items():
        probabilities, names = softmax(at.logits, axis=1), HEADS[head]
        figures = report(at.gold, probabilities, names)
        figures["calibration_error_before"] = round(calibration_error(at.gold, softmax(before[head].logits, axis=1)), 4)
        parts = {name: sets[at.places] == name for name in sorted(set(sets[at.places]))}
        if head == "entity":
            parts["mixed verdicts"] = mixed[at.places]
        if len(parts) > 1:
            figures["by_set"] = {
                name: report(at.gold[rows], probabilities[rows], names) for name, rows in parts.items() if rows.any()
            }
        found[head] = figures
    return found


def train(data: Sequence[Path], base: str, out: Path, recipe: Recipe, start: Path | None = None) -> None:
    """Train a model, and write and measure it.

    Args:
        data: Files of labelled texts.
        base: The encoder, as in `model.base`.
        out: Folder for the model.
        recipe: How.
        start: Folder of a trained model to go on from; none: the encoder as it is published.
    """
    encoder = load_encoder(base)
    examples = read_examples(data)
    parts: dict[Part, list[Example]] = {
        part: [example for example in examples if example.part == part] for part in ("train", "dev", "validation")
    }
    log.info("texts: %s", ", ".join(f"{len(texts)} {part}" for part, texts in parts.items()))
    network = new_network(encoder, recipe)
    base_state = {name: value.copy() for name, value in encoder_state(network.encoder).items()}
    if start:
        take_over(network, load_trained(start))
    identity = EncoderId(encoder.name, encoder.sha256)
    settings: dict[str, Any] = {"recipe": msgspec.to_builtins(recipe), "torch": str(torch.__version__)}
    if start:
        settings["start"] = msgspec.to_builtins(read_manifest(start))["recipe"]

    def keep(best: Network) -> None:
        save_trained(out, heads_of(best), differences_of(best, base_state, recipe), identity, settings, {})

    score = finetune(
        network, encoder.tokenizer, parts["train"], parts["dev"], recipe, on_progress=_report, on_best=keep
    )
    del network
    trained = load_trained(out)
    best = trained_network(encoder, trained)
    dev = predict(best, encoder.tokenizer, parts["dev"], MEASURED_TOKENS, recipe.context_tokens)
    log.info("dev macro-F1: %.4f in training, %.4f as written in 4 bits", score, mean_f1(dev))
    temperatures = {head: best_temperature(at) for head, at in dev.items()}
    heads = {
        name: Head(head.weight / np.float32(temperatures[name]), head.bias / np.float32(temperatures[name]))
        for name, head in trained.heads.items()
    }
    before = predict(best, encoder.tokenizer, parts["validation"], MEASURED_TOKENS, recipe.context_tokens)
    after = {
        head: Predicted(at.places, at.gold, (at.logits / temperatures[head]).astype(np.float32))
        for head, at in before.items()
    }
    figures = measure(after, parts["validation"], before)
    settings["temperatures"] = {head: round(value, 4) for head, value in temperatures.items()}
    save_trained(
        out, heads, trained.differences, identity, settings, {"validation": figures, "dev_macro_f1": round(score, 4)}
    )
    for head, found in figures.items():
        log.info("%s: accuracy %.4f, macro-F1 %.4f", head, found["accuracy"], found["macro_f1"])
        for name, part in found.get("by_set", {}).items():
            log.info("  %s: %d rows, %.4f, %.4f", name, part["rows"], part["accuracy"], part["macro_f1"])


def _report(progress: Progress) -> None:
    place = f"step {progress.step} of {progress.steps}"
    if progress.score is not None:
        log.info("%s: dev macro-F1 %.4f", place, progress.score)
    elif math.isfinite(progress.texts_per_s):
        log.info("%s: loss %.4f, %.0f texts/s", place, progress.loss, progress.texts_per_s)


def read_recipe(file: Path | None) -> Recipe:
    """Read a recipe in TOML; none: the one that comes with streamwatch.

    Raises:
        ModelError: The file cannot be read, or holds another key or value than a recipe has.
    """
    file = file or Path(str(resources.files("streamwatch.learn"))) / RECIPE_FILE
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Recipe)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        message = f"{file}: {error}"
        raise ModelError(message) from error


def keep_freed_memory() -> None:
    """Let glibc keep what torch frees, for the next step to take.

    By default every large tensor is mapped from the kernel and given back at once: a third of a training's time on a
    CPU went into filling these pages with zeros.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        allocator = ctypes.CDLL("libc.so.6")
        allocator.mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024)
        allocator.mallopt(M_TRIM_THRESHOLD, -1)


def main() -> None:
    """Train from the command line."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(prog="python -m streamwatch.learn.train", description="Train the model.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the *.train.jsonl sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.safetensors and model.json")
    parser.add_argument("--base", default=ModelConfig().base, help="encoder, as in model.base")
    parser.add_argument("--recipe", type=Path, help="TOML file with the keys of `finetune.Recipe`")
    parser.add_argument("--start", type=Path, help="folder of a trained model to go on from")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: all cores")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    train(training_files(arguments.data), arguments.base, arguments.out, read_recipe(arguments.recipe), arguments.start)


if __name__ == "__main__":
    main()
