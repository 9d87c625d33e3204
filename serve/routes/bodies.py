"""The bodies of requests, read as bytes and never more than may be."""

from __future__ import annotations

from fastapi import Request

from serve.routes.problems import Problem


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the body of a request.

    Raises:
        Problem: It is larger than it may be.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            message = f"the body is over {max_bytes} bytes: send less at a time"
            raise Problem(413, message)
        parts.append(part)
    return b"".join(parts)
