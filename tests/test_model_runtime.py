from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.embedder import Embedder, load_embedder
from streamwatch.model.encoder import load_encoder
from streamwatch.model.runtime import MODEL_FILE, RuntimeName, open_runtime

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "shares", "fall", "rise", "after", "results"]
TEXTS = ["shares fall", "shares rise after results", "", "results " * 30, "nobody knows", "shares fall"]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
KINDS = {"bert": (BertModel, BertConfig), "xlm-roberta": (XLMRobertaModel, XLMRobertaConfig)}


@pytest.fixture(params=sorted(KINDS))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_encoder(tmp_path / request.param, request.param)


def write_encoder(folder: Path, kind: str, **changes: object) -> Path:
    """Write a small encoder with random weights, as the hub lays it out."""
    torch.manual_seed(5)
    model, config = KINDS[kind]
    model(config(**SIZES | changes, pad_token_id=0)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


def embedder(folder: Path, runtime: RuntimeName) -> Embedder:
    config = ModelConfig(base=str(folder), runtime=runtime, threads=1, max_tokens=16)
    return load_embedder(config, folder / "cache")


def test_onnx_gives_the_vectors_that_torch_gives(folder: Path) -> None:
    expected = embedder(folder, "torch").embed(TEXTS)
    assert np.allclose(embedder(folder, "onnx-fp32").embed(TEXTS), expected, atol=1e-5)
    int8 = embedder(folder, "onnx-int8").embed(TEXTS)
    assert np.all((int8 * expected).sum(axis=1) > 0.99)


def test_vectors_have_length_one_and_equal_texts_equal_vectors(folder: Path) -> None:
    vectors = embedder(folder, "onnx-int8").embed(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(vectors[0], vectors[5])


def test_an_encoder_of_another_shape_runs_in_torch_only(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "relu", "bert", hidden_act="relu")
    assert embedder(folder, "torch").hidden == 32
    with pytest.raises(ModelError, match=r"set model\.runtime to torch"):
        embedder(folder, "onnx-int8")


def test_a_damaged_built_file_says_what_to_delete(tmp_path: Path) -> None:
    encoder = load_encoder(str(write_encoder(tmp_path / "bert", "bert")))
    cache = tmp_path / "cache"
    open_runtime(encoder, "onnx-fp32", threads=1, cache=cache)
    (built,) = cache.iterdir()
    (built / MODEL_FILE).write_bytes(b"no graph")
    with pytest.raises(ModelError, match="delete the folder"):
        open_runtime(encoder, "onnx-fp32", threads=1, cache=cache)
