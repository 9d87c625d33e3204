"""Errors as RFC 9457 problem documents, whatever went wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from serve.routes.headers import HEADERS
from streamwatch.errors import BadRecord, BrokerError, ConfigError, ModelError, StoreError, StreamwatchError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
Kind = Literal[
    "not-signed-in",
    "role-too-low",
    "foreign-origin",
    "not-found",
    "not-allowed-here",
    "conflict",
    "invalid-request",
    "query-refused",
    "took-too-long",
    "rate-limited",
    "unavailable",
    "internal",
]
KIND_OF_STATUS: dict[int, Kind] = {
    401: "not-signed-in",
    403: "role-too-low",
    404: "not-found",
    405: "not-allowed-here",
    409: "conflict",
    429: "rate-limited",
    503: "unavailable",
    504: "took-too-long",
}


class ProblemDocument(BaseModel):
    """What an error says: RFC 9457, `type` being `urn:streamwatch:problem:` and a word that stays the same."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "urn:streamwatch:problem:invalid-request",
                "title": "Unprocessable Content",
                "status": 422,
                "detail": "query.window: found '7m', expected a multiple of 5m",
                "instance": "/v1/aggregates",
            }
        },
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")


class Problem(StreamwatchError):
    """An answer that is an error.

    Args:
        status: HTTP status.
        detail: What was found, what was expected, what to do.
        kind: A word for programs; without it the status says it.
        headers: Of the answer.
        more: Further members of the document.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        kind: Kind | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind: Kind = kind or KIND_OF_STATUS.get(status, "invalid-request" if status < 500 else "internal")
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self, path: str) -> Response:
        """Return the document of this problem."""
        document = {
            "type": f"urn:streamwatch:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
        }
        data = msgspec.json.encode(self.more | document, enc_hook=str)
        return Response(
            data, self.status, HEADERS | {"Cache-Control": "no-store"} | self.headers, media_type=MEDIA_TYPE
        )


def answer_with_problems(app: FastAPI) -> None:
    """Let every error of an app be a problem document."""

    async def known(request: Request, error: Exception) -> Response:
        return _problem(error).response(request.url.path)

    for kind in (StreamwatchError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, known)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException) and error.status_code == 400:  # a body that is no text
        return Problem(422, str(error.detail))
    if isinstance(error, HTTPException):
        return Problem(error.status_code, str(error.detail), headers=error.headers)
    if isinstance(error, BadRecord | ConfigError):
        return Problem(422, str(error))
    if isinstance(error, BrokerError | ModelError | StoreError):
        log.warning("not available", extra={"error": str(error)})
        return Problem(503, str(error), headers={"Retry-After": "5"})
    log.error("unexpected fault", exc_info=error)
    return Problem(500, "something failed that should not; the desk's log says what")


def _invalid(error: RequestValidationError) -> Problem:
    faults = [
        {"where": ".".join(map(str, fault["loc"])), "reason": fault["msg"], "found": _shown(fault.get("input"))}
        for fault in error.errors()
    ]
    first = faults[0] if faults else {"where": "request", "reason": "cannot be read", "found": ""}
    detail = f"{first['where']}: {first['reason']}; found {first['found']}"
    return Problem(422, detail, more={"errors": faults})


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


PROBLEM: dict[str, Any] = {"model": ProblemDocument, "content": {MEDIA_TYPE: {}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    401: {**PROBLEM, "description": "No token, or none in force."},
    403: {**PROBLEM, "description": "The token's role may not do this."},
    422: {**PROBLEM, "description": "The request is not as it should be."},
    429: {**PROBLEM, "description": "Too many requests; `Retry-After` says when to ask again."},
    503: {**PROBLEM, "description": "A part that this needs is away."},
}
"""What every route may answer besides what it is for."""
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {**PROBLEM, "description": "There is none of this name."}}
"""What a route may answer besides where it is asked for one thing."""
