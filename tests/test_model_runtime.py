from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.embedder import Embedded, Embedder, Entry, load_embedder
from streamwatch.model.encoder import Encoder, fine_tuned, load_encoder
from streamwatch.model.runtime import MODEL_FILE, RuntimeName, open_runtime
from tests.tiny_encoder import HIDDEN, KINDS, WORDS, write_encoder

ENTRIES = [
    Entry("shares fall"),
    Entry("apple shares rise after results", ("apple",)),
    Entry(""),
    Entry("results " * 30, ("results",)),
    Entry("tesla shares fall after apple results", ("apple", "nobody", "tesla shares")),
    Entry("nobody knows"),
    Entry("shares fall"),
    Entry("results " * 30 + "tesla", ("tesla",)),
]


@pytest.fixture(params=sorted(KINDS))
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    return load_encoder(str(write_encoder(tmp_path / request.param, request.param)))


def embedder(encoder: Encoder, runtime: RuntimeName, cache: Path) -> Embedder:
    return load_embedder(ModelConfig(runtime=runtime, threads=1, max_tokens=16), encoder, cache)


def distances(one: Embedded, other: Embedded) -> tuple[float, float]:
    """Return how far the vectors of texts and entities are apart at most."""
    return float(np.abs(one.texts - other.texts).max()), float(np.abs(one.entities - other.entities).max())


def of_torch(embedder: Embedder) -> float:
    """Return what may differ between ONNX in fp32 and torch, which computes in bf16 on a GPU."""
    return 1e-5 if embedder.runtime.precision == "torch-fp32" else 0.1


def test_vectors_are_the_means_of_the_encoders_tokens(encoder: Encoder, tmp_path: Path) -> None:
    words = "apple shares rise after tesla results".split()
    ids = [2, *(WORDS.index(word) + 4 for word in words), 3]
    with torch.inference_mode():
        (tokens,) = encoder.module()(input_ids=torch.tensor([ids])).last_hidden_state.numpy()
    found = embedder(encoder, "onnx-fp32", tmp_path).embed([Entry(" ".join(words), ("tesla results", "apple"))])
    assert np.allclose(found.texts[0], tokens.mean(axis=0), atol=1e-5)
    for row, own in zip(found.entities, (tokens[5:7], tokens[1:2]), strict=True):
        assert np.allclose(row, np.concatenate([own.mean(axis=0), tokens.mean(axis=0)]), atol=1e-5)
    assert found.entity_places == [[0, 1]]


def test_onnx_gives_the_vectors_that_torch_gives(encoder: Encoder, tmp_path: Path) -> None:
    torch_embedder = embedder(encoder, "torch", tmp_path)
    expected = torch_embedder.embed(ENTRIES)
    assert expected.entities.shape == (5, 2 * HIDDEN)
    assert max(distances(embedder(encoder, "onnx-fp32", tmp_path).embed(ENTRIES), expected)) < of_torch(torch_embedder)
    int8 = embedder(encoder, "onnx-int8", tmp_path).embed(ENTRIES)
    for one, other in ((int8.texts, expected.texts), (int8.entities, expected.entities)):
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        assert np.all((one * other).sum(axis=1) > 0.99 * lengths)


def test_a_fine_tuned_encoder_is_the_same_in_onnx_and_torch(encoder: Encoder, tmp_path: Path) -> None:
    draw = np.random.default_rng(6)

    def drawn(value: torch.Tensor) -> NDArray[np.float32]:
        return draw.normal(0, 0.1, value.shape).astype(np.float32)

    learnt = {
        name: drawn(value)
        for name, value in encoder.module().named_parameters()
        if not name.startswith(("embeddings.word", "pooler."))
    }
    tuned = fine_tuned(encoder, learnt, "0" * 64)
    torch_embedder = embedder(tuned, "torch", tmp_path)
    expected = torch_embedder.embed(ENTRIES)
    assert max(distances(embedder(tuned, "onnx-fp32", tmp_path).embed(ENTRIES), expected)) < of_torch(torch_embedder)
    assert min(distances(embedder(encoder, "onnx-fp32", tmp_path).embed(ENTRIES), expected)) > 0.5


def test_equal_entries_are_embedded_once(encoder: Encoder, tmp_path: Path) -> None:
    found = embedder(encoder, "onnx-int8", tmp_path).embed(ENTRIES)
    assert found.places.tolist() == [0, 1, 2, 3, 4, 5, 0, 6]
    assert len(found.texts) == 7
    assert (found.stats.texts, found.stats.distinct_texts) == (8, 7)
    assert found.stats.tokens <= found.stats.padded_tokens


def test_entities_that_the_text_does_not_name_have_no_vector(encoder: Encoder, tmp_path: Path) -> None:
    found = embedder(encoder, "onnx-int8", tmp_path).embed([*ENTRIES, Entry("shares fall", ("",))])
    assert found.entity_places == [[], [0], [], [1], [2, -1, 3], [], [4], [-1]]
    assert len(found.entities) == 5


def test_no_entries_give_no_vectors(encoder: Encoder, tmp_path: Path) -> None:
    found = embedder(encoder, "onnx-fp32", tmp_path).embed([])
    assert (found.texts.shape, found.entities.shape) == ((0, HIDDEN), (0, 2 * HIDDEN))


def test_an_encoder_of_another_shape_runs_in_torch_only(tmp_path: Path) -> None:
    encoder = load_encoder(str(write_encoder(tmp_path / "relu", "bert", hidden_act="relu")))
    assert embedder(encoder, "torch", tmp_path).hidden == HIDDEN
    with pytest.raises(ModelError, match=r"set model\.runtime to torch"):
        embedder(encoder, "onnx-int8", tmp_path / "cache")


def test_a_damaged_built_file_says_what_to_delete(encoder: Encoder, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    open_runtime(encoder, "onnx-fp32", threads=1, cache=cache)
    (built,) = cache.iterdir()
    (built / MODEL_FILE).write_bytes(b"no graph")
    with pytest.raises(ModelError, match="delete the folder"):
        open_runtime(encoder, "onnx-fp32", threads=1, cache=cache)


def test_each_training_and_precision_is_built_for_itself(encoder: Encoder, tmp_path: Path) -> None:
    tuned = fine_tuned(encoder, {"encoder.layer.0.output.dense.bias": np.ones(HIDDEN, np.float32)}, "0" * 64)
    for built, name in enumerate(("onnx-fp32", "onnx-int8")):
        runtime: RuntimeName = "onnx-fp32" if name == "onnx-fp32" else "onnx-int8"
        for _ in range(2):
            open_runtime(encoder, runtime, threads=1, cache=tmp_path / "cache")
            open_runtime(tuned, runtime, threads=1, cache=tmp_path / "cache")
        assert len(list((tmp_path / "cache").iterdir())) == 2 * (built + 1)
