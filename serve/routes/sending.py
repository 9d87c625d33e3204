"""`POST /v1/posts` and `POST /v1/score`: posts into the stream, and scores for texts that stay outside it.

They stand on the router of `posts`: of two routers with one path, the first would answer for both.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.bodies import read_body
from serve.routes.gate import requires
from serve.routes.posts import router
from serve.routes.problems import PROBLEM, Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.on_demand import AskedText
from streamwatch.records import MAX_TEXT_CHARS
from streamwatch.schema_files import EXAMPLES

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_POSTS = 1_000
MAX_TEXTS = 64
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["posts"],
                    "additionalProperties": False,
                    "properties": {
                        "posts": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_POSTS,
                            "items": {"description": "Schema `post.v1`; what is none is refused by itself."},
                        }
                    },
                },
                "example": {"posts": [msgspec.to_builtins(EXAMPLES["post.v1"])]},
            }
        },
    }
}


class _Posts(msgspec.Struct, forbid_unknown_fields=True):
    posts: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_POSTS)]


class PostOutcome(BaseModel):
    """What became of one post."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "accepted", "id": "wire-20260105-0042"}})

    status: Literal["accepted", "duplicate", "refused"]
    id: str | None = None
    reason: str | None = None


class Outcomes(BaseModel):
    """What became of the posts, in their order, and how many of each."""

    accepted: int
    duplicate: int
    refused: int
    posts: list[PostOutcome]


class AskedBody(BaseModel):
    """A text, and the one that it answers."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    parent: Text | None = None


class ScoreBody(BaseModel):
    """Texts to score."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"texts": [{"text": "$AAPL halts shipments after battery fires"}]}},
    )

    texts: list[AskedBody] = Field(min_length=1, max_length=MAX_TEXTS)


class Scores(BaseModel):
    """The texts, masked, with their entities, labels and probabilities by label, in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "scores": [
                    {
                        "text": "$AAPL halts shipments after battery fires",
                        "entities": [{"name": "Apple", "ticker": "AAPL", "sentiment": "negative"}],
                        "sentiment": "negative",
                        "topic": "company_product",
                        "intent": "inform",
                        "sentiment_probs": {"negative": 0.97, "neutral": 0.02, "positive": 0.01},
                    }
                ]
            }
        }
    )

    scores: list[dict[str, object]]


@router.post(
    "/v1/posts",
    status_code=202,
    response_model=Outcomes,
    openapi_extra=BODY,
    responses={413: {**PROBLEM, "description": "Too many bytes."}},
    dependencies=[requires("operator")],
    summary="Send posts into the stream",
)
async def send_posts(request: Request, desk: DeskOf) -> Response:
    """Send posts (schema `post.v1`) into the stream; they are acknowledged by the broker when this answers.

    A post is accepted, a duplicate (one with its id and time is stored, or was sent here lately), or refused with the
    reason. Sending the same again after a fault is safe.
    """
    if desk.intake is None:
        message = "this desk has no connection to Kafka, so it takes no posts"
        raise Problem(503, message)
    asked = _decoded(await read_body(request, MAX_BODY_BYTES))
    outcomes = await asyncio.to_thread(desk.intake.take, [bytes(post) for post in asked.posts], datetime.now(UTC))
    counts = {status: sum(one.status == status for one in outcomes) for status in ("accepted", "duplicate", "refused")}
    return Response(msgspec.json.encode(counts | {"posts": outcomes}), 202, media_type="application/json")


def _decoded(body: bytes) -> _Posts:
    try:
        return msgspec.json.decode(body, type=_Posts)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = f'body: expected {{"posts": [...]}} with 1 to {MAX_POSTS} objects: {error}'
        raise Problem(422, message) from error


@router.post("/v1/score", response_model=Scores, summary="Score texts")
async def score(desk: DeskOf, body: ScoreBody) -> Response:
    """Score texts with the model that scores the stream; they are neither sent nor stored."""
    if desk.on_demand is None:
        message = "no scorer runs beside this desk; `streamwatch run` serves one that has it"
        raise Problem(503, message)
    found = await desk.on_demand.scores([AskedText(asked.text, asked.parent) for asked in body.texts])
    return Response(msgspec.json.encode({"scores": found}), media_type="application/json")
