"""Scores on demand, through a stand-in for the scorer's replicas."""

from __future__ import annotations

import asyncio

import pyarrow as pa

from streamwatch.codec import PROBS
from streamwatch.desk.on_demand import AskedText, OnDemand
from streamwatch.records import INTENTS, TOPICS


class Scorer:
    """Answers as a replica does: everything is negative."""

    def __init__(self) -> None:
        self.asked: list[pa.RecordBatch] = []

    async def __call__(self, asked: pa.RecordBatch) -> pa.RecordBatch:
        self.asked.append(asked)
        rows = asked.num_rows
        entities = [[[0.2, 0.1, 0.7] for _ in mentions] for mentions in asked.column("mentions").to_pylist()]
        labels = {"sentiment": "negative", "topic": TOPICS[0], "intent": INTENTS[0], "model_version": "m1"}
        columns: dict[str, pa.Array] = {name: pa.array([label] * rows) for name, label in labels.items()}
        columns["sentiment_probs"] = pa.array([[0.75, 0.25, 0.0]] * rows, PROBS)
        columns["topic_probs"] = pa.array([[1.0] + [0.0] * (len(TOPICS) - 1)] * rows, PROBS)
        columns["intent_probs"] = pa.array([[1.0] + [0.0] * (len(INTENTS) - 1)] * rows, PROBS)
        columns["entity_probs"] = pa.array(entities, pa.list_(PROBS))
        return pa.record_batch(columns)


def test_texts_are_masked_scored_and_shown_by_label() -> None:
    scorer = Scorer()
    texts = [AskedText("$AAPL falls, mail bob@example.com"), AskedText("no company", "what it answers")]
    first, second = asyncio.run(OnDemand(scorer).scores(texts))
    assert "bob@example.com" not in first["text"]
    assert scorer.asked[0].column("text")[0].as_py() == first["text"]
    assert scorer.asked[0].column("parent").to_pylist() == [None, "what it answers"]
    (entity,) = first["entities"]
    assert (entity["ticker"], entity["sentiment"]) == ("AAPL", "positive")
    assert first["sentiment_probs"] == {"negative": 0.75, "neutral": 0.25, "positive": 0.0}
    assert (second["entities"], second["topic"], second["model_version"]) == ([], TOPICS[0], "m1")
