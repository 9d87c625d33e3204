"""A desk over small real tables, and clients of it, for the tests of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import httpx
import pyarrow as pa
from fastapi import FastAPI

from serve.api import create_app
from streamwatch.config import Config, DeskConfig
from streamwatch.desk.access import Role
from streamwatch.desk.desk import Desk
from streamwatch.store.tables import Tables, transaction_id
from tests.scored_rows import Row, scored

NOW = datetime(2026, 1, 5, 18, tzinfo=UTC)
HOST = "http://desk"


def store_posts(tables: Tables, rows: Sequence[Row], partition: int = 0, first_offset: int = 0) -> None:
    """Append posts as ARCHIVE does."""
    data = pa.Table.from_batches([scored(rows, partition, first_offset)])
    tables.append("posts", data, {transaction_id("posts", partition): first_offset + len(rows) - 1})


def desk_over(state_dir: Path, desk: DeskConfig | None = None) -> Desk:
    """Return a desk over the tables of a state folder, as they are now."""
    found = Desk(Config(state_dir=state_dir, desk=desk or DeskConfig()))
    found.refresh()
    return found


def client_of(desk: Desk, role: Role | None = "viewer", tenant: str = "main") -> httpx.AsyncClient:
    """Return a client with a fresh token of a role; None: without a token."""
    headers = {}
    if role:
        headers["Authorization"] = f"Bearer {desk.tokens.add(f'a {role}', role, tenant, NOW)}"
    transport = httpx.ASGITransport(_app(desk), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers)


@lru_cache(maxsize=1)
def _app(desk: Desk) -> FastAPI:
    return create_app(desk)
