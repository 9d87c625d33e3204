"""`/v1/alerts`: the alerts with their evidence, and what people say of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serve.routes.formats import UNCHANGED, kept_answer
from serve.routes.gate import Caller, requires
from serve.routes.params import Range, Values
from serve.routes.problems import NOT_FOUND, Problem
from serve.routes.wiring import DeskOf
from streamwatch.desk.access import Principal
from streamwatch.desk.alerts import AlertFilters, AlertPlace
from streamwatch.desk.attention import facts_of
from streamwatch.desk.desk import Desk
from streamwatch.desk.notes import AlertNote, NoteKind
from streamwatch.schema_files import EXAMPLES

router = APIRouter(tags=["alerts"])

MAX_PAGE = 500
Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["8c1f0a63d27be954"])]
UNTOUCHED: dict[str, Any] = {"acknowledged": None, "muted_until": None, "muted_by": None, "comments": []}


class AlertParams(Range):
    """Which alerts; `from` and `to` are of the onset."""

    status: Annotated[list[Literal["firing", "resolved"]], Field(max_length=2)] = Field(default_factory=list)
    severity: Values = Field(default_factory=list)
    monitor: Values = Field(default_factory=list)
    group: Values = Field(default_factory=list)
    incident: Values = Field(default_factory=list)
    corroboration: Values = Field(default_factory=list)
    acknowledged: bool | None = None
    order: Literal["onset", "mine"] = Field(
        "onset", description=f"`mine`: as you want to see them, of the newest {MAX_PAGE}; one page, without a cursor."
    )
    limit: int = Field(50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")

    def filters(self) -> AlertFilters:
        """Return which alerts these are."""
        start, end = self.instants()
        return AlertFilters(
            status=tuple(self.status),
            severity=tuple(self.severity),
            monitor=tuple(self.monitor),
            group=tuple(self.group),
            incident=tuple(self.incident),
            corroboration=tuple(self.corroboration),
            acknowledged=self.acknowledged,
            start=start,
            end=end,
        )


class DeskAlert(BaseModel):
    """An alert (schema `alert.v1`), and in `desk` what people of this tenant said of it."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"example": msgspec.to_builtins(EXAMPLES["alert.v1"]) | {"desk": UNTOUCHED}}
    )

    fingerprint: str
    monitor: str
    group: str
    severity: str
    status: str
    onset: datetime
    desk: dict[str, object]


class AlertList(BaseModel):
    """Alerts, the newest onset first, without `evidence`, `curve` and other long members."""

    alerts: list[DeskAlert]
    next_cursor: str | None


class Saying(BaseModel):
    """What may be said beside an acknowledgement."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"text": "calling the issuer"}})

    text: str = Field("", max_length=4_000)


class CommentBody(BaseModel):
    """A comment."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"text": "an old story, told again"}})

    text: str = Field(min_length=1, max_length=4_000)


class MuteBody(BaseModel):
    """Until when an alert is muted at this desk, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"until": "2026-01-06T08:00:00Z", "text": "known"}}
    )

    until: AwareDatetime
    text: str = Field("", max_length=4_000)


@router.get("/v1/alerts", response_model=AlertList, responses=UNCHANGED, summary="Alerts")
def alerts(request: Request, desk: DeskOf, caller: Caller, params: Annotated[AlertParams, Query()]) -> Response:
    """Return the last telling of each alert, by onset, the newest first, or in your own order.

    Your order is learnt from what you open, acknowledge, comment and mute; it begins with severity. Each alert then has
    a `rank`: how probably you want it, and why.
    """
    filters = params.filters()
    if params.order == "mine":
        return _in_order(request, desk, caller, params)
    after = AlertPlace.read(params.cursor) if params.cursor else None

    def make() -> bytes:
        found = desk.alerts.page(filters, caller.tenant, params.limit, after)
        return msgspec.json.encode({"alerts": found.alerts, "next_cursor": found.next_cursor})

    question = ("alerts", caller.tenant, filters, params.limit, after)
    return kept_answer(request, desk, question, desk.alerts.version, make)


def _in_order(request: Request, desk: Desk, caller: Principal, params: AlertParams) -> Response:
    if params.cursor:
        message = "query.cursor: found with order=mine, which has one page"
        raise Problem(422, message)

    def make() -> bytes:
        newest = desk.alerts.page(params.filters(), caller.tenant, MAX_PAGE).alerts
        found = {alert["fingerprint"]: alert for alert in newest}
        order = desk.attention.rank(caller, [facts_of(alert) for alert in newest])[: params.limit]
        ranks = {place.fingerprint: {"wanted": round(place.wanted, 4), "reasons": place.reasons} for place in order}
        ranked = [found[name] | {"rank": rank} for name, rank in ranks.items()]
        return msgspec.json.encode({"alerts": ranked, "next_cursor": None})

    question = ("alerts in order", caller.tenant, caller.name, params.filters(), params.limit)
    return kept_answer(request, desk, question, f"{desk.alerts.version}.{desk.attention.count()}", make)


@router.get(
    "/v1/alerts/{fingerprint}",
    response_model=DeskAlert,
    responses=UNCHANGED | NOT_FOUND,
    summary="One alert with its evidence",
)
def alert(request: Request, desk: DeskOf, caller: Caller, fingerprint: Fingerprint) -> Response:
    """Return an alert whole."""

    def make() -> bytes:
        return _alert(desk, caller, fingerprint)

    return kept_answer(request, desk, ("alert", caller.tenant, fingerprint), desk.alerts.version, make)


@router.post(
    "/v1/alerts/{fingerprint}/opening", status_code=204, responses=NOT_FOUND, summary="Say that you opened an alert"
)
def opened(desk: DeskOf, caller: Caller, fingerprint: Fingerprint) -> Response:
    """Let it count for your order of alerts that you opened this one, and passed over those that stood above it."""
    alert = facts_of(msgspec.json.decode(_alert(desk, caller, fingerprint)))
    firing = desk.alerts.page(AlertFilters(status=("firing",)), caller.tenant, MAX_PAGE).alerts
    desk.attention.open(caller, alert, [facts_of(each) for each in firing], datetime.now(UTC))
    return Response(status_code=204)


@router.post(
    "/v1/alerts/{fingerprint}/acknowledgement",
    response_model=DeskAlert,
    responses=NOT_FOUND,
    dependencies=[requires("labeller")],
    summary="Acknowledge an alert",
)
def acknowledge(desk: DeskOf, caller: Caller, fingerprint: Fingerprint, body: Saying | None = None) -> Response:
    """Take an alert in hand."""
    return _note(desk, caller, fingerprint, "acknowledge", text=body.text if body else "")


@router.delete(
    "/v1/alerts/{fingerprint}/acknowledgement",
    response_model=DeskAlert,
    responses=NOT_FOUND,
    dependencies=[requires("labeller")],
    summary="Give an alert back",
)
def unacknowledge(desk: DeskOf, caller: Caller, fingerprint: Fingerprint) -> Response:
    """Give an alert back that was taken in hand."""
    return _note(desk, caller, fingerprint, "unacknowledge")


@router.put(
    "/v1/alerts/{fingerprint}/mute",
    response_model=DeskAlert,
    responses=NOT_FOUND,
    dependencies=[requires("labeller")],
    summary="Mute an alert",
)
def mute(desk: DeskOf, caller: Caller, fingerprint: Fingerprint, body: MuteBody) -> Response:
    """Mute an alert at this desk until a time; it goes on, and is posted and stored as before."""
    until = body.until.astimezone(UTC)
    if until <= datetime.now(UTC):
        message = f"body.until: found {body.until.isoformat()}, expected an instant ahead"
        raise Problem(422, message)
    return _note(desk, caller, fingerprint, "mute", text=body.text, until=until)


@router.delete(
    "/v1/alerts/{fingerprint}/mute",
    response_model=DeskAlert,
    responses=NOT_FOUND,
    dependencies=[requires("labeller")],
    summary="End an alert's mute",
)
def unmute(desk: DeskOf, caller: Caller, fingerprint: Fingerprint) -> Response:
    """End an alert's mute."""
    return _note(desk, caller, fingerprint, "unmute")


@router.post(
    "/v1/alerts/{fingerprint}/comments",
    response_model=DeskAlert,
    status_code=201,
    responses=NOT_FOUND,
    dependencies=[requires("labeller")],
    summary="Comment on an alert",
)
def comment(desk: DeskOf, caller: Caller, fingerprint: Fingerprint, body: CommentBody) -> Response:
    """Say something of an alert to the others of this tenant."""
    return _note(desk, caller, fingerprint, "comment", text=body.text, status=201)


def _note(
    desk: Desk,
    caller: Principal,
    fingerprint: str,
    kind: NoteKind,
    *,
    text: str = "",
    until: datetime | None = None,
    status: int = 200,
) -> Response:
    alert = facts_of(msgspec.json.decode(_alert(desk, caller, fingerprint)))
    now = datetime.now(UTC)
    desk.notes.add(
        AlertNote(
            tenant=caller.tenant, fingerprint=fingerprint, kind=kind, by=caller.name, at=now, text=text, until=until
        )
    )
    if kind in ("acknowledge", "comment", "mute"):
        desk.attention.add(caller, kind, alert, now)
    return Response(_alert(desk, caller, fingerprint), status, media_type="application/json")


def _alert(desk: Desk, caller: Principal, fingerprint: str) -> bytes:
    found = desk.alerts.alert(fingerprint, caller.tenant)
    if found is None:
        message = f"no stored alert has the fingerprint {fingerprint}: `GET /v1/alerts` lists them"
        raise Problem(404, message)
    return msgspec.json.encode(found)
