import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.learn.examples import Example, read_examples
from streamwatch.learn.finetune import Predicted, Recipe, finetune, predict
from streamwatch.learn.network import Network, encoder_state
from streamwatch.learn.train import (
    best_temperature,
    differences_of,
    heads_of,
    main,
    measure,
    new_network,
    read_recipe,
    train,
    trained_network,
)
from streamwatch.model.encoder import load_encoder
from streamwatch.model.heads import ENTITY, HEADS, TASKS
from streamwatch.model.runtime import RuntimeName
from streamwatch.model.scorer import Scorer
from streamwatch.model.trained import TENSORS_FILE, EncoderId, load_trained, read_manifest, save_trained
from tests.tiny_encoder import write_encoder
from tests.toy_texts import TOY_WORDS, entity_rows, text_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(
    epochs=12,
    learning_rate=3e-3,
    head_learning_rate=1e-1,
    averaging=0.9,
    max_tokens=16,
    context_tokens=16,
    frozen_layers=0,
    evaluations=1,
    switched=0.0,
    dropout_samples=2,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an encoder."""
    return write_encoder(tmp_path_factory.mktemp("base") / "tiny", "bert", TOY_WORDS, initializer_range=0.1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of labelled texts."""
    folder = tmp_path_factory.mktemp("data")
    return [
        write_rows(folder / "texts.jsonl", text_rows(1_000, 3)),
        write_rows(folder / "entities.jsonl", entity_rows(600, 4)),
    ]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, base: Path, data: list[Path]) -> Path:
    """The folder of a model that was trained from end to end."""
    folder = tmp_path_factory.mktemp("out")
    train(data, str(base), folder, RECIPE)
    return folder


@pytest.fixture(scope="module")
def held_back(data: list[Path]) -> list[Example]:
    return [example for example in read_examples(data) if example.part == "validation"]


def scored(base: Path, weights: Path, examples: Sequence[Example], runtime: RuntimeName) -> dict[str, NDArray[Any]]:
    """Return what the scorer says: for each head the probabilities of its texts or entities in order."""
    scorer = Scorer.load(ModelConfig(base=str(base), weights=weights, runtime=runtime), weights / "cache")
    mentions = [[example.text[span.start : span.end] for span in example.spans] for example in examples]
    scores = scorer.predict([example.text for example in examples], mentions)
    found = {task: scores.probabilities(task) for task in TASKS}
    return found | {ENTITY: np.array([vector for row in scores.entities for vector in row])}


def said(network: Network, base: Path, examples: Sequence[Example]) -> dict[str, NDArray[Any]]:
    """Return what the network itself says, in the same order; its labels are made up to have every row."""
    labelled = [replace(example, labels=dict.fromkeys(TASKS, 0)) for example in examples]
    found = {}
    for head, at in predict(network, load_encoder(str(base)).tokenizer, labelled, 256, 16).items():
        order = np.argsort(at.places, kind="stable")
        found[head] = softmax(at.logits[order], axis=1)
    return found


def distance(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> float:
    assert one.keys() == other.keys() == HEADS.keys()
    return max(float(np.abs(one[head] - other[head]).max()) for head in HEADS)


@pytest.mark.parametrize("runtime", ["onnx-fp32", "torch"])
def test_the_scorer_says_what_the_written_network_says(
    base: Path, out: Path, held_back: list[Example], runtime: RuntimeName
) -> None:
    network = trained_network(load_encoder(str(base)), load_trained(out))
    assert distance(scored(base, out, held_back, runtime), said(network, base, held_back)) < 1e-4


def test_the_scorer_knows_what_was_taught(base: Path, out: Path, held_back: list[Example]) -> None:
    found = scored(base, out, held_back, "onnx-int8")
    for task in TASKS:
        rows = [row for row, example in enumerate(held_back) if task in example.labels]
        gold = [held_back[row].labels[task] for row in rows]
        assert np.mean(found[task][rows].argmax(axis=1) == gold) > 0.95
    gold = [span.sentiment for example in held_back for span in example.spans]
    assert np.mean(found[ENTITY].argmax(axis=1) == gold) > 0.95


def test_the_manifest_says_what_was_done_and_measured(base: Path, out: Path, held_back: list[Example]) -> None:
    manifest = read_manifest(out)
    encoder = load_encoder(str(base))
    assert manifest.encoder == EncoderId("tiny", encoder.sha256)
    assert msgspec.convert(manifest.recipe["recipe"], Recipe) == RECIPE
    assert manifest.recipe["temperatures"].keys() == HEADS.keys()
    assert 0.95 < manifest.metrics["dev_macro_f1"] <= 1
    figures = manifest.metrics["validation"]
    assert figures.keys() == HEADS.keys()
    for head in TASKS:
        assert figures[head]["rows"] == sum(head in example.labels for example in held_back)
        assert figures[head]["accuracy"] > 0.95
    assert figures[ENTITY]["rows"] == sum(len(example.spans) for example in held_back)
    assert figures[ENTITY]["by_set"].keys() == {"entities", "mixed verdicts"}


def test_what_is_measured_is_what_is_scored(base: Path, out: Path, held_back: list[Example]) -> None:
    found = scored(base, out, held_back, "onnx-fp32")["topic"]
    rows = [row for row, example in enumerate(held_back) if "topic" in example.labels]
    gold = np.array([held_back[row].labels["topic"] for row in rows])
    figures = read_manifest(out).metrics["validation"]["topic"]
    assert figures["accuracy"] == pytest.approx(np.mean(found[rows].argmax(axis=1) == gold), abs=1e-3)
    assert figures["log_loss"] == pytest.approx(-np.log(found[rows, gold]).mean(), abs=1e-3)


def test_differences_are_of_the_encoders_weights_but_not_of_its_words(base: Path, out: Path) -> None:
    names = load_trained(out).differences.keys()
    known = encoder_state(load_encoder(str(base)).module()).keys()
    assert names <= known
    assert "embeddings.word_embeddings.weight" not in names
    assert {"encoder.layer.0.attention.self.value.weight", "encoder.layer.1.output.LayerNorm.bias"} <= names


@pytest.mark.parametrize("adapter", ["full", "lora"])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_four_bits_keep_what_the_network_said_when_it_was_best(
    tmp_path: Path, data: list[Path], held_back: list[Example], adapter: str, kind: str
) -> None:
    base = write_encoder(tmp_path / kind, kind, TOY_WORDS, initializer_range=0.1)
    encoder, examples = load_encoder(str(base)), read_examples(data)
    recipe = msgspec.convert(msgspec.to_builtins(RECIPE) | {"adapter": adapter, "epochs": 1}, Recipe)
    network = new_network(encoder, recipe)
    before = {name: value.copy() for name, value in encoder_state(network.encoder).items()}
    best: list[dict[str, NDArray[Any]]] = []

    def keep(found: Network) -> None:
        identity = EncoderId(encoder.name, encoder.sha256)
        save_trained(tmp_path / "out", heads_of(found), differences_of(found, before, recipe), identity, {}, {})
        best.append(said(found, base, held_back))

    finetune(network, encoder.tokenizer, examples[::4], held_back, recipe, on_progress=lambda told: None, on_best=keep)
    untouched = said(new_network(encoder, recipe), base, held_back)
    learnt = scored(base, tmp_path / "out", held_back, "onnx-fp32")
    assert distance(learnt, best[-1]) < 0.05 < distance(untouched, best[-1])
    assert max(np.abs(learnt[head] - best[-1][head]).mean() for head in HEADS) < 0.01


def test_a_recipe_gives_the_same_model_each_time(tmp_path: Path, base: Path, data: list[Path]) -> None:
    recipe = msgspec.structs.replace(RECIPE, epochs=1)
    for folder in ("first", "second"):
        train(data, str(base), tmp_path / folder, recipe)
    assert (tmp_path / "first" / TENSORS_FILE).read_bytes() == (tmp_path / "second" / TENSORS_FILE).read_bytes()


def test_the_command_trains_on_a_folder_and_the_own_sentences(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {"sentiment": text_rows(200, 5), "entity_sentiment": entity_rows(200, 6)}
    rows |= {"topic": text_rows(200, 7), "intent": text_rows(200, 8)}
    for name, found in rows.items():
        write_rows(tmp_path / f"{name}.train.jsonl", found)
    (tmp_path / "recipe.toml").write_text("epochs = 1\nevaluations = 1\nadapter = 'lora'\ndropout_samples = 1\n")
    options = {"--data": tmp_path, "--out": tmp_path / "out", "--base": base, "--recipe": tmp_path / "recipe.toml"}
    monkeypatch.setattr(sys, "argv", ["train", *(str(part) for option in options.items() for part in option)])
    with caplog.at_level(logging.INFO, "streamwatch"):
        main()
    manifest = read_manifest(tmp_path / "out")
    assert manifest.recipe["recipe"]["adapter"] == "lora"
    assert "streamwatch_zh" in manifest.metrics["validation"]["sentiment"]["by_set"]
    assert "dev macro-F1" in caplog.text


def test_the_temperature_mends_overconfidence() -> None:
    draw = np.random.default_rng(9)
    right = draw.normal(0, 1, (4_000, 3))
    shares = softmax(right, axis=1)
    gold = np.array([draw.choice(3, p=row) for row in shares])
    places = np.arange(len(gold))
    for factor in (0.5, 1.0, 3.0):
        found = best_temperature(Predicted(places, gold, (right * factor).astype(np.float32)))
        assert found == pytest.approx(factor, rel=0.1)


def test_figures_are_given_by_set_and_for_mixed_verdicts(held_back: list[Example]) -> None:
    spans = [(place, span.sentiment) for place, example in enumerate(held_back) for span in example.spans]
    places, gold = (np.array(column) for column in zip(*spans, strict=True))
    logits = np.eye(3, dtype=np.float32)[gold]
    wrong = np.roll(logits, 1, axis=1)
    mixed = np.array([len({span.sentiment for span in held_back[place].spans}) > 1 for place in places])
    predicted = Predicted(places, gold, np.where(mixed[:, None], logits, wrong))
    figures = measure({ENTITY: predicted}, held_back, {ENTITY: predicted})[ENTITY]
    assert figures["rows"] == len(gold)
    assert figures["accuracy"] == pytest.approx(mixed.mean(), abs=1e-3)
    assert figures["by_set"]["mixed verdicts"]["accuracy"] == 1
    assert figures["by_set"]["mixed verdicts"]["rows"] == mixed.sum()
    assert figures["by_set"]["entities"]["rows"] == len(gold)


def test_a_recipe_is_read_from_toml(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("epochs = 2\nadapter = 'lora'\nlearning_rate = 1e-5\n")
    assert read_recipe(tmp_path / "r.toml") == Recipe(epochs=2, adapter="lora", learning_rate=1e-5)
    assert read_recipe(None).frozen_layers == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"epoch = 2", "unknown field `epoch`"),
        (b"epochs = 'two'", "Expected `int`, got `str` - at `.*epochs`"),
        (b"epochs = 0", "`int` >= 1"),
        (b"dropout = 1.0", "dropout"),
        (b"adapter = 'prefix'", "Invalid enum value 'prefix'"),
        (b"epochs =", "Invalid value"),
        (b"# \xff", "utf-8"),
    ],
)
def test_a_wrong_recipe_is_named_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(ModelError, match=rf"r\.toml: .*{reason}"):
        read_recipe(tmp_path / "r.toml")


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.toml.*No such file|No such file.*none\.toml"):
        read_recipe(tmp_path / "none.toml")
