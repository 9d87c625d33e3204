from pathlib import Path

import numpy as np
import pytest

from streamwatch.errors import ModelError
from streamwatch.model.heads import (
    MANIFEST_FILE,
    TASKS,
    TENSORS_FILE,
    EncoderId,
    Head,
    load_heads,
    save_heads,
    shipped_folder,
)

ENCODER = EncoderId("tiny", "0" * 64)


def make_heads(hidden: int = 8) -> dict[str, Head]:
    draw = np.random.default_rng(3)
    return {
        task: Head(draw.standard_normal((len(names), hidden)).astype(np.float32), np.zeros(len(names), np.float32))
        for task, names in TASKS.items()
    }


def test_heads_come_back_as_they_were_saved(tmp_path: Path) -> None:
    heads = make_heads()
    save_heads(tmp_path, heads, ENCODER, {"seed": 0}, {})
    loaded = load_heads(tmp_path)
    assert loaded.manifest.encoder == ENCODER
    for task in TASKS:
        assert np.array_equal(loaded.heads[task].weight, heads[task].weight)


def test_probabilities_sum_to_one_and_stay_finite_for_huge_logits() -> None:
    probabilities = Head(np.eye(3, dtype=np.float32) * 1e4, np.zeros(3, np.float32)).probabilities(
        np.eye(3, dtype=np.float32)
    )
    assert np.allclose(probabilities, np.eye(3))


def test_other_labels_are_refused(tmp_path: Path) -> None:
    save_heads(tmp_path, make_heads(), ENCODER, {}, {})
    manifest = tmp_path / MANIFEST_FILE
    text = (
        manifest.read_text()
        .replace('"negative"', '"x"')
        .replace('"positive"', '"negative"')
        .replace('"x"', '"positive"')
    )
    manifest.write_text(text)
    with pytest.raises(ModelError, match="labels of sentiment"):
        load_heads(tmp_path)


def test_tensors_of_another_training_are_refused(tmp_path: Path) -> None:
    save_heads(tmp_path, make_heads(), ENCODER, {}, {})
    data = bytearray((tmp_path / TENSORS_FILE).read_bytes())
    data[-1] ^= 1
    (tmp_path / TENSORS_FILE).write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256"):
        load_heads(tmp_path)


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    heads = make_heads()
    heads["topic"].weight[0, 0] = np.nan
    save_heads(tmp_path, heads, ENCODER, {}, {})
    with pytest.raises(ModelError, match="topic holds values"):
        load_heads(tmp_path)


def test_a_folder_without_heads_says_how_to_train_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"python -m streamwatch\.learn\.heads"):
        load_heads(tmp_path)


def test_a_manifest_that_is_none_is_refused(tmp_path: Path) -> None:
    save_heads(tmp_path, make_heads(), ENCODER, {}, {})
    (tmp_path / MANIFEST_FILE).write_text("[]")
    with pytest.raises(ModelError, match="not a manifest"):
        load_heads(tmp_path)


def test_the_shipped_heads_are_small_and_measured() -> None:
    folder = shipped_folder()
    assert (folder / TENSORS_FILE).stat().st_size < 1_000_000
    metrics = load_heads(folder).manifest.metrics
    assert all(metrics[task][runtime]["accuracy"] > 0.5 for task in TASKS for runtime in ("onnx-fp32", "onnx-int8"))
