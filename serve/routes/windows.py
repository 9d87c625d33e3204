"""`/v1/windows`: what a monitor saw of a group, window by window, beside what was to be expected."""

from __future__ import annotations

import zlib
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from serve.routes.formats import MEDIA_TYPES, TABLE, chosen_format, encode_table, kept_answer
from serve.routes.params import OutputFormat, Range
from serve.routes.problems import Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.windows import WindowsOf, read_windows

router = APIRouter(tags=["figures"])


class WindowParams(Range):
    """Of which monitor and group; `from` and `to` are of the windows' begin."""

    monitor: str = Field(min_length=1, max_length=256, examples=["entity-negative-surge"])
    group: str = Field(min_length=1, max_length=256, examples=["AAPL"])
    limit: int = Field(1_000, ge=1, le=10_000, description="The newest so many.")
    format: OutputFormat | None = None


class WindowRows(BaseModel):
    """The windows, the oldest first. `surprise` is -log10 of the probability of so much or more."""

    monitor: str
    group: str
    rows: list[dict[str, object]] = Field(
        examples=[
            [
                {
                    "window_start": "2026-01-05T14:00:00Z",
                    "window_end": "2026-01-05T14:30:00Z",
                    "count": 52,
                    "negative": 41,
                    "measure": 41.0,
                    "expected": 3.2,
                    "surprise": 15.3,
                }
            ]
        ]
    )


@router.get("/v1/windows", response_model=WindowRows, responses=TABLE, summary="Seen against expected")
def windows(request: Request, desk: DeskOf, params: Annotated[WindowParams, Query()]) -> Response:
    """Return what a monitor saw of a group, window by window, and what it expected."""
    output = chosen_format(request, params.format)
    start, end = params.instants()
    if start is None or end is None:
        message = "query.from, query.to: found nothing, expected both ends of a range"
        raise Problem(422, message)
    asked = WindowsOf(params.monitor, params.group, start, end)
    around: dict[str, object] = {"monitor": params.monitor, "group": params.group}
    body = encode_table(read_windows(desk.tables, asked, params.limit), output, around)
    return kept_answer(request, desk, (asked, params.limit), zlib.crc32(body), lambda: body, MEDIA_TYPES[output])
