"""The desk's API: an ASGI app that runs under Ray Serve beside the scorer, and under any ASGI server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware

from serve.routes import (
    aggregates,
    alerts,
    health,
    indices,
    labels,
    live,
    monitors,
    pipeline,
    sending,
    session,
    sql,
    web,
    windows,
)
from serve.routes.gate import Gate
from serve.routes.problems import RESPONSES, answer_with_problems
from streamwatch import __version__
from streamwatch.desk.desk import Desk

ROUTES = (health, session, sending, aggregates, indices, alerts, sql, live, monitors, pipeline, windows, labels, web)
"""`sending` adds to the routes of `posts`, and stands for both."""
SWITCH_S = 0.0005
"""The event loop gives up the interpreter at every write to a socket, and with 500 subscribers waits to get it back
500 times for one alert: behind a thread that computes, by default 5 ms each time."""
DESCRIPTION = """Query, look, subscribe, correct. Every route but `/healthz` needs a token, as `Authorization: Bearer`
or as the cookie of a session. Errors are RFC 9457 problem documents. Event times are ISO 8601 in UTC."""


def create_app(desk: Desk) -> FastAPI:
    """Return the app.

    Args:
        desk: What it reads and changes. It is kept up to date while the app runs, and closed with it.
    """

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_S)
        desk.start(asyncio.get_running_loop())
        yield
        await asyncio.to_thread(desk.close)

    bearer = HTTPBearer(auto_error=False, description="`streamwatch desk token add NAME --role viewer`")
    app = FastAPI(
        title="streamwatch desk",
        version=__version__,
        description=DESCRIPTION,
        lifespan=alive,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses=RESPONSES,
        middleware=[Middleware(Gate, desk=desk)],
    )
    app.state.desk = desk
    for module in ROUTES:
        app.include_router(module.router, dependencies=[Security(bearer)])
    app.include_router(health.open_router)
    app.include_router(live.sockets)
    answer_with_problems(app)
    return app
