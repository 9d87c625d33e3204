import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from streamwatch.codec import ENTITY as ENTITY_TYPE
from streamwatch.codec import SCORED_SCHEMA
from streamwatch.config import ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.encoder import DEFAULT_BASE, PACKAGE_FILE_SHA256
from streamwatch.model.heads import ENTITY, HEADS, TASKS, Head
from streamwatch.model.runtime import RuntimeName
from streamwatch.model.scorer import Scorer
from streamwatch.model.scores import Scores
from streamwatch.model.trained import MANIFEST_FILE, EncoderId, load_trained, save_trained

NAMED = {
    "Apple shares plunge 20% after Tesla wins the contract and guidance is cut": ("Apple", "Tesla"),
    "Moody's downgrades the bank to junk": ("Moody's",),
    "苹果公司业绩大幅下滑，特斯拉股价创历史新高": ("苹果公司", "特斯拉"),
    "RT @jane: AT&amp;T up, $TSLA down https://t.co/Xy1": ("AT&T", "TSLA"),
    "steady " * 300 + "Tesla": ("Tesla", "steady"),
    "\ud800 cafe\u0301 Nestlé\t🔥": ("Nestlé",),
}
WEIRD = [
    "🔥🚀👍🏽",
    "",
    "   ",
    "\n\t",
    "مؤشر الأسهم يرتفع",
    "\0",
    "a" * 20_000,
    "跌" * 20_000,
    "\ud800",
    "cafe\u0301",
    ".",
]
ORDINARY = [f"$TICK{i} closes at {i * 7}.{i} " + "on a quiet day of trading " * (i % 6) for i in range(16)]
TEXTS = [*NAMED, *WEIRD, *ORDINARY]
MENTIONS = [NAMED.get(text, ("TICK1", "absent") if "TICK1 " in text else ()) for text in TEXTS]
PARENTS = ["Tesla misses its target again" if place % 3 == 0 else "" for place in range(len(TEXTS))]
TOLERANCES = {"onnx-int8": 1e-3, "onnx-fp32": 1e-5}
HIDDEN = 384
MAX_TOKENS = 128


def write_model(folder: Path, *, hidden: int = HIDDEN, seed: int = 8, differs: float = 0.004) -> Path:
    """Write a model for the default encoder with heads as large as learnt ones, and with a last layer changed."""
    draw = np.random.default_rng(seed)

    def drawn(size: float, *shape: int) -> NDArray[np.float32]:
        return draw.normal(0, size, shape).astype(np.float32)

    heads = {
        name: Head(drawn(0.3, len(labels), 2 * hidden if name == ENTITY else hidden), drawn(0.3, len(labels)))
        for name, labels in HEADS.items()
    }
    learnt = {
        "encoder.layer.11.attention.self.value.weight": drawn(differs, HIDDEN, HIDDEN),
        "encoder.layer.11.output.dense.bias": drawn(differs, HIDDEN),
    }
    save_trained(folder, heads, learnt, EncoderId(DEFAULT_BASE, PACKAGE_FILE_SHA256), {}, {})
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("trained"))


def load(weights: Path, cache: Path, runtime: RuntimeName) -> Scorer:
    return Scorer.load(ModelConfig(weights=weights, runtime=runtime, threads=2, max_tokens=MAX_TOKENS), cache)


@pytest.fixture(scope="module", params=sorted(TOLERANCES))
def scorer(request: pytest.FixtureRequest, weights: Path, cache: Path) -> Scorer:
    return load(weights, cache, request.param)


def tolerance(scorer: Scorer) -> float:
    return TOLERANCES[f"onnx-{scorer.version.rsplit('-', 1)[1]}"]


def of_entities(scores: Scores) -> NDArray[np.float32]:
    """Return the probabilities of all mentions in order, `(mentions, 3)`."""
    return np.array([vector for row in scores.entities for vector in row], np.float32).reshape(-1, 3)


def distance(one: Scores, other: Scores) -> float:
    """Return how far the probabilities of texts and of mentions are apart at most."""
    texts = max(np.abs(one.probabilities(task) - other.probabilities(task)).max() for task in TASKS)
    return max(float(texts), float(np.abs(of_entities(one) - of_entities(other)).max()))


def alone(scorer: Scorer) -> Scores:
    """Score each text in a call of its own."""
    rows = zip(TEXTS, MENTIONS, PARENTS, strict=True)
    parts = [scorer.predict([text], [named], [parent]) for text, named, parent in rows]
    together = {task: np.concatenate([part.probabilities(task) for part in parts]) for task in TASKS}
    return Scores(
        **together,
        entities=[row for part in parts for row in part.entities],
        model_version=scorer.version,
        stats=parts[0].stats,
    )


@pytest.fixture(scope="module")
def together(scorer: Scorer) -> Scores:
    return scorer.predict(TEXTS, MENTIONS, PARENTS)


@pytest.fixture(scope="module")
def apart(scorer: Scorer) -> Scores:
    return alone(scorer)


def test_the_heads_are_large_enough_to_tell_texts_apart(apart: Scores) -> None:
    assert all(apart.probabilities(task).std(axis=0).max() > 0.05 for task in TASKS)
    assert of_entities(apart).std(axis=0).max() > 0.1


def test_a_prediction_does_not_depend_on_its_neighbours(scorer: Scorer, together: Scores, apart: Scores) -> None:
    assert distance(together, apart) <= tolerance(scorer)
    for task in TASKS:
        assert np.array_equal(together.probabilities(task).argmax(1), apart.probabilities(task).argmax(1))


def test_a_prediction_does_not_depend_on_the_order(scorer: Scorer, apart: Scores) -> None:
    order = random.Random(2).sample(range(len(TEXTS)), len(TEXTS))
    shuffled = scorer.predict(*([column[place] for place in order] for column in (TEXTS, MENTIONS, PARENTS)))
    for task in TASKS:
        found, wanted = shuffled.probabilities(task), apart.probabilities(task)[order]
        assert np.abs(found - wanted).max() <= tolerance(scorer)
    for row, place in enumerate(order):
        for one, other in zip(shuffled.entities[row], apart.entities[place], strict=True):
            assert np.abs(one - other).max() <= tolerance(scorer)


def test_a_prediction_does_not_depend_on_who_else_is_there(scorer: Scorer, apart: Scores) -> None:
    for part in (range(0, len(TEXTS), 3), range(1, len(TEXTS), 5), range(len(TEXTS) - 1, -1, -7)):
        some = scorer.predict(*([column[place] for place in part] for column in (TEXTS, MENTIONS, PARENTS)))
        for task in TASKS:
            assert np.abs(some.probabilities(task) - apart.probabilities(task)[list(part)]).max() <= tolerance(scorer)


def test_a_prediction_does_not_depend_on_the_size_of_micro_batches(weights: Path, cache: Path) -> None:
    small, large = (
        Scorer.load(ModelConfig(weights=weights, runtime="onnx-int8", micro_batch_tokens=size), cache)
        for size in (512, 8_192)
    )
    texts, mentions = TEXTS[-20:], MENTIONS[-20:]
    assert distance(small.predict(texts, mentions), large.predict(texts, mentions)) <= TOLERANCES["onnx-int8"]


def test_a_text_is_the_same_with_and_without_mentions(scorer: Scorer, together: Scores) -> None:
    without = scorer.predict(TEXTS, parents=PARENTS)
    assert without.entities == [[] for _ in TEXTS]
    for task in TASKS:
        assert np.abs(without.probabilities(task) - together.probabilities(task)).max() <= tolerance(scorer)


def test_a_mention_is_the_same_beside_others_and_alone(scorer: Scorer) -> None:
    text, (apple, tesla) = next(iter(NAMED.items()))
    both = scorer.predict([text], [(apple, tesla)]).entities[0]
    each = [scorer.predict([text], [(name,)]).entities[0][0] for name in (apple, tesla)]
    turned = scorer.predict([text], [(tesla, apple)]).entities[0][::-1]
    assert np.abs(np.array(both) - np.array(each)).max() <= tolerance(scorer)
    assert np.abs(np.array(both) - np.array(turned)).max() <= tolerance(scorer)
    assert np.abs(both[0] - both[1]).max() > 10 * tolerance(scorer)


def test_a_mention_that_the_text_does_not_hold_has_the_texts_sentiment(scorer: Scorer) -> None:
    scores = scorer.predict(["Apple falls", "Apple falls"], [("Tesla", ""), ("Apple",)])
    for vector in scores.entities[0]:
        assert np.array_equal(vector, scores.sentiment[0])
    assert not np.array_equal(scores.entities[1][0], scores.sentiment[1])


def test_a_reply_is_another_text_under_another_post(scorer: Scorer) -> None:
    parents = ["Tesla misses its target again", "Tesla beats its target again", None, ""]
    found = scorer.predict(["Told you so"] * 4, parents=parents).sentiment
    plain = scorer.predict(["Told you so"]).sentiment[0]
    assert np.abs(found[0] - found[1]).max() > 10 * tolerance(scorer)
    assert np.abs(found[0] - plain).max() > 10 * tolerance(scorer)
    assert np.array_equal(found[2], found[3])
    assert np.abs(found[2] - plain).max() <= tolerance(scorer)


def test_vectors_are_what_the_heads_see(scorer: Scorer, weights: Path) -> None:
    texts, parents = ["Told you so", "Apple falls", "Told you so"], [None, None, "Tesla beats its target again"]
    vectors = scorer.vectors(texts, parents)
    assert vectors.dtype == np.float32
    topics = load_trained(weights).heads["topic"].probabilities(vectors)
    assert np.array_equal(topics, scorer.predict(texts, parents=parents).topic)
    assert not np.allclose(vectors[0], vectors[2])


def test_of_what_is_answered_only_the_first_tokens_are_read(weights: Path, cache: Path) -> None:
    config = ModelConfig(weights=weights, runtime="onnx-fp32", threads=2, context_tokens=8)
    scorer = Scorer.load(config, cache)
    ends = ["profit " * 20 + end for end in ("falls", "rises")]
    one, other = scorer.predict(["Told you so"] * 2, parents=ends).sentiment
    assert np.abs(one - other).max() <= TOLERANCES["onnx-fp32"]


def test_replies_can_be_read_alone(weights: Path, cache: Path) -> None:
    config = ModelConfig(weights=weights, runtime="onnx-fp32", threads=2, context_tokens=0)
    reply, plain = Scorer.load(config, cache).predict(["Told you so"] * 2, parents=["Tesla falls", None]).sentiment
    assert np.array_equal(reply, plain)


def test_torch_and_onnx_in_fp32_agree(weights: Path, cache: Path) -> None:
    onnx, torch = (load(weights, cache, name).predict(TEXTS, MENTIONS, PARENTS) for name in ("onnx-fp32", "torch"))
    assert distance(onnx, torch) < (1e-4 if torch.model_version.endswith("fp32") else 0.1)


def test_int8_rarely_disagrees_with_fp32(weights: Path, cache: Path) -> None:
    few, named = [*NAMED, *ORDINARY], [*NAMED.values(), *[()] * len(ORDINARY)]
    int8, fp32 = (load(weights, cache, name).predict(few, named) for name in ("onnx-int8", "onnx-fp32"))
    assert np.abs(int8.sentiment - fp32.sentiment).mean() < 0.05
    assert np.abs(of_entities(int8) - of_entities(fp32)).mean() < 0.05


def test_columns_are_those_of_a_scored_micro_batch(scorer: Scorer) -> None:
    columns = scorer.predict(pa.array(TEXTS[:4]), pa.array(MENTIONS[:4], pa.list_(pa.string()))).columns()
    entity_probs = columns.pop("entity_probs")
    assert list(columns) == SCORED_SCHEMA.names[SCORED_SCHEMA.names.index("sentiment") :][:7]
    for name, column in columns.items():
        assert column.type == SCORED_SCHEMA.field(name).type
        assert len(column) == 4
    assert len(columns["topic_probs"][3]) == len(TASKS["topic"])
    assert entity_probs.type == pa.list_(ENTITY_TYPE.field("sentiment_probs").type)
    assert [len(row) for row in entity_probs.to_pylist()] == [len(named) for named in MENTIONS[:4]]
    assert {len(vector) for row in entity_probs.to_pylist() for vector in row} == {3}


@pytest.mark.parametrize("mentions", [(), [()]], ids=["not asked for", "none in it"])
def test_without_mentions_the_column_holds_empty_lists(scorer: Scorer, mentions: Sequence[Sequence[str]]) -> None:
    column = scorer.predict(["Apple falls"], mentions).columns()["entity_probs"]
    assert column.to_pylist() == [[]]
    assert column.type == pa.list_(ENTITY_TYPE.field("sentiment_probs").type)


def test_no_texts_give_no_rows(scorer: Scorer) -> None:
    scores = scorer.predict([])
    assert len(scores) == 0
    assert {len(column) for column in scores.columns().values()} == {0}
    assert scores.columns()["sentiment_probs"].type == SCORED_SCHEMA.field("sentiment_probs").type


def test_every_text_needs_its_list_of_mentions(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="zip"):
        scorer.predict(["up", "down"], [("up",)])


def test_equal_texts_are_scored_once(scorer: Scorer) -> None:
    scores = scorer.predict(["up", "down", "up", "up"])
    assert (scores.stats.texts, scores.stats.distinct_texts) == (4, 2)
    assert np.array_equal(scores.sentiment[0], scores.sentiment[3])


def test_where_a_link_leads_and_who_is_addressed_changes_nothing(scorer: Scorer) -> None:
    one, other = scorer.predict(
        ["@jane AT&amp;T up https://t.co/a", "@bob AT&T up https://t.co/b"], [["AT&T"]] * 2
    ).entities
    assert np.array_equal(one, other)


def test_probabilities_are_probabilities(together: Scores) -> None:
    for found in (*(together.probabilities(task) for task in TASKS), of_entities(together)):
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


def test_the_version_names_the_precision(scorer: Scorer) -> None:
    name, digest, precision = scorer.version.split("-")
    assert (name, len(digest)) == ("e5s", 8)
    assert precision in {"int8", "fp32"}


def test_another_training_is_another_version(weights: Path, cache: Path, tmp_path: Path) -> None:
    other = load(write_model(tmp_path, seed=9), cache, "onnx-int8")
    longer = Scorer.load(ModelConfig(weights=weights, runtime="onnx-int8", max_tokens=256), cache)
    assert len({load(weights, cache, "onnx-int8").version, other.version, longer.version}) == 3


def test_the_shipped_model_is_what_is_loaded_by_default(cache: Path) -> None:
    scorer = Scorer.load(ModelConfig(runtime="onnx-int8", threads=2), cache)
    scores = scorer.predict(["Apple falls"], [["Apple"]])
    assert scorer.version.startswith("e5s-")
    assert scores.entities[0][0].shape == (3,)


def test_a_model_of_another_encoder_is_refused(tmp_path: Path, weights: Path, cache: Path) -> None:
    shutil.copytree(weights, tmp_path, dirs_exist_ok=True)
    manifest = (weights / MANIFEST_FILE).read_text().replace(PACKAGE_FILE_SHA256, "f" * 64)
    (tmp_path / MANIFEST_FILE).write_text(manifest)
    with pytest.raises(ModelError, match=r"was trained on .*\(f{12}\), and model\.base is multilingual-e5-small"):
        Scorer.load(ModelConfig(weights=tmp_path, runtime="onnx-int8"), cache)


def test_heads_of_another_width_are_refused(tmp_path: Path, cache: Path) -> None:
    folder = write_model(tmp_path, hidden=8)
    with pytest.raises(ModelError, match="head sentiment takes vectors of 8, the encoder gives 384"):
        Scorer.load(ModelConfig(weights=folder, runtime="onnx-int8"), cache)
