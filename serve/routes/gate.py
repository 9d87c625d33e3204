"""The gate before every route: who asks, whether they may, how often, and what is written down of it.

It is plain ASGI, so that answers that never end pass it as they are.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.requests import HTTPConnection
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.routes.headers import HEADERS
from serve.routes.problems import Problem
from serve.routes.signin import signin_page
from streamwatch.desk.access import Principal, Role
from streamwatch.desk.audit import Deed
from streamwatch.desk.desk import Desk
from streamwatch.desk.sessions import COOKIE

OPEN = "/healthz"
SIGN_IN = "/v1/session"
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY_VIOLATION = 1008


class Gate:
    """Let through who may pass.

    Args:
        app: What is behind it.
        desk: Tokens, sessions, limits and the audit log.
    """

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        method, path = scope.get("method", "WEBSOCKET"), scope["path"]
        answer = _Answer(send)
        try:
            principal = self._admit(scope)
        except Problem as problem:
            principal = None
            await _refuse(problem, scope, receive, answer.send)
        else:
            scope.setdefault("state", {})["principal"] = principal
            await self._app(scope, receive, answer.send)
        if method not in (*SAFE, "WEBSOCKET"):
            self._write_down(principal or scope.get("state", {}).get("signed_in"), f"{method} {path}", answer.status)

    def _admit(self, scope: Scope) -> Principal | None:
        """Return who asks; None on the ways that are open.

        Raises:
            Problem: This request may not pass.
        """
        if scope["path"] == OPEN:
            return None
        connection = HTTPConnection(scope)
        principal, by_cookie = self._identify(connection)
        changes = scope.get("method", "GET") not in SAFE or scope["type"] == "websocket"
        signs_in = scope["path"] == SIGN_IN and scope.get("method") == "POST"
        if changes and (by_cookie or signs_in):
            _check_origin(connection, required=by_cookie)
        if principal is None and not signs_in:
            message = "this needs a token: send `Authorization: Bearer TOKEN`; `streamwatch desk token add` makes one"
            raise Problem(401, message, headers={"WWW-Authenticate": 'Bearer realm="streamwatch"'})
        caller = principal.token_id if principal else f"address {connection.client.host if connection.client else ''}"
        wait_s = self._desk.limit.wait_s(caller, time.monotonic())
        if wait_s:
            message = f"too many requests with this token: ask again in {wait_s:.1f} s"
            raise Problem(429, message, headers={"Retry-After": str(math.ceil(wait_s))})
        return principal

    def _identify(self, connection: HTTPConnection) -> tuple[Principal | None, bool]:
        """Return whose token or session it is, and whether a cookie says so."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            return (self._desk.tokens.find(token.strip()) if scheme.lower() == "bearer" else None), False
        cookie = connection.cookies.get(COOKIE, "")
        principal = self._desk.sessions.find(cookie, datetime.now(UTC)) if cookie else None
        return principal, principal is not None

    def _write_down(self, principal: Principal | None, what: str, status: int) -> None:
        who = principal or Principal("", "", "viewer", "")
        self._desk.audit.append(
            Deed(
                at=datetime.now(UTC),
                who=who.name,
                token_id=who.token_id,
                tenant=who.tenant,
                what=what,
                outcome=str(status),
            )
        )


def _check_origin(connection: HTTPConnection, *, required: bool) -> None:
    """Refuse what another site's page asks for in the name of who is signed in here."""
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    if (origin is None and required) or (origin is not None and _netloc(origin) != host):
        message = f"a session changes things only from its own pages: found origin {origin!r}, expected one at {host!r}"
        raise Problem(403, message, "foreign-origin")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


class _Answer:
    """Notes the status of an answer, and gives it the headers that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": problem.detail[:120]})
        return
    wants_page = scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")
    response = signin_page(problem) if wants_page and problem.status == 401 else problem.response(scope["path"])
    await response(scope, receive, send)


def caller(connection: HTTPConnection) -> Principal:
    """Return who asks, for routes behind the gate."""
    principal: Principal = connection.state.principal
    return principal


Caller = Annotated[Principal, Depends(caller)]


def requires(role: Role) -> Any:
    """Return the dependency that lets only a role pass, and those above it."""

    def check(principal: Caller) -> None:
        if not principal.may(role):
            message = f"this needs the role {role}; {principal.name} is {principal.role}"
            raise Problem(403, message)

    return Depends(check)
