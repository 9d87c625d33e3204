"""What each part of the recipe earns: `python -m streamwatch.learn.ablate --data DIR`.

The recipe is trained again with one part taken out or put in, on a small draw of the training part, several times with
other seeds; the dev part says what that does to the mean macro-F1 of the heads. The draw and the seeds are the same
for every variant, so differences are taken in pairs: their spread is far less than that of the scores.

Small trainings favour what learns quickly. What helps only after many epochs does not show here.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.learn.examples import Example, read_examples, training_files
from streamwatch.learn.finetune import Recipe, finetune
from streamwatch.learn.train import keep_freed_memory, new_network, read_recipe
from streamwatch.model.encoder import Encoder, load_encoder

log = logging.getLogger(__name__)

VARIANTS: dict[str, dict[str, Any]] = {
    "sets by size": {"temperature": 1.0},
    "no class weights": {"class_balance": 0.0},
    "no label smoothing": {"label_smoothing": 0.0},
    "one dropout mask": {"dropout_samples": 1},
    "no weight averaging": {"averaging": 0.0},
    "no joined headlines": {"joined": 0.0},
    "no disguised tickers and numbers": {"disguised": 0.0},
    "no code-switching": {"switched": 0.0},
    "no token dropout": {"dropped_tokens": 0.0},
    "one rate for all layers": {"layer_decay": 1.0},
    "low-rank adapters": {"adapter": "lora", "learning_rate": 1e-3},
    "with FGM": {"adversarial": 0.5},
    "with R-Drop": {"r_drop": 0.5},
}


class Ablation(NamedTuple):
    """A variant's mean dev macro-F1, and how it differs from the recipe's: mean, and standard deviation over seeds."""

    variant: str
    macro_f1: float
    difference: float
    spread: float
    seeds: int


def ablate(
    encoder: Encoder,
    examples: Sequence[Example],
    recipe: Recipe,
    variants: Mapping[str, Mapping[str, Any]],
    *,
    texts: int,
    seeds: int,
) -> Iterator[Ablation]:
    """Train the recipe and its variants, and yield what came of each: the recipe first.

    Args:
        encoder: What to fine-tune.
        examples: All parts.
        recipe: The recipe.
        variants: The keys that each variant changes, by its name.
        texts: How many texts of the training part to learn from.
        seeds: How often to train each.
    """
    dev = [example for example in examples if example.part == "dev"]
    learnt = [example for example in examples if example.part == "train"]
    chosen = np.random.default_rng(recipe.seed).permutation(len(learnt))[:texts]
    few = [learnt[place] for place in chosen]

    def scores(changes: Mapping[str, Any]) -> NDArray[np.float64]:
        recipes = [msgspec.structs.replace(recipe, **changes, seed=recipe.seed + number) for number in range(seeds)]
        return np.array([_score(encoder, few, dev, each) for each in recipes])

    whole = scores({})
    yield Ablation("the recipe", float(whole.mean()), 0.0, 0.0, seeds)
    for name, changes in variants.items():
        found = scores(changes)
        differences = found - whole
        spread = float(differences.std(ddof=1)) if seeds > 1 else 0.0
        yield Ablation(name, float(found.mean()), float(differences.mean()), spread, seeds)


def _score(encoder: Encoder, train: Sequence[Example], dev: Sequence[Example], recipe: Recipe) -> float:
    network = new_network(encoder, recipe)
    return finetune(network, encoder.tokenizer, train, dev, recipe, on_progress=_silent, on_best=_silent)


def _silent(_: object) -> None:
    """Keep nothing and say nothing: only the best score counts."""


def main() -> None:
    """Print a line of JSON for each variant, as soon as it is known."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(prog="python -m streamwatch.learn.ablate", description="Take the recipe apart.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the *.train.jsonl sets")
    parser.add_argument("--base", default=ModelConfig().base, help="encoder, as in model.base")
    parser.add_argument("--recipe", type=Path, help="TOML file with the keys of `finetune.Recipe`")
    parser.add_argument("--texts", type=int, default=6_000, help="texts to learn from")
    parser.add_argument("--frozen-layers", type=int, default=8, help="layers that stay as they are")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each variant")
    parser.add_argument("--only", nargs="*", choices=sorted(VARIANTS), help="these variants alone")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = msgspec.structs.replace(
        read_recipe(arguments.recipe), epochs=1, evaluations=1, frozen_layers=arguments.frozen_layers
    )
    variants = {name: VARIANTS[name] for name in arguments.only} if arguments.only else VARIANTS
    examples = read_examples(training_files(arguments.data))
    encoder = load_encoder(arguments.base)
    for found in ablate(encoder, examples, recipe, variants, texts=arguments.texts, seeds=arguments.seeds):
        log.info("%s: %.4f, %+.4f ± %.4f", *found[:4])
        sys.stdout.write(json.dumps(found._asdict(), ensure_ascii=False) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
