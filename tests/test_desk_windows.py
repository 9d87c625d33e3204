"""The stored windows of a group, and how the desk gives them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from streamwatch.desk.desk import Desk
from streamwatch.records import Window
from streamwatch.store.rows import RowDecoder, rows_table
from streamwatch.store.tables import transaction_id
from tests.scored_rows import START
from tests.stored_desk import client_of, desk_over

HOUR = timedelta(hours=1)


def window(hour: int, measure: float, group: str = "AAPL", monitor: str = "surge") -> Window:
    at = START + hour * HOUR
    return Window(
        monitor=monitor,
        group=group,
        window_start=at,
        window_end=at + HOUR,
        count=9,
        negative=round(measure),
        measure=measure,
        expected=2.5,
        surprise=1.0,
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = desk_over(tmp_path)
    told = [window(at, at) for at in range(4)]
    told += [window(1, 7.0), window(1, 5.0, "IBM"), window(1, 5.0, monitor="other")]
    decoder = RowDecoder("windows")
    rows = [decoder.decode(msgspec.json.encode(one), version) for version, one in enumerate(told)]
    found.tables.append("windows", rows_table("windows", rows), {transaction_id("windows", 0): len(rows) - 1})
    return found


def ask(desk: Desk, **params: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with client_of(desk) as client:
            return await client.get("/v1/windows", params={"monitor": "surge", "group": "AAPL", **params})

    return asyncio.run(asked())


def test_the_last_version_of_each_window_of_the_group_is_given(desk: Desk) -> None:
    answer = ask(desk, **{"from": START.isoformat(), "to": (START + 3 * HOUR).isoformat()})
    assert [(row["measure"], row["expected"]) for row in answer.json()["rows"]] == [(0.0, 2.5), (7.0, 2.5), (2.0, 2.5)]
    assert "version" not in answer.json()["rows"][0]


def test_the_newest_are_given_where_there_are_more(desk: Desk) -> None:
    answer = ask(desk, limit="2", **{"from": START.isoformat(), "to": (START + 9 * HOUR).isoformat()})
    assert [row["measure"] for row in answer.json()["rows"]] == [2.0, 3.0]


def test_a_client_that_has_them_gets_them_once(desk: Desk) -> None:
    params = {"monitor": "surge", "group": "AAPL", "from": "2026-01-05", "to": "2026-01-06"}

    async def asked() -> list[int]:
        async with client_of(desk) as client:
            first = await client.get("/v1/windows", params=params)
            again = await client.get("/v1/windows", params=params, headers={"If-None-Match": first.headers["etag"]})
            return [first.status_code, again.status_code]

    assert asyncio.run(asked()) == [200, 304]


def test_a_range_has_two_ends(desk: Desk) -> None:
    assert ask(desk, **{"from": "24h"}).status_code == 422
