import json
import sys
from pathlib import Path

import pytest

from streamwatch.learn import ablate as command
from streamwatch.learn.ablate import VARIANTS, Ablation, ablate
from streamwatch.learn.examples import Example, read_examples
from streamwatch.learn.finetune import Recipe
from streamwatch.model.encoder import Encoder, load_encoder
from tests.tiny_encoder import write_encoder
from tests.toy_texts import TOY_WORDS, text_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(
    epochs=3, learning_rate=3e-3, head_learning_rate=1e-1, max_tokens=16, context_tokens=16, averaging=0.9, switched=0.0
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_encoder(tmp_path_factory.mktemp("encoder"), "bert", TOY_WORDS, initializer_range=0.1))


@pytest.fixture(scope="module")
def encoder(base: str) -> Encoder:
    return load_encoder(base)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return read_examples([write_rows(tmp_path_factory.mktemp("texts") / "toy.jsonl", text_rows(900, 1))])


@pytest.fixture(scope="module")
def found(encoder: Encoder, texts: list[Example]) -> dict[str, Ablation]:
    variants = {"the same": {}, "nothing is learnt": {"learning_rate": 0.0, "head_learning_rate": 0.0}}
    rows = ablate(encoder, texts, RECIPE, variants, texts=400, seeds=2)
    return {row.variant: row for row in rows}


def test_the_recipe_comes_first_and_learns(found: dict[str, Ablation]) -> None:
    assert list(found) == ["the recipe", "the same", "nothing is learnt"]
    assert found["the recipe"].macro_f1 > 0.7


def test_a_variant_that_is_the_recipe_makes_no_difference(found: dict[str, Ablation]) -> None:
    assert found["the same"][1:4] == (found["the recipe"].macro_f1, 0.0, 0.0)


def test_what_harms_shows(found: dict[str, Ablation]) -> None:
    assert found["nothing is learnt"].difference < -0.3


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_changes_the_recipe(name: str) -> None:
    recipe = Recipe()
    assert all(getattr(recipe, key) != value for key, value in VARIANTS[name].items())


def test_the_command_prints_a_line_for_each_variant(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_rows(tmp_path / "toy.jsonl", text_rows(300, 1))
    monkeypatch.setattr(command, "training_files", lambda _: [file])
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("max_tokens = 16\ncontext_tokens = 16\n")
    options = ["--data", str(tmp_path), "--base", base, "--recipe", str(recipe)]
    monkeypatch.setattr(
        sys, "argv", ["ablate", *options, "--texts", "100", "--seeds", "1", "--only", "with FGM", "sets by size"]
    )
    command.main()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["variant"] for row in rows] == ["the recipe", "with FGM", "sets by size"]
