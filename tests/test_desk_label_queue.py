from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from streamwatch.codec import SCORED_SCHEMA
from streamwatch.desk.label_queue import next_questions
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS
from streamwatch.store.rows import rows_table

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SURE = [0.98, 0.01, 0.01]


def spread(names: tuple[str, ...], *first: float) -> list[float]:
    """Return probabilities of which the first are given."""
    rest = (1.0 - sum(first)) / (len(names) - len(first))
    return [*first, *[rest] * (len(names) - len(first))]


def post(name: str, sentiment: list[float] = SURE, **more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return {
        "id": name,
        "source": "wire",
        "lang": "en",
        "published_at": NOON,
        "text": name,
        "appended_at": NOON,
        "source_partition": 0,
        "source_offset": 0,
        "entities": [],
        "novelty": int(rng.integers(-(2**63), 2**63 - 1)),
        "sentiment": SENTIMENTS[int(np.argmax(sentiment))],
        "topic": "earnings",
        "intent": "inform",
        "sentiment_probs": sentiment,
        "topic_probs": spread(TOPICS, 0.95),
        "intent_probs": spread(INTENTS, 0.95),
    } | more


def entity(ticker: str, probs: list[float]) -> dict[str, Any]:
    return {"name": ticker, "ticker": ticker, "sentiment": SENTIMENTS[int(np.argmax(probs))], "sentiment_probs": probs}


def table(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(pa.Table.from_pylist(list(rows), schema=SCORED_SCHEMA)))


def labels(*rows: tuple[str, str, str], task: str = "sentiment") -> pl.DataFrame:
    made = [
        {
            "post_id": post_id,
            "task": task,
            "gold_label": said,
            "labeller": who,
            "labelled_at": NOON + timedelta(minutes=number),
            "origin": "dashboard",
            "version": number,
            "entity": None,
        }
        for number, (post_id, who, said) in enumerate(rows)
    ]
    return pl.DataFrame(pl.from_arrow(rows_table("labels", made)))


UNSURE = [0.45, 0.40, 0.15]


def test_the_model_is_asked_about_what_it_is_least_sure_of() -> None:
    posts = table(post("sure"), post("unsure", [0.4, 0.39, 0.21]), post("half", [0.7, 0.2, 0.1]))
    picks = next_questions(posts, labels(), 3)
    assert [pick.post_id for pick in picks] == ["unsure", "half", "sure"]
    assert (picks[0].task, picks[0].reasons[0].kind) == ("sentiment", "unsure")
    assert picks[0].reasons[0].text == "sentiment: negative (40%) or neutral (39%)"
    assert picks[0].worth > picks[1].worth > picks[2].worth


def test_the_task_that_is_least_sure_is_asked() -> None:
    (pick,) = next_questions(table(post("p", topic_probs=spread(TOPICS, 0.5, 0.49))), labels(), 5)
    assert (pick.task, pick.entity) == ("topic", None)


def test_an_entitys_verdict_against_the_texts_is_asked_about() -> None:
    apart = post("apart", SURE, entities=[entity("AAPL", SURE), entity("TSLA", [0.02, 0.03, 0.95])])
    alike = post("alike", SURE, entities=[entity("AAPL", SURE)])
    first, _ = next_questions(table(alike, apart), labels(), 2)
    assert (first.post_id, first.task, first.entity) == ("apart", "entity", "TSLA")
    assert first.reasons[0].kind == "disagreement"
    assert first.reasons[0].text == "positive about TSLA, the text as a whole is negative"


def test_what_enough_people_labelled_is_not_asked_again() -> None:
    posts = table(post("done", UNSURE), post("other", [0.6, 0.3, 0.1]))
    known = labels(("done", "ann", "negative"))
    assert "sentiment" not in {pick.task for pick in next_questions(posts, known, 5) if pick.post_id == "done"}
    two = next_questions(posts, known, 5, agreeing={"sentiment": 2})
    assert (two[0].post_id, two[0].task) == ("done", "sentiment")
    assert ("second", "another label wanted: ann: negative") in two[0].reasons


def test_nobody_is_asked_what_they_said_before() -> None:
    known = labels(("p", "ann", "negative"))
    of_ann = next_questions(table(post("p", UNSURE)), known, 5, agreeing={"sentiment": 2}, labeller="ann")
    of_bob = next_questions(table(post("p", UNSURE)), known, 5, agreeing={"sentiment": 2}, labeller="bob")
    assert [pick.task for pick in of_ann] != ["sentiment"]
    assert [pick.task for pick in of_bob] == ["sentiment"]


def test_a_conflict_comes_first() -> None:
    posts = table(post("calm", UNSURE), post("disputed", [0.6, 0.3, 0.1]))
    known = labels(("disputed", "ann", "negative"), ("disputed", "bob", "neutral"))
    first = next_questions(posts, known, 1)[0]
    assert (first.post_id, first.reasons[0].text) == ("disputed", "labellers differ: ann: negative, bob: neutral")


def test_of_near_copies_one_is_asked_and_none_of_what_is_labelled() -> None:
    posts = table(
        post("first", UNSURE, novelty=0b1111),
        post("copy", UNSURE, novelty=0b1110),
        post("known copy", UNSURE, novelty=-1),
        post("known", UNSURE, novelty=-2),
        post("other", UNSURE, novelty=0x0F0F0F0F0F0F0F0F),
    )
    picks = next_questions(posts, labels(("known", "ann", "negative")), 9)
    asked = [pick.post_id for pick in picks if pick.task == "sentiment"]
    assert sorted(asked) in (["copy", "other"], ["first", "other"])


def test_a_label_that_holds_for_many_copies_is_worth_more() -> None:
    copies = [post(f"copy{number}", UNSURE, novelty=7) for number in range(64)]
    picks = next_questions(table(post("alone", UNSURE), *copies), labels(), 2)
    assert [pick.post_id.startswith("copy") for pick in picks] == [True, False]
    assert picks[0].reasons[1].text == "its label holds for 64 posts that say the same"


def test_questions_are_spread_over_languages_sources_and_topics() -> None:
    many = [post(f"en{number}", [0.45, 0.44, 0.11]) for number in range(30)]
    few = [post(f"zh{number}", [0.55, 0.38, 0.07], lang="zh", source="weibo", topic="markets") for number in range(30)]
    picks = next_questions(table(*many, *few), labels(), 10)
    assert 3 <= sum(pick.post_id.startswith("zh") for pick in picks) <= 6
    assert len({pick.post_id for pick in picks}) == 10


def test_drift_counts_where_it_is_known() -> None:
    posts = table(post("calm", [0.6, 0.3, 0.1]), post("moved", [0.6, 0.3, 0.1]))
    drifting = posts.with_columns(pl.Series("drift", [0.0, 0.9]))
    first = next_questions(drifting, labels(), 1)[0]
    assert first.post_id == "moved"
    assert "drift" in {reason.kind for reason in first.reasons}


def test_the_same_rows_give_the_same_questions_in_any_order() -> None:
    rng = np.random.default_rng(3)
    rows = [
        post(f"p{number}", rng.dirichlet([1, 1, 1]).tolist(), lang="en" if number % 3 else "zh") for number in range(80)
    ]
    posts = table(*rows)
    picks = next_questions(posts, labels(), 20)
    assert picks == next_questions(posts.sample(fraction=1.0, shuffle=True, seed=1), labels(), 20)
    assert len(picks) == 20


@pytest.mark.parametrize("rows", [[], [post("p", sentiment_probs=None)], [post("p", sentiment_probs=[0.5, 0.5])]])
def test_posts_without_scores_give_no_questions(rows: list[dict[str, Any]]) -> None:
    assert next_questions(table(*rows), labels(), 3) == []


def test_a_post_without_hash_or_entities_is_asked_too() -> None:
    posts = table(post("a", UNSURE, novelty=None, entities=None), post("b", UNSURE, novelty=None))
    assert {pick.post_id for pick in next_questions(posts, labels(), 5)} == {"a", "b"}
