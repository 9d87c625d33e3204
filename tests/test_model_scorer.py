import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from streamwatch.codec import SCORED_SCHEMA
from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.encoder import load_encoder
from streamwatch.model.heads import TASKS, EncoderId, load_heads, save_heads, shipped_folder
from streamwatch.model.scorer import Scorer

NEGATIVE = [
    "Shares plunge 20% after the company cuts its full-year guidance and warns of heavy losses",
    "Moody's downgrades the bank to junk as bad loans surge",
    "公司业绩大幅下滑，股价暴跌，投资者损失惨重",
]
POSITIVE = [
    "Shares soar to a record high after quarterly profit beats estimates and guidance is raised",
    "Analysts upgrade the stock to buy on strong earnings growth",
    "公司净利润大幅增长，股价创历史新高",
]
WEIRD = ["🔥🚀👍🏽", "   ", "\n\t", "مؤشر الأسهم يرتفع", "\0", "a" * 20_000, "跌" * 20_000, "\ud800", "cafe\u0301", "."]
ORDINARY = [f"$TICK{i} closes at {i * 7}.{i} " + "on a quiet day of trading " * (i % 6) for i in range(30)]
TEXTS = NEGATIVE + POSITIVE + WEIRD + ORDINARY
TOLERANCES = {"onnx-int8": 1e-3, "onnx-fp32": 1e-5}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=sorted(TOLERANCES))
def scorer(request: pytest.FixtureRequest, cache: Path) -> Scorer:
    return Scorer.load(ModelConfig(runtime=request.param, threads=2), cache)


def test_obvious_texts_are_told_apart(scorer: Scorer) -> None:
    assert scorer.score(NEGATIVE).labels("sentiment") == ["negative"] * 3
    assert scorer.score(POSITIVE).labels("sentiment") == ["positive"] * 3
    assert scorer.score(["Why is this stock falling today?"]).labels("intent") == ["question"]
    assert scorer.score(["The board raises the quarterly dividend to $0.50 a share"]).labels("topic") == ["dividend"]


def test_a_prediction_does_not_depend_on_its_neighbours(scorer: Scorer) -> None:
    together = scorer.score(TEXTS)
    order = random.Random(2).sample(range(len(TEXTS)), len(TEXTS))
    shuffled = scorer.score([TEXTS[place] for place in order])
    tolerance = 1e-3 if scorer.version.endswith("int8") else 1e-5
    for task in TASKS:
        alone = np.concatenate([scorer.score([text]).probabilities(task) for text in TEXTS])
        assert np.abs(together.probabilities(task) - alone).max() <= tolerance
        assert np.abs(shuffled.probabilities(task) - alone[order]).max() <= tolerance
        assert np.array_equal(together.probabilities(task).argmax(1), alone.argmax(1))


def test_columns_are_those_of_a_scored_micro_batch(scorer: Scorer) -> None:
    columns = scorer.score(pa.array(TEXTS[:6])).columns()
    assert list(columns) == SCORED_SCHEMA.names[SCORED_SCHEMA.names.index("sentiment") :][:7]
    for name, column in columns.items():
        assert column.type == SCORED_SCHEMA.field(name).type
        assert len(column) == 6
    assert len(columns["topic_probs"][5]) == len(TASKS["topic"])


def test_no_texts_give_no_rows(scorer: Scorer) -> None:
    scores = scorer.score([])
    assert len(scores) == 0
    assert {len(column) for column in scores.columns().values()} == {0}
    assert scores.columns()["sentiment_probs"].type == SCORED_SCHEMA.field("sentiment_probs").type


def test_equal_texts_are_scored_once(scorer: Scorer) -> None:
    scores = scorer.score(["up", "down", "up", "up"])
    assert (scores.stats.texts, scores.stats.distinct_texts) == (4, 2)
    assert np.array_equal(scores.sentiment[0], scores.sentiment[3])


def test_probabilities_are_probabilities(scorer: Scorer) -> None:
    scores = scorer.score(TEXTS)
    for task in TASKS:
        assert scores.probabilities(task).dtype == np.float32
        assert np.allclose(scores.probabilities(task).sum(axis=1), 1, atol=1e-5)


def test_the_version_names_the_precision(scorer: Scorer) -> None:
    name, digest, precision = scorer.version.split("-")
    assert (name, len(digest)) == ("e5s", 8)
    assert precision in {"int8", "fp32"}


def test_int8_rarely_disagrees_with_fp32(cache: Path) -> None:
    int8, fp32 = (Scorer.load(ModelConfig(runtime=name, threads=2), cache) for name in ("onnx-int8", "onnx-fp32"))
    few = NEGATIVE + POSITIVE + ORDINARY
    assert np.abs(int8.score(few).sentiment - fp32.score(few).sentiment).mean() < 0.05


def test_heads_of_another_encoder_are_refused(tmp_path: Path, cache: Path) -> None:
    shipped = load_heads(shipped_folder())
    save_heads(tmp_path, shipped.heads, EncoderId("other", "f" * 64), {}, {})
    with pytest.raises(ModelError, match=r"were trained on other .*and model\.base is multilingual-e5-small"):
        Scorer.load(ModelConfig(heads=tmp_path, runtime="onnx-int8"), cache)


def test_token_ids_are_those_of_the_published_tokenizer() -> None:
    tokenizer = load_encoder("multilingual-e5-small").tokenizer
    (hello,) = tokenizer.encode(["Hello world"], 16)
    assert hello.tolist() == [0, 41, 1294, 12, 35378, 8999, 2]
    composed, combining = tokenizer.encode(["café", "cafe\u0301"], 16)
    assert composed.tolist() == combining.tolist()
    spaced, tabbed = tokenizer.encode(["a  b", "a\tb"], 16)
    assert spaced.tolist() == tabbed.tolist()
    (cut,) = tokenizer.encode(["word " * 5_000], 32)
    assert (len(cut), cut[-1]) == (32, 2)
