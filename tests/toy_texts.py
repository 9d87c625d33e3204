"""Texts of a few words that say outright what they are: a small encoder learns them in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from streamwatch.records import INTENTS, SENTIMENTS, TOPICS

VERDICTS = ("bad", "flat", "good")
NAMES = ("alpha", "beta", "gamma")
FILLERS = ("the", "of", "and", "today")
TOY_TOPICS = TOPICS[:8]
TOY_WORDS = (*TOY_TOPICS, *INTENTS, *VERDICTS, *NAMES, *FILLERS)


def text_rows(rows: int, seed: int) -> list[dict[str, Any]]:
    """Return texts that name their sentiment, topic and intent by a word each, in any order."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        topic, intent, sentiment = (int(draw.integers(len(names))) for names in (TOY_TOPICS, INTENTS, SENTIMENTS))
        words = [TOY_TOPICS[topic], INTENTS[intent], VERDICTS[sentiment], *draw.choice(FILLERS, 2).tolist()]
        labels = {"sentiment": SENTIMENTS[sentiment], "topic": TOY_TOPICS[topic], "intent": INTENTS[intent]}
        found.append({"text": " ".join(draw.permutation(words).tolist()), **labels, "lang": "en", "set": "texts"})
    return found


def entity_rows(rows: int, seed: int) -> list[dict[str, Any]]:
    """Return texts that name two entities, each before its verdict: `the beta good of alpha bad`."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        names = draw.permutation(NAMES)[:2].tolist()
        verdicts = draw.integers(len(SENTIMENTS), size=2).tolist()
        between = draw.choice(FILLERS, 3).tolist()
        parts = [f"{name} {VERDICTS[verdict]}" for name, verdict in zip(names, verdicts, strict=True)]
        text = " ".join([*between[: draw.integers(3)], parts[0], between[2], parts[1]])
        entities = {name: SENTIMENTS[verdict] for name, verdict in zip(names, verdicts, strict=True)}
        found.append({"text": text, "entities": entities, "lang": "en", "set": "entities"})
    return found


def write_rows(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
