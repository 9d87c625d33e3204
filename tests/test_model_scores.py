import numpy as np
import polars as pl
from numpy.typing import NDArray

from streamwatch.model.scores import Scores, ScoreStats
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS


def shares(rows: int, classes: int) -> NDArray[np.float32]:
    return np.random.default_rng(6).dirichlet(np.ones(classes), rows).astype(np.float32)


def scores(entities: list[list[NDArray[np.float32]]]) -> Scores:
    rows = len(entities)
    return Scores(
        shares(rows, len(SENTIMENTS)),
        shares(rows, len(TOPICS)),
        shares(rows, len(INTENTS)),
        entities,
        "e5s-0-int8",
        ScoreStats(),
    )


def test_a_frame_holds_labels_and_probabilities_in_the_order_of_the_texts() -> None:
    found = scores([[], [], []])
    frame = found.frame()
    for task, labels in (("sentiment", SENTIMENTS), ("topic", TOPICS), ("intent", INTENTS)):
        probabilities = found.probabilities(task)
        assert frame[task].to_list() == [labels[place] for place in probabilities.argmax(axis=1)]
        assert np.array_equal(np.array(frame[f"{task}_probs"].to_list(), np.float32), probabilities)
    assert frame["model_version"].unique().to_list() == ["e5s-0-int8"]
    assert frame["entities"].to_list() == [[], [], []]


def test_a_frame_holds_what_is_said_of_each_mention() -> None:
    first, second = np.array([0.5, 0.25, 0.25], np.float32), np.array([0.25, 0.25, 0.5], np.float32)
    frame = scores([[first, second], [], [second]]).frame()
    assert frame["entities"].to_list() == [
        [
            {"sentiment": "negative", "sentiment_probs": [0.5, 0.25, 0.25]},
            {"sentiment": "positive", "sentiment_probs": [0.25, 0.25, 0.5]},
        ],
        [],
        [{"sentiment": "positive", "sentiment_probs": [0.25, 0.25, 0.5]}],
    ]


def test_a_frame_of_no_texts_has_the_same_columns() -> None:
    empty, one = scores([]).frame(), scores([[]]).frame()
    assert empty.height == 0
    assert empty.schema == one.schema
    assert one.schema["sentiment_probs"] == pl.List(pl.Float32)
