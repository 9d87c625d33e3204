from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from streamwatch.cli.main import run_command
from streamwatch.config import ModelConfig
from streamwatch.model.encoder import load_encoder
from streamwatch.model.runtime import MODEL_FILE
from streamwatch.model.scorer import Scorer
from streamwatch.model.trained import MANIFEST_FILE, TENSORS_FILE
from tests.tiny_encoder import write_encoder
from tests.tiny_model import write_configuration, write_model

FIGURES = {"rows": 40, "accuracy": 0.9, "macro_f1": 0.85, "calibration_error": 0.02, "log_loss": 0.3}
METRICS = {"validation": {"sentiment": {**FIGURES, "by_set": {"tweets": {**FIGURES, "rows": 30}}}}}
Models = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path) -> ModelConfig:
    return write_model(tmp_path, METRICS)


@pytest.fixture
def models(tmp_path: Path, model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> Models:
    monkeypatch.chdir(tmp_path)
    write_configuration(tmp_path / "streamwatch.toml", model)
    return lambda *args: run_command(["models", *args])


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network for the hub's library, and a cache of its own."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_built_files_are_listed_and_those_in_use_are_told_apart(
    models: Models, model: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models("export", "--runtime", "onnx-int8", "-o", "json") == 0
    folder = Path(json.loads(capsys.readouterr().out)["folder"])
    other = folder.with_name("0" * 16 + "-onnx-fp32-v1")
    shutil.copytree(folder, other)
    (folder.parent / ".half-built").mkdir()
    assert models("list", "-o", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in rows] == ["shipped", "configured", "built", "built"]
    found = {row["folder"]: row for row in rows}
    assert found[str(model.weights)]["in_use"]
    assert not rows[0]["in_use"]
    assert (found[str(folder)]["runtime"], found[str(folder)]["in_use"]) == ("onnx-int8", True)
    assert (found[str(other)]["runtime"], found[str(other)]["in_use"]) == ("onnx-fp32", False)
    assert found[str(folder)]["encoder"] == found[str(model.weights)]["encoder"] == "encoder"
    assert found[str(folder)]["bytes"] == sum(file.stat().st_size for file in folder.iterdir())


def test_an_empty_cache_lists_the_models_alone(models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    assert models("list") == 0
    out, err = capsys.readouterr()
    assert "shipped" in out
    assert "built" not in out
    assert re.fullmatch(r"built files are in \S+/cache\n", err)


def test_the_files_in_use_are_those_that_scoring_takes(
    models: Models, model: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    Scorer.load(model)
    assert models("list", "-o", "json") == 0
    (built,) = [row for row in json.loads(capsys.readouterr().out) if row["kind"] == "built"]
    assert (built["runtime"], built["in_use"]) == ("onnx-fp32", True)
    assert models("export", "--runtime", "onnx-fp32", "-o", "json") == 0
    exported = json.loads(capsys.readouterr().out)
    assert (exported["folder"], exported["built"]) == (built["folder"], False)


def test_show_gives_the_version_that_stands_beside_the_scores(
    models: Models, model: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models("show", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["onnx-fp32"] == Scorer.load(model).version
    assert len(set(found["versions"].values())) == 4
    assert (found["folder"], found["recipe"], found["metrics"]) == (str(model.weights), {"seed": 7}, METRICS)
    assert found["encoder"]["sha256"] == load_encoder(model.base).sha256


def test_show_prints_hashes_labels_and_a_table_of_figures(
    models: Models, model: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models("show", str(model.weights)) == 0
    out = capsys.readouterr().out
    for expected in (r"tensors sha256 +[0-9a-f]{64}", r"labels, sentiment +negative, neutral, positive"):
        assert re.search(rf"^{expected}$", out, re.MULTILINE)
    assert re.search(r"^ *sentiment +all +40 +0\.9 +0\.85 +0\.02 +0\.3 *$", out, re.MULTILINE)
    assert re.search(r"^ *sentiment +tweets +30 ", out, re.MULTILINE)
    assert models("show", "-o", "csv") == 0
    assert capsys.readouterr().out.splitlines()[1] == "sentiment,all,40,0.9,0.85,0.02,0.3"


def test_a_folder_that_holds_no_model_is_an_error(
    models: Models, model: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models("show", "nowhere") == 1
    assert f"nowhere/{MANIFEST_FILE}: No such file" in capsys.readouterr().err
    assert model.weights
    (model.weights / TENSORS_FILE).write_bytes(b"damaged")
    assert models("show") == 1
    assert "SHA-256" in capsys.readouterr().err


def test_export_builds_once_and_copies_what_it_built(models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    assert models("export", "--runtime", "onnx-int8", "-o", "json") == 0
    first = json.loads(capsys.readouterr().out)
    assert models("export", "--runtime", "onnx-int8", "--out", "copy/here", "-o", "json") == 0
    second = json.loads(capsys.readouterr().out)
    assert (first["built"], second["built"], second["folder"]) == (True, False, "copy/here")
    assert first["bytes"] == second["bytes"] > 0
    names = sorted(file.name for file in Path("copy/here").iterdir())
    assert names == sorted(file.name for file in Path(first["folder"]).iterdir())
    assert (Path("copy/here") / MODEL_FILE).read_bytes() == (Path(first["folder"]) / MODEL_FILE).read_bytes()


def test_export_does_not_write_over_what_is_there(
    models: Models, model: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models("export", "--runtime", "onnx-int8", "--out", ".") == 1
    assert "expected a new folder" in capsys.readouterr().err
    assert models("export", "--runtime", "torch") == 2
    assert "onnx-int8" in capsys.readouterr().err


def test_pull_says_what_to_write_into_the_configuration(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_encoder(tmp_path / "local")
    assert models("pull", "local") == 0
    out = capsys.readouterr().out
    assert f'[model]\nbase = "{folder}"\n' in out
    assert 'runtime = "torch"' not in out
    assert models("pull", "local", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runtimes"] == ["onnx-int8", "onnx-fp32", "torch"]
    assert found["sha256"] == load_encoder(str(folder)).sha256
    assert 10_000 < found["parameters"] < 100_000


def test_pull_says_which_runtimes_can_run_it(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_encoder(tmp_path / "relu", hidden_act="relu")
    assert models("pull", "relu") == 0
    assert 'runtime = "torch"' in capsys.readouterr().out


def test_pull_takes_safetensors_only(models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_encoder(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert models("pull", "pickled") == 1
    assert "holds no *.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nobody/nothing", "no//name"])
def test_pull_of_what_nobody_gives_is_an_error(
    models: Models, offline: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models("pull", name) == 1
    assert capsys.readouterr().err.startswith(f"error: {name}: neither a local folder nor an encoder")


def test_what_was_fetched_once_needs_no_network(offline: Path, tmp_path: Path) -> None:
    hub = offline / "models--somebody--tiny"
    write_encoder(hub / "snapshots" / "c0ffee")
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("c0ffee")
    assert load_encoder("somebody/tiny").name == "somebody/tiny"
