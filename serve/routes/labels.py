"""`/v1/labels`: what posts really are, by those who read them; and what to ask them next."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.bodies import read_body
from serve.routes.gate import Caller, requires
from serve.routes.problems import NOT_FOUND, PROBLEM, Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.desk import Desk
from streamwatch.desk.label_desk import LabelDesk
from streamwatch.desk.label_files import LabelReader
from streamwatch.desk.label_studio import ORIGIN, read_webhook
from streamwatch.errors import BadRecord
from streamwatch.records import Label

router = APIRouter(tags=["labels"])

MAX_LABELS = 200
MAX_HOOK_BYTES = 1024 * 1024
DASHBOARD = "dashboard"
Id = Annotated[str, Field(min_length=1, max_length=256)]


class Said(BaseModel):
    """What somebody says of a post; `entity` for the task of that name alone, as the post has it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"post_id": "wire-20260105-0042", "task": "entity", "gold_label": "negative", "entity": "AAPL"}
        },
    )

    post_id: Id
    task: Literal["sentiment", "topic", "intent", "entity"]
    gold_label: Annotated[str, Field(min_length=1, max_length=256)]
    entity: Id | None = None


class LabelsBody(BaseModel):
    """Labels, and from which screen or program they come."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "labels": [{"post_id": "wire-20260105-0042", "task": "sentiment", "gold_label": "negative"}],
                "origin": "dashboard",
            }
        },
    )

    labels: list[Said] = Field(min_length=1, max_length=MAX_LABELS)
    origin: Annotated[str, Field(min_length=1, max_length=64)] = DASHBOARD


class Taken(BaseModel):
    """How many labels were sent on the stream."""

    accepted: int


class StoredLabel(BaseModel):
    """A label, as the table has it."""

    post_id: str
    task: str
    gold_label: str
    labeller: str
    labelled_at: datetime
    origin: str
    entity: str | None


class LabelList(BaseModel):
    """Labels, oldest first."""

    labels: list[StoredLabel]


class Conflict(BaseModel):
    """What people differ on, and each one's last word."""

    post_id: str
    task: str
    entity: str | None
    votes: int
    said: list[str]
    last_at: datetime


class Conflicts(BaseModel):
    """All that is not settled because people differ."""

    conflicts: list[Conflict]


class Asked(BaseModel):
    """A question: the post, what to say of it, what answering it is worth, and why."""

    post: dict[str, object]
    task: str
    entity: str | None
    worth: float
    reasons: list[dict[str, str]]


class Queue(BaseModel):
    """Questions, those first that teach the model most."""

    questions: list[Asked]


@router.post(
    "/v1/labels",
    status_code=202,
    response_model=Taken,
    responses=NOT_FOUND,
    dependencies=[requires("labeller")],
    summary="Say what posts are",
)
async def give(desk: DeskOf, caller: Caller, body: LabelsBody) -> Response:
    """Send labels to the stream `labels`, all of them or none; the broker has them when this answers.

    Who said so is the token's name. Of what one person says of the same post and task the last word counts.
    """
    reader = LabelReader(labeller=caller.name, labelled_at=datetime.now(UTC), origin=body.origin)
    return await _send(desk, reader, [said.model_dump() for said in body.labels])


@router.post(
    "/v1/labels/label-studio",
    status_code=202,
    response_model=Taken,
    responses={413: {**PROBLEM, "description": "Too many bytes."}, **NOT_FOUND},
    dependencies=[requires("labeller")],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": {"action": "PROJECT_UPDATED"}},
            },
        },
    },
    summary="Webhook of Label Studio",
)
async def hook(request: Request, desk: DeskOf, caller: Caller) -> Response:
    """Take the annotations that a webhook of Label Studio brings; what else it tells is left alone.

    Give the webhook a header `Authorization: Bearer TOKEN` and let it send its payload.
    """
    found = read_webhook(await read_body(request, MAX_HOOK_BYTES))
    reader = LabelReader(labeller=caller.name, labelled_at=datetime.now(UTC), origin=ORIGIN)
    return await _send(desk, reader, [said._asdict() for said in found])


@router.get("/v1/labels", response_model=LabelList, summary="What was said of posts")
def of_posts(desk: DeskOf, post_id: Annotated[list[Id], Query(min_length=1, max_length=200)]) -> Response:
    """Return every label of some posts; those given here a moment ago too."""
    return _json({"labels": desk.labels.labels(post_id)})


@router.get("/v1/labels/conflicts", response_model=Conflicts, summary="What people differ on")
def conflicts(desk: DeskOf) -> Response:
    """Return what is not settled because people differ, with each one's last word."""
    return _json({"conflicts": desk.labels.conflicts()})


@router.get(
    "/v1/labels/queue",
    response_model=Queue,
    dependencies=[requires("labeller")],
    summary="What to label next",
)
def queue(desk: DeskOf, caller: Caller, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Response:
    """Return what the caller is asked next: what teaches the model most comes first, each with the reasons."""
    return _json({"questions": [found._asdict() for found in desk.labels.questions(caller.name, limit)]})


async def _send(desk: Desk, reader: LabelReader, said: Sequence[Mapping[str, Any]]) -> Response:
    labels = [_label(reader, place, one) for place, one in enumerate(said)]
    if labels:
        await asyncio.to_thread(_give, desk.labels, labels)
    return _json({"accepted": len(labels)}, 202)


def _give(desk: LabelDesk, labels: list[Label]) -> None:
    unknown = desk.unknown(labels)
    if unknown:
        message = f"no stored post has the id {unknown[0]!r}; a post is stored some seconds after it was scored"
        raise Problem(404, message)
    desk.give(labels)


def _label(reader: LabelReader, place: int, said: Mapping[str, Any]) -> Label:
    try:
        return reader.label(said)
    except (BadRecord, msgspec.ValidationError) as error:
        message = f"labels.{place}: {error}"
        raise Problem(422, message) from error


def _json(answer: Mapping[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")
