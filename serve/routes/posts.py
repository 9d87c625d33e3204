"""`/v1/posts`: the stored posts with their scores."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.formats import UNCHANGED, kept_answer
from serve.routes.params import About
from serve.routes.problems import NOT_FOUND, Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.search import Filters, Place

router = APIRouter(tags=["posts"])

Sentiment = Literal["negative", "neutral", "positive"]
MAX_PAGE = 500
EXAMPLE: dict[str, Any] = {
    "id": "wire-20260105-0042",
    "source": "wire",
    "lang": "en",
    "author": "1f0c8d3e5a7b9240",
    "url": "https://wire.example/20260105/42",
    "published_at": "2026-01-05T14:31:07Z",
    "text": "$AAPL halts shipments after battery fires, shares slide",
    "tickers": ["AAPL"],
    "reply_to": None,
    "appended_at": "2026-01-05T14:31:08Z",
    "source_partition": 0,
    "source_offset": 1203,
    "entities": [
        {
            "name": "Apple",
            "ticker": "AAPL",
            "sentiment": "negative",
            "sentiment_probs": {"negative": 0.97, "neutral": 0.02, "positive": 0.01},
        }
    ],
    "novelty": 3141592653589793,
    "sentiment": "negative",
    "topic": "company_product",
    "intent": "inform",
    "model_version": "e5-small-heads-1",
    "scored_at": "2026-01-05T14:31:08Z",
    "sentiment_probs": {"negative": 0.97, "neutral": 0.02, "positive": 0.01},
    "topic_probs": {"company_product": 0.81, "stock_movement": 0.12},
    "intent_probs": {"inform": 0.95, "express": 0.03},
}


class PostParams(About):
    """Which posts."""

    sentiment: Annotated[list[Sentiment], Field(max_length=3)] = Field(default_factory=list)
    entity_sentiment: Annotated[list[Sentiment], Field(max_length=3)] = Field(
        default_factory=list, description="The verdict on one of the entities."
    )
    q: str = Field("", max_length=200, description="Words that all stand in the text, in any case.", examples=["fire"])
    limit: int = Field(50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")

    def filters(self) -> Filters:
        """Return which posts these are."""
        start, end = self.instants()
        named = {name: tuple(values) for name, values in self.where()}
        return Filters(
            **named,
            sentiment=tuple(self.sentiment),
            entity_sentiment=tuple(self.entity_sentiment),
            text=self.q,
            start=start,
            end=end,
        )


class StoredPost(BaseModel):
    """A post, masked, with its scores; each vector of probabilities by its labels."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": EXAMPLE})

    id: str
    source: str
    published_at: datetime
    text: str
    sentiment: str | None
    topic: str | None
    intent: str | None
    entities: list[dict[str, object]] | None


class PostPage(BaseModel):
    """Posts, the newest first. A page may be short and still have a next one: then little of what was searched fits."""

    posts: list[StoredPost]
    next_cursor: str | None


@router.get("/v1/posts", response_model=PostPage, responses=UNCHANGED, summary="Find posts")
def posts(request: Request, desk: DeskOf, params: Annotated[PostParams, Query()]) -> Response:
    """Return posts by what they are about, when and what they say, the newest first."""
    filters = params.filters()
    after = Place.read(params.cursor) if params.cursor else None

    def make() -> bytes:
        found = desk.search.page(filters, params.limit, after)
        return msgspec.json.encode({"posts": found.posts, "next_cursor": found.next_cursor})

    return kept_answer(request, desk, (filters, params.limit, after), desk.posts.version, make)


@router.get(
    "/v1/posts/{post_id}",
    response_model=StoredPost,
    responses=UNCHANGED | NOT_FOUND,
    summary="One post",
)
def post(request: Request, desk: DeskOf, post_id: Annotated[str, Path(min_length=1, max_length=256)]) -> Response:
    """Return a post by its id; if several were sent with it, the one published last."""

    def make() -> bytes:
        after: Place | None = None
        while True:
            found = desk.search.page(Filters(ids=(post_id,)), 1, after)
            if found.posts:
                return msgspec.json.encode(found.posts[0])
            if found.next_cursor is None:
                message = f"no stored post has the id {post_id!r}"
                raise Problem(404, message)
            after = Place.read(found.next_cursor)

    return kept_answer(request, desk, ("post", post_id), desk.posts.version, make)
