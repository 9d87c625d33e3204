"""`/v1/indices` and `/v1/baskets`: net sentiment as a series, of entities and of named lists of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.formats import MEDIA_TYPES, TABLE, chosen_format, encode_table, kept_answer
from serve.routes.gate import Caller, requires
from serve.routes.params import OutputFormat, Range, Values, read_window
from serve.routes.problems import NOT_FOUND, Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.baskets import BasketChange
from streamwatch.desk.desk import Desk
from streamwatch.desk.indices import IndexQuestion, index_series

router = APIRouter(tags=["figures"])

NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"
BasketName = Annotated[str, Path(pattern=NAME, examples=["big-tech"])]
BASKET_EXAMPLE: dict[str, Any] = {
    "name": "big-tech",
    "entities": ["AAPL", "MSFT", "GOOGL"],
    "changed_at": "2026-01-05T15:02:00Z",
    "changed_by": "ann",
}


class IndexParams(Range):
    """Which index, and over which time."""

    entity: Values = Field(default_factory=list, description="Members of the index.", examples=[["AAPL"]])
    basket: str | None = Field(None, pattern=NAME, description="A basket whose entities are members as well.")
    window: str = Field("1h", max_length=8, description="Multiple of 5m.")
    bars: bool = Field(default=False, description="Add open, high, low and close over five-minute steps.")
    format: OutputFormat | None = None


class IndexAnswer(BaseModel):
    """A series; `value` is (positive - negative) / mentions, and a window without mentions has no row."""

    members: list[str]
    window: str
    start: str | None = Field(alias="from")
    end: str | None = Field(alias="to")
    table_version: int
    rows: list[dict[str, object]] = Field(
        examples=[
            [
                {
                    "window_start": "2026-01-05T14:00:00Z",
                    "window_end": "2026-01-05T15:00:00Z",
                    "count": 52,
                    "negative": 41,
                    "positive": 3,
                    "value": -0.7308,
                    "open": -0.1,
                    "high": 0.0,
                    "low": -0.9,
                    "close": -0.85,
                }
            ]
        ]
    )


class Basket(BaseModel):
    """A named list of entities."""

    model_config = ConfigDict(json_schema_extra={"example": BASKET_EXAMPLE})

    name: str
    entities: list[str]
    changed_at: datetime
    changed_by: str


class BasketList(BaseModel):
    """The tenant's baskets by name."""

    baskets: list[Basket]


class BasketBody(BaseModel):
    """What a basket is to hold."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"entities": ["AAPL", "MSFT"]}})

    entities: Annotated[Values, Field(min_length=1)]


@router.get("/v1/indices", response_model=IndexAnswer, responses=TABLE | NOT_FOUND, summary="Net sentiment as a series")
def indices(request: Request, desk: DeskOf, caller: Caller, params: Annotated[IndexParams, Query()]) -> Response:
    """Return the net sentiment of some entities together, window by window; each mention counts once."""
    output = chosen_format(request, params.format)
    members = [*params.entity, *_basket(desk, caller.tenant, params.basket)]
    window = read_window(params.window)
    if not members or window is None:
        message = "query.entity: found nothing, expected entities or a basket"
        raise Problem(422, message)
    start, end = params.instants()
    question = IndexQuestion(
        members=tuple(dict.fromkeys(members)), window=window, start=start, end=end, bars=params.bars
    ).aligned()

    def make() -> bytes:
        found = index_series(desk.rollups, question)
        around: dict[str, object] = {
            "members": question.members,
            "window": params.window,
            "from": found.start,
            "to": found.end,
            "table_version": found.version,
        }
        return encode_table(found.rows, output, around)

    return kept_answer(request, desk, (question, params.window), desk.rollups.version, make, MEDIA_TYPES[output])


def _basket(desk: Desk, tenant: str, name: str | None) -> list[str]:
    if name is None:
        return []
    found = desk.baskets.of(tenant).get(name)
    if found is None:
        message = f"there is no basket {name!r}: `GET /v1/baskets` lists them"
        raise Problem(404, message)
    return found.entities


@router.get("/v1/baskets", response_model=BasketList, summary="The baskets")
def baskets(desk: DeskOf, caller: Caller) -> Response:
    """Return the tenant's baskets by name."""
    found = [_shown(change) for change in desk.baskets.of(caller.tenant).values()]
    return Response(msgspec.json.encode({"baskets": found}), media_type="application/json")


@router.put(
    "/v1/baskets/{name}", response_model=Basket, dependencies=[requires("labeller")], summary="Make or change a basket"
)
def put_basket(desk: DeskOf, caller: Caller, name: BasketName, body: BasketBody) -> Response:
    """Set which entities a basket holds."""
    change = desk.baskets.put(name, body.entities, caller, datetime.now(UTC))
    return Response(msgspec.json.encode(_shown(change)), media_type="application/json")


@router.delete(
    "/v1/baskets/{name}",
    status_code=204,
    responses=NOT_FOUND,
    dependencies=[requires("labeller")],
    summary="Remove a basket",
)
def delete_basket(desk: DeskOf, caller: Caller, name: BasketName) -> Response:
    """Take a basket away; what it held stays in its history."""
    _basket(desk, caller.tenant, name)
    desk.baskets.put(name, [], caller, datetime.now(UTC))
    return Response(status_code=204)


def _shown(change: BasketChange) -> dict[str, object]:
    return {name: getattr(change, name) for name in ("name", "entities", "changed_at", "changed_by")}
