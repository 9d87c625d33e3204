"""`/v1/sql`: one SELECT over the tables."""

from __future__ import annotations

from typing import Annotated

import msgspec
import polars as pl
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.formats import MEDIA_TYPES, TABLE, chosen_format, encode_table
from serve.routes.params import OutputFormat
from serve.routes.problems import PROBLEM, Problem
from serve.routes.wiring import DeskOf
from streamwatch.errors import QueryRefused, QueryTooLong

router = APIRouter(tags=["figures"])

MAX_SQL_CHARS = 20_000


class SqlBody(BaseModel):
    """A statement in the SQL of Polars, and how many rows are wanted at most."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"sql": "SELECT source, count(*) AS posts FROM posts GROUP BY source"}},
    )

    sql: str = Field(min_length=1, max_length=MAX_SQL_CHARS)
    rows: int | None = Field(None, ge=1, le=10_000_000)


class SqlRows(BaseModel):
    """The rows; `truncated` says that there were more. As CSV and Arrow the header `X-Truncated` says so."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "columns": ["source", "posts"],
                "truncated": False,
                "rows": [{"source": "wire", "posts": 120}],
            }
        }
    )

    columns: list[str]
    truncated: bool
    rows: list[dict[str, object]]


@router.post(
    "/v1/sql",
    response_model=SqlRows,
    responses={
        200: {"content": {name: {} for name in MEDIA_TYPES.values()}},
        400: {**PROBLEM, "description": "Not a SELECT over the tables, or wrong."},
        406: TABLE[406],
        504: {**PROBLEM, "description": "It takes more time or memory than it may."},
    },
    summary="One SELECT over the tables",
)
def sql(
    request: Request, desk: DeskOf, body: SqlBody, format: Annotated[OutputFormat | None, Query()] = None
) -> Response:
    """Answer one SELECT over `posts`, `windows`, `alerts` and `labels`, within limits on time, memory and rows.

    It reads only, and nothing but these tables. Of windows and alerts only the last version of each is seen.
    """
    output = chosen_format(request, format)
    try:
        found = desk.sql.run(body.sql, body.rows)
    except QueryRefused as error:
        raise Problem(400, str(error), "query-refused") from error
    except QueryTooLong as error:
        raise Problem(504, str(error)) from error
    around: dict[str, object] = {"columns": found.rows.columns, "truncated": found.truncated}
    rows = found.rows if output != "csv" else _flat(found.rows)
    return Response(
        encode_table(rows, output, around),
        headers={"X-Truncated": str(found.truncated).lower()},
        media_type=MEDIA_TYPES[output],
    )


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose lists and structs are JSON: CSV has neither."""
    nested = [name for name, kind in rows.schema.items() if kind.is_nested()]
    return rows.with_columns(
        pl.Series(name, [None if value is None else _json(value) for value in rows[name].to_list()], pl.String)
        for name in nested
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
