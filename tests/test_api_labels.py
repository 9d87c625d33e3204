"""Labels over the API: given by one click, on the stream at once, asked for by what they teach."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pytest

from streamwatch.codec import SCORED_SCHEMA
from streamwatch.config import Config, DeskConfig, KafkaConfig
from streamwatch.desk.access import Role
from streamwatch.desk.desk import Desk
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import start_local_broker
from streamwatch.ingest.connection import connect
from streamwatch.ingest.source import StreamReader
from streamwatch.records import INTENTS, TOPICS, Label
from streamwatch.store.tables import Tables, transaction_id
from tests.scored_rows import Row, scored
from tests.stored_desk import client_of, desk_over

pytestmark = pytest.mark.integration


def store_scored(state_dir: Path, posts: int = 12) -> None:
    """Store posts with all their probabilities, which the queue goes by."""
    rows = scored([Row(minute, p_negative=0.5 + minute / 100) for minute in range(posts)]).to_pylist()
    for row in rows:
        row["topic_probs"] = [1 / len(TOPICS)] * len(TOPICS)
        row["intent_probs"] = [1 / len(INTENTS)] * len(INTENTS)
    table = pa.Table.from_pylist(rows, schema=SCORED_SCHEMA)
    Tables(str(state_dir / "tables")).append("posts", table, {transaction_id("posts", 0): posts - 1})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("labels")
    store_scored(folder)
    with start_local_broker(folder / "broker", None) as broker:
        kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers)
        config = Config(state_dir=folder, kafka=kafka, desk=DeskConfig(agreeing=2))
        connection = connect(config)
        ensure_streams(connection)
        found = Desk(config, connection)
        found.refresh()
        yield found
        found.close()


def ask(desk: Desk, method: str, path: str, role: Role = "labeller", **more: Any) -> httpx.Response:
    async def answer() -> httpx.Response:
        async with client_of(desk, role) as client:
            return await client.request(method, path, **more)

    return asyncio.run(answer())


def some_posts(desk: Desk, count: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = ask(desk, "GET", "/v1/posts", params={"limit": count}).json()["posts"]
    return found


def on_stream(desk: Desk) -> list[Label]:
    connection = connect(desk.config)
    with StreamReader(connection, ["streamwatch.labels"], "test-labels") as reader:
        reader.seek({})
        found: list[Label] = []
        while any(reader.positions()[place] < end for place, end in reader.end_offsets().items()):
            for messages in reader.poll(1.0, 100).values():
                found += [msgspec.json.decode(message.value, type=Label) for message in messages]
    return found


def test_a_label_is_on_the_stream_with_who_when_and_from_where(desk: Desk) -> None:
    (post,) = some_posts(desk, 1)
    said = {"post_id": post["id"], "task": "sentiment", "gold_label": "positive"}
    before = len(on_stream(desk))
    assert ask(desk, "POST", "/v1/labels", json={"labels": [said]}).json() == {"accepted": 1}
    label = on_stream(desk)[before]
    assert (label.post_id, label.task, label.gold_label) == (post["id"], "sentiment", "positive")
    assert (label.labeller, label.origin) == ("a labeller", "dashboard")
    (told,) = ask(desk, "GET", "/v1/labels", params={"post_id": post["id"]}).json()["labels"]
    assert (told["gold_label"], told["labeller"], told["entity"]) == ("positive", "a labeller", None)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"gold_label": "great"}, 422, "labels.0: sentiment 'great'"),
        ({"task": "topic", "gold_label": "gossip"}, 422, "labels.0: topic 'gossip'"),
        ({"task": "entity"}, 422, "labels.0: task entity without `entity`"),
        ({"post_id": "nobody-knows"}, 404, "'nobody-knows'"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_sent(
    desk: Desk, changes: Mapping[str, str], status: int, reason: str
) -> None:
    (post,) = some_posts(desk, 1)
    good = {"post_id": post["id"], "task": "sentiment", "gold_label": "negative"}
    before = len(on_stream(desk))
    answer = ask(desk, "POST", "/v1/labels", json={"labels": [good | dict(changes), good]})
    assert answer.status_code == status
    assert reason in answer.json()["detail"]
    assert len(on_stream(desk)) == before


def test_viewers_label_nothing_and_are_asked_nothing(desk: Desk) -> None:
    said = {"post_id": "p", "task": "sentiment", "gold_label": "positive"}
    assert ask(desk, "POST", "/v1/labels", "viewer", json={"labels": [said]}).status_code == 403
    assert ask(desk, "GET", "/v1/labels/queue", "viewer").status_code == 403


def test_what_one_answered_is_not_asked_again_and_a_second_person_is_asked(desk: Desk) -> None:
    first = ask(desk, "GET", "/v1/labels/queue", params={"limit": 1}).json()["questions"][0]
    assert first["reasons"]
    assert first["post"]["text"]
    said = {name: first[name] for name in ("task", "entity")} | {"post_id": first["post"]["id"]}
    kind = "sentiment" if first["task"] == "entity" else first["task"]
    gold = next(iter(first["post"][f"{kind}_probs"]))
    assert ask(desk, "POST", "/v1/labels", json={"labels": [said | {"gold_label": gold}]}).status_code == 202

    def asked(role: Role) -> list[tuple[str, str, str | None]]:
        found = ask(desk, "GET", "/v1/labels/queue", role, params={"limit": 100}).json()["questions"]
        return [(one["post"]["id"], one["task"], one["entity"]) for one in found]

    item = (said["post_id"], first["task"], first["entity"])
    assert item not in asked("labeller")
    assert item in asked("operator")  # two must agree


def test_people_who_differ_are_listed(desk: Desk) -> None:
    post = some_posts(desk, 3)[2]
    said = {"post_id": post["id"], "task": "intent"}
    ask(desk, "POST", "/v1/labels", json={"labels": [said | {"gold_label": "inform"}]})
    ask(desk, "POST", "/v1/labels", "operator", json={"labels": [said | {"gold_label": "question"}]})
    found = ask(desk, "GET", "/v1/labels/conflicts").json()["conflicts"]
    (conflict,) = [one for one in found if one["post_id"] == post["id"] and one["task"] == "intent"]
    assert conflict["said"] == ["a labeller: inform", "a operator: question"]


def test_annotations_of_label_studio_arrive(desk: Desk) -> None:
    (post,) = some_posts(desk, 1)
    result = {"from_name": "topic", "type": "choices", "value": {"choices": ["earnings"]}}
    annotation = {"result": [result], "completed_by": {"id": 1, "email": "bo@desk.example"}}
    hook = {"action": "ANNOTATION_CREATED", "task": {"data": {"post_id": post["id"]}}, "annotation": annotation}
    assert ask(desk, "POST", "/v1/labels/label-studio", json=hook).json() == {"accepted": 1}
    label = on_stream(desk)[-1]
    assert (label.gold_label, label.labeller, label.origin) == ("earnings", "bo@desk.example", "label-studio")
    assert ask(desk, "POST", "/v1/labels/label-studio", json={"action": "PROJECT_UPDATED"}).json() == {"accepted": 0}
    assert ask(desk, "POST", "/v1/labels/label-studio", json={"no": "hook"}).status_code == 422


def test_without_kafka_labels_are_read_and_none_are_taken(tmp_path: Path) -> None:
    store_scored(tmp_path)
    desk = desk_over(tmp_path)
    (post,) = some_posts(desk, 1)
    said = {"post_id": post["id"], "task": "sentiment", "gold_label": "positive"}
    assert ask(desk, "POST", "/v1/labels", json={"labels": [said]}).status_code == 503
    assert ask(desk, "GET", "/v1/labels", params={"post_id": post["id"]}).json() == {"labels": []}
    assert ask(desk, "GET", "/v1/labels/queue").json()["questions"]
    desk.close()
