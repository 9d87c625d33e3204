from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.desk.label_files import FileFormat, FileLabel, LabelReader, format_of
from streamwatch.desk.label_studio import read_webhook
from streamwatch.errors import BadRecord
from streamwatch.jsonl import BadLine
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS, Label

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def read(text: str | bytes, form: FileFormat, *, new_labels: bool = False) -> list[FileLabel | BadLine]:
    reader = LabelReader(labeller="ann", labelled_at=NOON, origin="labels.csv", new_labels=new_labels)
    return list(reader.read(io.BytesIO(text.encode() if isinstance(text, str) else text), form))


def short(found: list[FileLabel | BadLine]) -> list[Any]:
    return [
        (one.number, one.label.post_id, one.label.task, one.label.gold_label, one.label.entity)
        if isinstance(one, FileLabel)
        else (one.number, one.reason)
        for one in found
    ]


def test_a_csv_has_a_column_a_task_or_names_the_task() -> None:
    wide = "post_id,sentiment,topic,text\np1,negative,,any\np2,positive,earnings,any\n"
    assert short(read(wide, "csv")) == [
        (2, "p1", "sentiment", "negative", None),
        (3, "p2", "sentiment", "positive", None),
        (3, "p2", "topic", "earnings", None),
    ]
    long = "post_id;task;gold_label;entity;labeller;labelled_at\np1;entity;negative;AAPL;bob;2026-01-04T10:00:00Z\n"
    (found,) = read(long, "csv")
    assert isinstance(found, FileLabel)
    assert found.label == Label(
        post_id="p1",
        task="entity",
        gold_label="negative",
        entity="AAPL",
        labeller="bob",
        labelled_at=datetime(2026, 1, 4, 10, tzinfo=UTC),
        origin="labels.csv",
    )


def test_who_and_when_are_the_files_where_a_line_does_not_say() -> None:
    (found,) = read('{"post_id": "p", "intent": "question", "labeller": null}\n', "jsonl")
    assert isinstance(found, FileLabel)
    assert (found.label.labeller, found.label.labelled_at, found.label.origin) == ("ann", NOON, "labels.csv")


def test_bad_lines_are_told_with_their_places_and_the_others_go_on() -> None:
    text = (
        b'\xef\xbb\xbfpost_id,sentiment\np1,negative\n\np2,awful\n,positive\np3\np4,"neu\ntral"\np5,\xff\np6,\n'
        b"p7,positive\n"
    )
    assert short(read(text, "csv")) == [
        (2, "p1", "sentiment", "negative", None),
        (4, "sentiment 'awful': expected negative, neutral, positive"),
        (5, "Object missing required field `post_id`"),
        (6, "found 1 cells, expected 2 as in the first line"),
        (7, "sentiment 'neu\\ntral': expected negative, neutral, positive"),
        (9, "invalid UTF-8: save the file as UTF-8"),
        (10, "no label: found neither `task` and `gold_label` nor any of sentiment, topic, intent, entities"),
        (11, "p7", "sentiment", "positive", None),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"post_id": "p"}', "no label"),
        ('{"post_id": 7, "sentiment": "negative"}', "Expected `str`, got `int`"),
        ('{"post_id": "p", "entities": ["AAPL"]}', "`entities`: found"),
        ('{"post_id": "p", "task": "mood", "gold_label": "low"}', "Invalid enum value 'mood'"),
        ('{"post_id": "p", "topic": "strikes"}', "topic 'strikes': expected analyst_update"),
        ('{"post_id": "p", "task": "entity", "gold_label": "negative"}', "task entity without `entity`"),
        ('{"post_id": "p", "sentiment": "negative", "labelled_at": "soon"}', "Invalid RFC3339 encoded datetime"),
    ],
)
def test_a_bad_line_of_json_says_what_is_wrong(line: str, reason: str) -> None:
    first, last = read(f'{line}\n{{"post_id": "p", "sentiment": "negative"}}\n', "jsonl")
    assert isinstance(first, BadLine)
    assert (first.number, reason in first.reason) == (1, True), first.reason
    assert isinstance(last, FileLabel)


def test_entities_of_a_json_line_are_labels_of_their_own() -> None:
    line = '{"post_id": "p", "entities": {"AAPL": "negative", "TSLA": "positive"}, "text": "..."}\n'
    assert short(read(line, "jsonl")) == [
        (1, "p", "entity", "negative", "AAPL"),
        (1, "p", "entity", "positive", "TSLA"),
    ]


def test_topics_of_the_desk_are_taken_where_they_are_allowed() -> None:
    line = '{"post_id": "p", "topic": "strikes"}\n'
    assert short(read(line, "jsonl", new_labels=True)) == [(1, "p", "topic", "strikes", None)]


@pytest.mark.parametrize("header", ["", "id,label\n", "post_id\n", "sentiment\n", "post_id,task\n"])
def test_a_csv_without_the_columns_is_refused(header: str) -> None:
    with pytest.raises(BadRecord, match="expected `post_id`"):
        read(header + "p1,negative\n", "csv")


def annotation(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "result": list(results), "completed_by": 3, "updated_at": "2026-01-05T09:00:00.513742Z"} | more


def choice(control: str, *choices: str) -> dict[str, Any]:
    return {
        "id": "x",
        "from_name": control,
        "to_name": "text",
        "type": "choices",
        "value": {"choices": list(choices)},
        "origin": "manual",
    }


def span(text: str, label: str) -> dict[str, Any]:
    value = {"start": 0, "end": len(text), "text": text, "labels": [label]}
    return {"from_name": "entity", "to_name": "text", "type": "labels", "value": value}


def test_an_export_of_label_studio() -> None:
    tasks = [
        {
            "id": 1,
            "data": {"post_id": "p1", "text": "Apple falls"},
            "annotations": [
                annotation(choice("sentiment", "negative"), choice("mood", "low"), span("Apple", "negative")),
                annotation(choice("sentiment", "neutral"), completed_by={"id": 4, "email": "bob@desk"}),
                annotation(choice("sentiment", "positive"), was_cancelled=True),
                annotation({"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}),
            ],
            "predictions": [],
        },
        {"id": 2, "data": {"text": "no id"}, "annotations": []},
        {"id": 3, "data": {"id": 17}, "annotations": [annotation(choice("topic", "x"), choice("entity:T", "neutral"))]},
        "nonsense",
    ]
    found = read(json.dumps(tasks), "label-studio")
    assert short(found) == [
        (1, "p1", "sentiment", "negative", None),
        (1, "p1", "entity", "negative", "Apple"),
        (1, "p1", "sentiment", "neutral", None),
        (2, "not a task of Label Studio: its data have neither `post_id` nor `id`, but text"),
        (3, f"topic 'x': expected {', '.join(TOPICS)}, or labels of your own allowed"),
        (3, "17", "entity", "neutral", "T"),
        (4, "not a task of Label Studio: Expected `object`, got `str`"),
    ]
    labels = [one.label for one in found if isinstance(one, FileLabel)]
    assert [(label.labeller, label.origin) for label in labels[1:3]] == [
        ("label-studio:3", "label-studio"),
        ("bob@desk", "label-studio"),
    ]
    assert labels[0].labelled_at == datetime(2026, 1, 5, 9, 0, 0, 513742, tzinfo=UTC)


@pytest.mark.parametrize("data", ["{}", "", "post_id,sentiment", '{"a": ['])
def test_what_is_no_export_is_refused(data: str) -> None:
    with pytest.raises(BadRecord, match="not an export of Label Studio"):
        read(data, "label-studio")


def test_a_webhook_brings_the_labels_of_its_annotation() -> None:
    hook = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 7},
        "task": {"id": 1, "data": {"post_id": "p1"}},
        "annotation": annotation(choice("sentiment", "negative")),
    }
    (found,) = read_webhook(json.dumps(hook).encode())
    assert (found.post_id, found.task, found.gold_label, found.labeller) == (
        "p1",
        "sentiment",
        "negative",
        "label-studio:3",
    )
    assert read_webhook(json.dumps(hook | {"action": "PROJECT_UPDATED"}).encode()) == []
    for broken in (b"{}", b"[]", json.dumps({"action": "ANNOTATION_CREATED"}).encode()):
        with pytest.raises(BadRecord):
            read_webhook(broken)


def test_the_name_of_a_file_tells_its_format() -> None:
    assert [format_of(name) for name in ("a.CSV", "a.jsonl", "a.json")] == ["csv", "jsonl", "label-studio"]
    with pytest.raises(BadRecord, match=r"labels.xlsx: the name ends in .xlsx, expected .csv"):
        format_of("labels.xlsx")


NAMES = {"sentiment": SENTIMENTS, "topic": TOPICS, "intent": INTENTS, "entity": SENTIMENTS}
LABELS = st.sampled_from(sorted(NAMES)).flatmap(
    lambda task: st.builds(
        Label,
        post_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        task=st.just(task),
        gold_label=st.sampled_from(NAMES[task]),
        labeller=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        labelled_at=st.datetimes(timezones=st.just(UTC)),
        origin=st.just("dashboard"),
        entity=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) if task == "entity" else st.none(),
    )
)


@settings(max_examples=50, deadline=None)
@given(st.lists(LABELS, max_size=5))
def test_labels_written_as_they_are_on_the_stream_are_read_back(labels: list[Label]) -> None:
    lines = b"".join(msgspec.json.encode(label) + b"\n" for label in labels)
    found = read(lines, "jsonl")
    assert [one.label for one in found if isinstance(one, FileLabel)] == labels


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["csv", "jsonl", "label-studio"]))
def test_no_file_breaks_the_reader(data: bytes, form: FileFormat) -> None:
    content = b"post_id,sentiment\n" + data if form == "csv" else data
    try:
        read(content, form)
    except BadRecord:
        assert form == "label-studio"
