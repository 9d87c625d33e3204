import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamwatch.errors import ModelError
from streamwatch.model.encoder import DEFAULT_BASE, PACKAGE_FILE_SHA256
from streamwatch.model.heads import ENTITY, HEADS, Head
from streamwatch.model.trained import (
    MANIFEST_FILE,
    TENSORS_FILE,
    EncoderId,
    Trained,
    load_trained,
    read_manifest,
    save_trained,
    shipped_folder,
)
from streamwatch.model.weights import BLOCK

ENCODER = EncoderId("tiny", "0" * 64)
HIDDEN = 64
MATRICES = {"encoder.layer.0.output.dense.weight": (HIDDEN, 2 * HIDDEN), "embeddings.position.weight": (7, HIDDEN)}
SMALL = {"encoder.layer.0.output.dense.bias": (HIDDEN,), "encoder.odd.weight": (4, 5)}


def make_heads() -> dict[str, Head]:
    draw = np.random.default_rng(3)
    widths = {name: 2 * HIDDEN if name == ENTITY else HIDDEN for name in HEADS}
    return {
        name: Head(
            draw.normal(0, 0.3, (len(labels), widths[name])).astype(np.float32),
            draw.normal(0, 0.3, len(labels)).astype(np.float32),
        )
        for name, labels in HEADS.items()
    }


def make_differences() -> dict[str, NDArray[np.float32]]:
    draw = np.random.default_rng(4)
    return {name: draw.normal(0, 0.01, shape).astype(np.float32) for name, shape in (MATRICES | SMALL).items()}


def saved(folder: Path, heads: dict[str, Head] | None = None) -> Path:
    save_trained(folder, heads or make_heads(), make_differences(), ENCODER, {"seed": 0}, {"rows": 1})
    return folder


def largest_of_block(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each value the largest magnitude in its block."""
    largest: NDArray[np.float32] = np.abs(matrix.reshape(len(matrix), -1, BLOCK)).max(axis=2).repeat(BLOCK, axis=1)
    return largest


def test_heads_and_manifest_come_back_as_they_were_saved(tmp_path: Path) -> None:
    loaded = load_trained(saved(tmp_path / "made" / "here"))
    for name, head in make_heads().items():
        assert np.array_equal(loaded.heads[name].weight, head.weight)
        assert np.array_equal(loaded.heads[name].bias, head.bias)
    manifest = loaded.manifest
    assert (manifest.encoder, manifest.recipe, manifest.metrics) == (ENCODER, {"seed": 0}, {"rows": 1})
    assert manifest.labels == {name: list(labels) for name, labels in HEADS.items()}
    assert read_manifest(tmp_path / "made" / "here") == manifest


def test_differences_come_back_within_what_four_bits_lose(tmp_path: Path) -> None:
    differences, loaded = make_differences(), load_trained(saved(tmp_path)).differences
    assert loaded.keys() == differences.keys()
    for name in MATRICES:
        error = np.abs(loaded[name] - differences[name])
        assert np.all(error <= largest_of_block(differences[name]) / 8 * 1.001)
        assert np.linalg.norm(error) < 0.1 * np.linalg.norm(differences[name])
    for name in SMALL:
        assert np.allclose(loaded[name], differences[name], rtol=1e-3, atol=1e-7)
    assert {difference.dtype for difference in loaded.values()} == {np.dtype(np.float32)}


def test_matrices_take_little_more_than_half_a_byte_a_weight(tmp_path: Path) -> None:
    matrix = np.random.default_rng(5).normal(0, 0.01, (512, 512)).astype(np.float32)
    save_trained(tmp_path / "with", make_heads(), {"encoder.w": matrix}, ENCODER, {}, {})
    save_trained(tmp_path / "without", make_heads(), {}, ENCODER, {}, {})
    more = (tmp_path / "with" / TENSORS_FILE).stat().st_size - (tmp_path / "without" / TENSORS_FILE).stat().st_size
    assert more < 0.6 * matrix.size


@pytest.mark.parametrize("differs", [0.0, 1e-9, 1e3])
def test_differences_of_any_size_come_back(tmp_path: Path, differs: float) -> None:
    matrix = np.full((2, BLOCK), differs, np.float32)
    save_trained(tmp_path, make_heads(), {"encoder.w": matrix}, ENCODER, {}, {})
    assert np.allclose(load_trained(tmp_path).differences["encoder.w"], matrix, rtol=1e-3, atol=1e-6)


def test_what_was_loaded_is_saved_as_the_same_bytes(tmp_path: Path) -> None:
    first = load_trained(saved(tmp_path / "first"))
    save_trained(tmp_path / "second", first.heads, first.differences, ENCODER, {"seed": 0}, {"rows": 1})
    for file in (TENSORS_FILE, MANIFEST_FILE):
        assert (tmp_path / "second" / file).read_bytes() == (tmp_path / "first" / file).read_bytes()


def test_heads_alone_are_a_trained_model_too(tmp_path: Path) -> None:
    save_trained(tmp_path, make_heads(), {}, ENCODER, {}, {})
    assert load_trained(tmp_path).differences == {}


@pytest.mark.parametrize("missing", [TENSORS_FILE, MANIFEST_FILE])
def test_a_folder_without_one_of_the_files_says_how_to_train(tmp_path: Path, missing: str) -> None:
    (saved(tmp_path) / missing).unlink()
    with pytest.raises(ModelError, match=rf"{missing}: No such file.*python -m streamwatch\.learn\.train"):
        load_trained(tmp_path)


def test_one_wrong_bit_in_the_tensors_is_seen(tmp_path: Path) -> None:
    file = saved(tmp_path) / TENSORS_FILE
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match=rf"{TENSORS_FILE}: SHA-256"):
        load_trained(tmp_path)


def test_tensors_of_another_training_are_refused(tmp_path: Path) -> None:
    heads = make_heads()
    heads["topic"].weight[0, 0] += 1
    data = (saved(tmp_path / "other", heads) / TENSORS_FILE).read_bytes()
    (saved(tmp_path / "this") / TENSORS_FILE).write_bytes(data)
    with pytest.raises(ModelError, match="of another training"):
        load_trained(tmp_path / "this")


def test_labels_in_another_order_are_refused(tmp_path: Path) -> None:
    file = saved(tmp_path) / MANIFEST_FILE
    manifest = json.loads(file.read_text())
    manifest["labels"]["sentiment"].reverse()
    file.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="labels of sentiment"):
        load_trained(tmp_path)


def test_a_manifest_of_the_three_text_heads_alone_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path) / MANIFEST_FILE
    manifest = json.loads(file.read_text())
    del manifest["labels"][ENTITY]
    file.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="labels of entity are None"):
        load_trained(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{}", b'{"encoder": "tiny"}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (saved(tmp_path) / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{MANIFEST_FILE}: not the manifest of a trained model"):
        load_trained(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 64])
def test_a_file_that_holds_no_tensors_is_refused(tmp_path: Path, content: bytes) -> None:
    saved(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    manifest["tensors_sha256"] = hashlib.sha256(content).hexdigest()
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest))
    (tmp_path / TENSORS_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="not the tensors of a trained model"):
        load_trained(tmp_path)


def test_a_missing_head_is_named(tmp_path: Path) -> None:
    heads = make_heads()
    del heads["intent"]
    with pytest.raises(ModelError, match=r"head\.intent\.weight"):
        load_trained(saved(tmp_path, heads))


def without_a_class(head: Head) -> Head:
    return Head(head.weight[1:], head.bias)


def without_a_bias(head: Head) -> Head:
    return Head(head.weight, head.bias[1:])


def as_a_vector(head: Head) -> Head:
    return Head(head.weight.reshape(-1), head.bias)


@pytest.mark.parametrize("damage", [without_a_class, without_a_bias, as_a_vector])
@pytest.mark.parametrize("name", list(HEADS))
def test_a_head_of_another_shape_is_refused(tmp_path: Path, name: str, damage: Callable[[Head], Head]) -> None:
    heads = make_heads()
    heads[name] = damage(heads[name])
    with pytest.raises(ModelError, match=f"{name} has shapes .* expected {len(HEADS[name])} classes"):
        load_trained(saved(tmp_path, heads))


def test_an_entity_head_of_odd_width_is_refused(tmp_path: Path) -> None:
    heads = make_heads()
    heads[ENTITY] = Head(heads[ENTITY].weight[:, 1:].copy(), heads[ENTITY].bias)
    with pytest.raises(ModelError, match="expected twice the encoder's width"):
        load_trained(saved(tmp_path, heads))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_heads_that_hold_no_numbers_are_refused(tmp_path: Path, part: str, value: float) -> None:
    heads = make_heads()
    getattr(heads["topic"], part).flat[0] = value
    with pytest.raises(ModelError, match=rf"head\.topic\.{part} holds values that are no numbers"):
        load_trained(saved(tmp_path, heads))


@pytest.mark.parametrize("name", [*MATRICES, *SMALL])
def test_differences_that_hold_no_numbers_are_refused(tmp_path: Path, name: str) -> None:
    differences = make_differences()
    differences[name].flat[0] = np.inf
    with np.errstate(invalid="ignore"):
        save_trained(tmp_path, make_heads(), differences, ENCODER, {}, {})
    with pytest.raises(ModelError, match=rf"encoder\.{name}[.a-z]* holds values that are no numbers"):
        load_trained(tmp_path)


def test_the_shipped_model_belongs_to_the_default_encoder() -> None:
    folder = shipped_folder()
    shipped: Trained = load_trained(folder)
    assert shipped.manifest.encoder == EncoderId(DEFAULT_BASE, PACKAGE_FILE_SHA256)
    assert shipped.heads["sentiment"].weight.shape == (3, 384)
    assert shipped.heads[ENTITY].weight.shape == (3, 768)
    assert (folder / TENSORS_FILE).stat().st_size < 16_000_000
