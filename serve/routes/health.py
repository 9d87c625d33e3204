"""`/healthz`, the only route that needs no token, and what the desk knows of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.gate import requires
from serve.routes.wiring import DeskOf
from streamwatch import __version__
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS

router = APIRouter(tags=["desk"])
open_router = APIRouter(tags=["desk"])
"""What needs no token."""


class Health(BaseModel):
    """It answers."""

    status: str = Field(examples=["ok"])


class About(BaseModel):
    """The program, the newest versions of its tables, and the words of its labels."""

    model_config = ConfigDict(extra="allow")

    version: str
    tables: dict[str, int] = Field(examples=[{"posts": 812, "alerts": 31}])
    labels: dict[str, list[str]]


class AuditEntry(BaseModel):
    """One change: who, when, what, and the outcome."""

    at: datetime
    who: str
    what: str = Field(examples=["POST /v1/alerts/8c1f0a63d27be954/acknowledgement"])
    outcome: str = Field(examples=["200"])


class AuditEntries(BaseModel):
    """The last changes, newest first."""

    deeds: list[AuditEntry]


@open_router.get("/healthz", response_model=Health, summary="Is it up")
async def healthz() -> Response:
    """Say that the desk answers."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get("/v1/about", response_model=About, summary="What this desk is")
async def about(desk: DeskOf) -> Response:
    """Return the program's version, the tables' versions and the labels."""
    document = {
        "version": __version__,
        "tables": {"posts": desk.rollups.version, "alerts": desk.alerts.table_version},
        "labels": {"sentiment": SENTIMENTS, "topic": TOPICS, "intent": INTENTS},
    }
    return Response(msgspec.json.encode(document), media_type="application/json")


@router.get("/v1/audit", response_model=AuditEntries, dependencies=[requires("operator")], summary="Who changed what")
def audit(desk: DeskOf, limit: Annotated[int, Query(ge=1, le=10_000)] = 200) -> Response:
    """Return the last changes, newest first."""
    deeds = desk.audit.records()[-limit:][::-1]
    return Response(msgspec.json.encode({"deeds": deeds}), media_type="application/json")
