"""`/v1/pipeline`: how the monitor is that brings the figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from serve.routes.wiring import DeskOf
from streamwatch.desk.pipeline import read_pipeline

router = APIRouter(tags=["desk"])

EXAMPLE: dict[str, Any] = {
    "running": True,
    "healthy": True,
    "throughput_posts_s": 812.4,
    "lag": 31,
    "watermark": "2026-01-05T14:45:00Z",
    "dead_letters": 0,
    "stages": [{"stage": "WATCH", "state": "up", "restarts": 0}],
    "watchdog": [],
}


class PipelineState(BaseModel):
    """How the monitor is; where none runs, `running` is false and the rest empty."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    running: bool
    healthy: bool
    throughput_posts_s: float
    lag: int | None
    watermark: datetime | None
    dead_letters: int | None
    stages: list[dict[str, object]]
    watchdog: list[dict[str, object]]


@router.get("/v1/pipeline", response_model=PipelineState, summary="How the monitor is")
def pipeline(desk: DeskOf) -> Response:
    """Return how far the monitor is behind, its watermark, its dead letters, and what is wrong with it."""
    found = read_pipeline(desk.config.metrics)
    return Response(msgspec.json.encode(found), media_type="application/json")
