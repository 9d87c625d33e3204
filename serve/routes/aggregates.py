"""`/v1/aggregates`: counts, shares and averages by group and window."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.formats import MEDIA_TYPES, TABLE, chosen_format, encode_table, kept_answer
from serve.routes.params import About, OutputFormat, read_window
from serve.routes.problems import Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.aggregates import Measure, Order, Question, answer
from streamwatch.desk.cubes import DIMENSIONS

router = APIRouter(tags=["figures"])

MAX_DIMENSIONS = 3
DIMENSIONS_HELP = f"up to {MAX_DIMENSIONS} of {', '.join(DIMENSIONS)}"
MAX_ROWS = 100_000
EXAMPLE: dict[str, Any] = {
    "measure": "negative_share",
    "group_by": ["entity"],
    "window": "1h",
    "from": "2026-01-05T14:00:00Z",
    "to": "2026-01-05T15:00:00Z",
    "table_version": 812,
    "rows": [
        {
            "entity": "AAPL",
            "window_start": "2026-01-05T14:00:00Z",
            "window_end": "2026-01-05T15:00:00Z",
            "count": 52,
            "negative": 41,
            "positive": 3,
            "value": 0.7885,
            "previous_count": 31,
            "previous": 0.2258,
            "change": 0.5627,
        }
    ],
}


class AggregateParams(About):
    """What to count, and how."""

    group_by: str = Field(
        "",
        max_length=64,
        description=f"Up to {MAX_DIMENSIONS} of {', '.join(DIMENSIONS)}, by commas.",
        examples=["entity"],
    )
    measure: Measure = "count"
    window: str | None = Field(
        None, max_length=8, description="Multiple of 5m, such as 1h; without it, one row in all."
    )
    compare: Literal["previous"] | None = Field(None, description="Beside the period before, of the same length.")
    order: Order = "group"
    limit: int = Field(1_000, ge=1, le=MAX_ROWS)
    least: int = Field(0, ge=0, le=10**9, description="Only rows of at least so many posts.")
    format: OutputFormat | None = None

    def question(self) -> Question:
        """Return what is asked.

        Raises:
            Problem: A parameter is not as it should be.
        """
        dimensions = tuple(name for name in self.group_by.split(",") if name)
        wrong = [name for name in dimensions if name not in DIMENSIONS]
        if wrong or len(dimensions) > MAX_DIMENSIONS or len(set(dimensions)) < len(dimensions):
            message = (
                f"query.group_by: found {self.group_by!r}, expected up to {MAX_DIMENSIONS} of {', '.join(DIMENSIONS)}"
            )
            raise Problem(422, message)
        start, end = self.instants()
        if self.compare and start is None:
            message = "query.from: found nothing, expected where the range begins, to compare it with the one before"
            raise Problem(422, message)
        if "change" in self.order and not self.compare:
            message = f"query.order: found {self.order!r} without compare=previous"
            raise Problem(422, message)
        return Question(
            group_by=dimensions,
            measure=self.measure,
            start=start,
            end=end,
            window=read_window(self.window),
            compare=self.compare is not None,
            where=self.where(),
            order=self.order,
            limit=self.limit,
            least=self.least,
        ).aligned()


class AggregateAnswer(BaseModel):
    """The rows, and the range that they are of: whole windows around what was asked for."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    measure: Measure
    group_by: list[str]
    window: str | None
    start: str | None = Field(alias="from")
    end: str | None = Field(alias="to")
    table_version: int
    rows: list[dict[str, object]]


@router.get(
    "/v1/aggregates",
    response_model=AggregateAnswer,
    responses=TABLE,
    summary="Counts, shares and averages by group and window",
)
def aggregates(request: Request, desk: DeskOf, params: Annotated[AggregateParams, Query()]) -> Response:
    """Count the stored posts, exactly.

    Where `entity` is asked for, a post counts once for each of its entities, with the verdict on that entity. A post
    without a value of a dimension that is asked for takes no part. Measures: `count`, `negative_count`,
    `negative_share` (negative / count), `mean_negative` (mean probability of negative), `net_sentiment`
    ((positive - negative) / count).
    """
    output = chosen_format(request, params.format)
    question = params.question()

    def make() -> bytes:
        found = answer(desk.rollups, question)
        around: dict[str, object] = {
            "measure": question.measure,
            "group_by": question.group_by,
            "window": params.window,
            "from": found.start,
            "to": found.end,
            "table_version": found.version,
        }
        return encode_table(found.rows, output, around)

    return kept_answer(request, desk, (question, params.window), desk.rollups.version, make, MEDIA_TYPES[output])
