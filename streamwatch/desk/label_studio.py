"""Labels out of Label Studio: its JSON export, and what its webhooks post.

A task's data name the post (`post_id`, else `id`). Of an annotation's results two kinds are read: choices, whose
`from_name` is the task (`sentiment`, `topic`, `intent`, or `entity:AAPL` for the sentiment about an entity), and marked
spans of a control named `entity`, whose label is the sentiment about what is marked. See
https://labelstud.io/guide/task_format and https://labelstud.io/guide/webhook_reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from streamwatch.errors import BadRecord
from streamwatch.jsonl import BadLine
from streamwatch.model.heads import ENTITY, TASKS

ORIGIN = "label-studio"
ANNOTATED = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED")
"""The webhooks that bring labels; others are about projects, or take annotations away."""


class TaskLabel(NamedTuple):
    """What an annotation says of a post; the fields of `label.v1`."""

    post_id: str
    task: str
    gold_label: str
    entity: str | None
    labeller: str | None
    labelled_at: datetime | None
    origin: str = ORIGIN


class _Result(Struct):
    from_name: str = ""
    type: str = ""
    value: dict[str, Any] = field(default_factory=dict)


class _Person(Struct):
    id: int | None = None
    email: str | None = None


class _Annotation(Struct):
    result: list[_Result] = field(default_factory=list)
    completed_by: _Person | int | None = None
    updated_at: datetime | None = None
    created_at: datetime | None = None
    was_cancelled: bool = False


class _Task(Struct):
    data: dict[str, Any]
    annotations: list[_Annotation] = field(default_factory=list)


class _Webhook(Struct):
    action: str
    task: _Task | None = None
    annotation: _Annotation | list[_Annotation] | None = None


def read_export(data: bytes) -> Iterator[list[TaskLabel | BadLine]]:
    """Yield for each task of a JSON export what its annotations say, or why nothing can be read of it.

    Raises:
        BadRecord: It is no export: not a JSON array.
    """
    try:
        tasks = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"not an export of Label Studio, which is a JSON array of tasks (its format JSON): {error}"
        raise BadRecord(message) from error
    for raw in tasks:
        try:
            task = msgspec.json.decode(raw, type=_Task)
            yield list(_labels(task.data, task.annotations))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadRecord) as error:
            yield [BadLine(0, f"not a task of Label Studio: {error}", bytes(raw))]


def read_webhook(data: bytes) -> list[TaskLabel]:
    """Return the labels that a webhook brings; none, where it is about something else than new annotations.

    Raises:
        BadRecord: It is no webhook of Label Studio, or its task names no post.
    """
    try:
        hook = msgspec.json.decode(data, type=_Webhook)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"not a webhook of Label Studio: {error}"
        raise BadRecord(message) from error
    if hook.action not in ANNOTATED:
        return []
    if hook.task is None or hook.annotation is None:
        message = f"{hook.action} without its task and annotation: turn on `Send payload` for the webhook"
        raise BadRecord(message)
    made = hook.annotation if isinstance(hook.annotation, list) else [hook.annotation]
    return list(_labels(hook.task.data, made))


def _labels(data: dict[str, Any], annotations: list[_Annotation]) -> Iterator[TaskLabel]:
    post_id = data.get("post_id", data.get("id"))
    if not isinstance(post_id, str | int) or post_id == "":
        message = f"its data have neither `post_id` nor `id`, but {', '.join(data) or 'nothing'}"
        raise BadRecord(message)
    for annotation in annotations:
        if annotation.was_cancelled:
            continue
        at = annotation.updated_at or annotation.created_at
        for result in annotation.result:
            for task, entity, label in _said(result):
                yield TaskLabel(str(post_id), task, label, entity, _name(annotation.completed_by), at)


def _said(result: _Result) -> Iterator[tuple[str, str | None, str]]:
    """Yield task, entity and label of a result; what other controls hold is not for us."""
    task, _, entity = result.from_name.partition(":")
    if result.type == "choices" and (task in TASKS or (task == ENTITY and entity)):
        for choice in result.value.get("choices", []):
            yield task, entity or None, str(choice)
    elif result.type == "labels" and task == ENTITY:
        for label in result.value.get("labels", []):
            yield ENTITY, str(result.value.get("text", "")) or None, str(label)


def _name(person: _Person | int | None) -> str | None:
    """Return a labeller's name: the address, else the number that Label Studio gave."""
    known = _Person(person) if isinstance(person, int) else person
    if known is None or (known.email is None and known.id is None):
        return None
    return known.email or f"{ORIGIN}:{known.id}"
