"""`/v1/monitors`: the monitors file in force, checked, tried on stored posts, put into force, and brought back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.routes.gate import Caller, requires
from serve.routes.params import read_time
from serve.routes.problems import NOT_FOUND, PROBLEM, Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.monitor_files import MonitorVersion, read_monitors
from streamwatch.desk.trials import TrialJob
from streamwatch.errors import QueryRefused, QueryTooLong

router = APIRouter(tags=["monitors"])

MAX_CHARS = 200_000
TEXT: dict[str, Any] = {
    "text": '[[monitor]]\nname = "negative-surge"\ngroup_by = "entity"\nwindow = "30m"\nhop = "5m"\n'
    'measure = "negative_count"\n'
}
Text = Annotated[str, Field(min_length=1, max_length=MAX_CHARS, description="A monitors file, as TOML.")]


class MonitorsText(BaseModel):
    """A monitors file."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": TEXT})

    text: Text


class ActivateBody(MonitorsText):
    """A monitors file to put into force, and why."""

    note: str = Field("", max_length=1_000)


class TrialBody(MonitorsText):
    """A monitors file to try, and over which time."""

    from_time: str | None = Field(None, alias="from", max_length=64)
    to_time: str | None = Field(None, alias="to", max_length=64)


class MonitorsShown(BaseModel):
    """What a monitors file declares; spans of time are ISO 8601."""

    hash: str
    text: str
    monitors: list[dict[str, object]]
    mutes: list[dict[str, object]]


class VersionShown(BaseModel):
    """A file that was put into force."""

    number: int
    hash: str
    activated_at: datetime
    activated_by: str
    note: str


class VersionList(BaseModel):
    """What was put into force here, the newest first; the first is in force."""

    versions: list[VersionShown]


class TrialShown(BaseModel):
    """What becomes of alerts: `new`, `gone`, told `earlier` or `later`, of another `severity`, or the `same`."""

    model_config = ConfigDict(extra="allow")

    counts: dict[str, int]
    changes: list[dict[str, object]]


@router.get("/v1/monitors", response_model=MonitorsShown, summary="The monitors in force")
def monitors(desk: DeskOf, caller: Caller) -> Response:
    """Return the tenant's monitors file, and what it declares."""
    return _shown(desk.monitors.text(caller.tenant))


@router.post("/v1/monitors/validation", response_model=MonitorsShown, summary="Check a monitors file")
def validate(body: MonitorsText) -> Response:
    """Say what a monitors file declares, or where it is wrong and what was expected."""
    return _shown(body.text)


@router.post(
    "/v1/monitors/backtest",
    response_model=TrialShown,
    responses={
        400: {**PROBLEM, "description": "There are no posts in this time."},
        504: {**PROBLEM, "description": "It takes too long, or another one is running."},
    },
    dependencies=[requires("labeller")],
    summary="Try a monitors file on stored posts",
)
def backtest(desk: DeskOf, caller: Caller, body: TrialBody) -> Response:
    """Run a monitors file and the one in force over the stored posts of some time, and say which alerts change."""
    read_monitors(body.text)
    now = datetime.now(UTC)
    start, end = read_time(body.from_time, "from", now), read_time(body.to_time, "to", now)
    current = desk.monitors.text(caller.tenant)
    job = TrialJob(desk.tables.url, body.text, current, desk.config.watch, start, end)
    try:
        return _json(desk.trials.run(job))
    except QueryRefused as error:
        raise Problem(400, str(error), "query-refused") from error
    except QueryTooLong as error:
        raise Problem(504, str(error)) from error


@router.get("/v1/monitors/versions", response_model=VersionList, summary="What was put into force")
def versions(desk: DeskOf, caller: Caller) -> Response:
    """Return the tenant's versions, the newest first."""
    return _json({"versions": [_version(version) for version in reversed(desk.monitors.versions(caller.tenant))]})


@router.post(
    "/v1/monitors/versions",
    status_code=201,
    response_model=VersionShown,
    dependencies=[requires("operator")],
    summary="Put a monitors file into force",
)
def activate(desk: DeskOf, caller: Caller, body: ActivateBody) -> Response:
    """Check a monitors file, and put it into force: WATCH takes it at its next start if `monitors.file` names it."""
    return _json(_version(desk.monitors.activate(body.text, caller, datetime.now(UTC), body.note)), 201)


@router.get("/v1/monitors/versions/{number}", response_model=MonitorsShown, responses=NOT_FOUND, summary="One version")
def version(desk: DeskOf, caller: Caller, number: Annotated[int, Path(ge=1)]) -> Response:
    """Return a version's file."""
    return _shown(_of(desk.monitors.versions(caller.tenant), number).text)


@router.post(
    "/v1/monitors/versions/{number}/activation",
    status_code=201,
    response_model=VersionShown,
    responses=NOT_FOUND,
    dependencies=[requires("operator")],
    summary="Bring a version back",
)
def roll_back(desk: DeskOf, caller: Caller, number: Annotated[int, Path(ge=1)]) -> Response:
    """Put an earlier version into force again; it becomes the newest."""
    found = _of(desk.monitors.versions(caller.tenant), number)
    made = desk.monitors.activate(found.text, caller, datetime.now(UTC), f"version {number} again")
    return _json(_version(made), 201)


def _of(found: list[MonitorVersion], number: int) -> MonitorVersion:
    if number > len(found):
        message = f"there is no version {number}: `GET /v1/monitors/versions` lists them"
        raise Problem(404, message)
    return found[number - 1]


def _shown(text: str) -> Response:
    declared = read_monitors(text)
    shown = {"monitors": declared.monitors, "mutes": declared.mutes}
    return _json({"hash": declared.hash, "text": text} | shown)


def _version(found: MonitorVersion) -> dict[str, object]:
    return {name: getattr(found, name) for name in ("number", "hash", "activated_at", "activated_by", "note")}


def _json(document: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
