"""Tables as JSON, CSV or Arrow, and answers that a client has already."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable
from typing import Any

import msgspec
import polars as pl
from fastapi import Request, Response

from serve.routes.params import OutputFormat
from serve.routes.problems import PROBLEM, Problem
from streamwatch import __version__
from streamwatch.desk.desk import Desk

MEDIA_TYPES: dict[OutputFormat, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Unchanged."}}
TABLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {name: {} for name in MEDIA_TYPES.values()}},
    406: {**PROBLEM, "description": "`Accept` allows none of the formats."},
    **UNCHANGED,
}
"""What a route may answer that gives a table."""
BY_MEDIA_TYPE: dict[str, OutputFormat] = {media_type: name for name, media_type in MEDIA_TYPES.items()}


def chosen_format(request: Request, asked: OutputFormat | None) -> OutputFormat:
    """Return the format that `format=` names, else the first of `Accept` that is known, else JSON.

    Raises:
        Problem: `Accept` allows none of them.
    """
    if asked:
        return asked
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "*/*").split(",")]
    for media_type in accepted:
        if media_type in BY_MEDIA_TYPE:
            return BY_MEDIA_TYPE[media_type]
        if media_type in ("*/*", "application/*", ""):
            return "json"
    message = f"accept: found {', '.join(accepted)[:200]!r}, expected one of: {', '.join(BY_MEDIA_TYPE)}"
    raise Problem(406, message)


def encode_table(rows: pl.DataFrame, output: OutputFormat, around: dict[str, object]) -> bytes:
    """Return a table in a format; in JSON its rows stand in `rows` of `around`."""
    if output == "arrow":
        return rows.write_ipc_stream(None, compat_level=pl.CompatLevel.oldest()).getvalue()
    if output == "csv":
        return rows.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ").encode()
    return msgspec.json.encode(around | {"rows": rows.to_dicts()}, enc_hook=str)


def kept_answer(
    request: Request,
    desk: Desk,
    question: Hashable,
    version: object,
    make: Callable[[], bytes],
    media_type: str = MEDIA_TYPES["json"],
) -> Response:
    """Return the answer of a version: 304 where the client has it, else what was made before, else made now.

    Args:
        request: Its `If-None-Match` says what the client has.
        desk: Keeps the answers.
        question: What is asked, in its one spelling.
        version: Changes whenever the answer may.
        make: Makes the answer.
        media_type: Of the answer.

    Raises:
        Problem: The desk has not read what is stored yet.
    """
    if not desk.ready:
        message = "the desk is still reading what is stored: ask again in a few seconds"
        raise Problem(503, message, headers={"Retry-After": "5"})
    tag = f'W/"{version}-{zlib.crc32(repr((question, media_type, __version__)).encode()):08x}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    if tag.removeprefix("W/") in known:
        return Response(status_code=304, headers=headers)
    body = desk.answers.get((question, media_type), str(version), make)
    return Response(body, headers=headers, media_type=media_type)
