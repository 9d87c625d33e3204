"""The records: strict where it counts, and the same through JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema
import msgspec
import pytest

from streamwatch.records import INTENTS, RECORDS, SENTIMENTS, TOPICS, Alert, Label, Post, Window, json_schema
from streamwatch.schema_files import EXAMPLES


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_goes_through_json_unchanged(name: str) -> None:
    record = EXAMPLES[name]
    assert type(record) is RECORDS[name]
    assert msgspec.json.decode(msgspec.json.encode(record), type=RECORDS[name]) == record


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_names_its_schema_and_refuses_another(name: str) -> None:
    fields = msgspec.to_builtins(EXAMPLES[name])
    assert fields["schema"] == name
    with pytest.raises(msgspec.ValidationError, match="schema"):
        msgspec.convert(fields | {"schema": name.replace("v1", "v2")}, type=RECORDS[name])


@pytest.mark.parametrize("name", RECORDS)
def test_types_and_json_schema_refuse_the_same(name: str) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(name))
    fields = msgspec.to_builtins(EXAMPLES[name])
    validator.validate(fields)
    for wrong in _spoiled(fields):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, type=RECORDS[name], strict=True)
        assert not validator.is_valid(wrong), wrong


def _spoiled(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the record once with each field of a wrong type, once with one more, once without a needed one."""
    spoiled = [fields | {name: {"wrong": [True]}} for name in fields]
    spoiled.append(fields | {"unknown": 1})
    needed = next(name for name in fields if name != "schema")
    spoiled.append({name: value for name, value in fields.items() if name != needed})
    return spoiled


def test_counts_that_no_table_can_hold_are_refused() -> None:
    fields = msgspec.to_builtins(EXAMPLES["window.v1"])
    with pytest.raises(msgspec.ValidationError, match="count"):
        msgspec.convert(fields | {"count": 2**63}, type=Window)


@pytest.mark.parametrize("fingerprint", ["", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0"])
def test_a_fingerprint_is_sixteen_hex_digits(fingerprint: str) -> None:
    fields = msgspec.to_builtins(EXAMPLES["alert.v1"])
    with pytest.raises(msgspec.ValidationError, match="fingerprint"):
        msgspec.convert(fields | {"fingerprint": fingerprint}, type=Alert)


def test_posts_and_labels_may_leave_out_their_schema() -> None:
    published_at = datetime(2026, 1, 5, tzinfo=UTC)
    assert Post(id="1", source="s", published_at=published_at, text="x").schema == "post.v1"
    label = msgspec.to_builtins(EXAMPLES["label.v1"])
    del label["schema"]
    assert msgspec.convert(label, type=Label).schema == "label.v1"


def test_the_labels_of_a_head_are_distinct_and_in_order() -> None:
    for labels in (SENTIMENTS, TOPICS, INTENTS):
        assert len(set(labels)) == len(labels)
    assert list(SENTIMENTS) == ["negative", "neutral", "positive"]
    assert list(TOPICS) == sorted(TOPICS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "entity"}, "task entity without `entity`"),
        ({"entity": "AAPL"}, "task sentiment with `entity`"),
        ({"gold_label": "bad"}, "sentiment 'bad': expected negative, neutral, positive"),
        ({"task": "entity", "entity": "AAPL", "gold_label": "earnings"}, "entity 'earnings': expected negative"),
    ],
)
def test_a_label_says_what_it_is_about(change: dict[str, str], reason: str) -> None:
    fields = msgspec.to_builtins(EXAMPLES["label.v1"])
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(fields | change, type=Label)


def test_a_label_may_be_about_an_entity_or_a_topic_of_the_desk() -> None:
    fields = msgspec.to_builtins(EXAMPLES["label.v1"])
    assert msgspec.convert(fields | {"task": "entity", "entity": "AAPL"}, type=Label).entity == "AAPL"
    assert msgspec.convert(fields | {"task": "topic", "gold_label": "strikes"}, type=Label).gold_label == "strikes"
