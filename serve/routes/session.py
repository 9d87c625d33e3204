"""Signing in and out of a browser, and who one is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from serve.routes.bodies import read_body
from serve.routes.gate import Caller
from serve.routes.problems import MEDIA_TYPE, PROBLEM, RESPONSES, Problem
from serve.routes.signin import signin_page
from serve.routes.wiring import DeskOf
from streamwatch.desk.access import Principal, Role
from streamwatch.desk.sessions import COOKIE

router = APIRouter(tags=["session"])

FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 4_096
TOKEN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}},
                "example": {"token": "sw_0123456789ab_..."},
            }
            for kind in ("application/json", FORM)
        },
    }
}

SIGN_IN: dict[int | str, dict[str, Any]] = {
    303: {"description": "To the dashboard, for a form."},
    401: {**RESPONSES[401], "content": {MEDIA_TYPE: {}, "text/html": {}}},
    413: {**PROBLEM, "description": "Too many bytes."},
}


class Me(BaseModel):
    """Who one is at the desk."""

    name: str
    role: Role
    tenant: str
    token_id: str


class _Presented(msgspec.Struct):
    token: str


@router.post("/v1/session", response_model=Me, responses=SIGN_IN, openapi_extra=TOKEN_BODY, summary="Sign a browser in")
async def sign_in(request: Request, desk: DeskOf) -> Response:
    """Set the session's cookie for a token. A form is led on to the dashboard."""
    form = request.headers.get("content-type", "").startswith(FORM)
    principal = desk.tokens.find(await _presented(request, form=form))
    if principal is None:
        message = "this token is none in force: `streamwatch desk token list` shows those that are"
        problem = Problem(401, message, headers={"WWW-Authenticate": 'Bearer realm="streamwatch"'})
        if form:
            return signin_page(problem, tried=True)
        raise problem
    request.state.signed_in = principal
    now = datetime.now(UTC)
    if form:
        response = Response(status_code=303, headers={"Location": "/"})
    else:
        response = Response(msgspec.json.encode(_me(principal)), media_type="application/json")
    response.set_cookie(
        COOKIE,
        desk.sessions.begin(principal, now),
        max_age=round(desk.sessions.lasts.total_seconds()),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


async def _presented(request: Request, *, form: bool) -> str:
    body = await read_body(request, MAX_BODY_BYTES)
    if form:
        return parse_qs(body.decode(errors="replace")).get("token", [""])[0].strip()
    try:
        return msgspec.json.decode(body, type=_Presented).token
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = f'expected {{"token": "..."}}: {error}'
        raise Problem(422, message) from error


@router.get("/v1/session", response_model=Me, summary="Who one is")
async def who(principal: Caller) -> Response:
    """Return name, role and tenant of who asks."""
    return Response(msgspec.json.encode(_me(principal)), media_type="application/json")


@router.delete("/v1/session", status_code=204, summary="Sign the browser out")
async def sign_out() -> Response:
    """Forget the session's cookie."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _me(principal: Principal) -> dict[str, str]:
    return {
        "name": principal.name,
        "role": principal.role,
        "tenant": principal.tenant,
        "token_id": principal.token_id,
    }
