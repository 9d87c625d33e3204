"""The monitors at the desk: read, checked, tried, put into force and brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from streamwatch.desk.access import Role
from streamwatch.desk.desk import Desk
from streamwatch.watch.monitors import load_monitors
from tests.stored_desk import client_of, desk_over
from tests.stored_posts import stored_day

RULE = """
[[monitor]]
name = "test"
group_by = "entity"
window = "60m"
hop = "10m"
measure = "negative_count"
false_alarms = "1 a day"
min_count = {least}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("day")
    stored_day(folder / "tables")
    found = desk_over(folder)
    yield found
    found.close()


def ask(desk: Desk, method: str, path: str, body: Any = None, role: Role = "operator", tenant: str = "main") -> Any:
    async def go() -> httpx.Response:
        async with client_of(desk, role, tenant) as client:
            return await client.request(method, path, json=body)

    return asyncio.run(go())


def test_the_file_that_comes_with_streamwatch_is_in_force_at_first(desk: Desk) -> None:
    found = ask(desk, "GET", "/v1/monitors", role="viewer", tenant="fresh").json()
    assert found["hash"] == load_monitors(None).hash
    assert [rule["name"] for rule in found["monitors"]] == [rule.name for rule in load_monitors(None).monitors]
    assert "[[monitor]]" in found["text"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RULE.format(least=0), "monitor[0].min_count"),
        ("x = ", "valid TOML"),
        (RULE.format(least=5).replace("10m", "7m"), "monitor[0].window"),
    ],
)
def test_a_wrong_file_is_told_where(desk: Desk, text: str, reason: str) -> None:
    for path in ("/v1/monitors/validation", "/v1/monitors/versions", "/v1/monitors/backtest"):
        answer = ask(desk, "POST", path, {"text": text})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert reason in answer.json()["detail"]
    assert ask(desk, "GET", "/v1/monitors/versions").json() == {"versions": []}


def test_a_file_is_put_into_force_and_the_one_before_comes_back(desk: Desk) -> None:
    first, second = RULE.format(least=5), RULE.format(least=9)
    checked = ask(desk, "POST", "/v1/monitors/validation", {"text": first}, "viewer").json()
    assert checked["monitors"][0]["name"] == "test"
    made = ask(desk, "POST", "/v1/monitors/versions", {"text": first, "note": "quiet"}, tenant="rates").json()
    assert (made["number"], made["hash"], made["note"]) == (1, checked["hash"], "quiet")
    ask(desk, "POST", "/v1/monitors/versions", {"text": second}, tenant="rates")
    assert ask(desk, "GET", "/v1/monitors", tenant="rates").json()["text"] == second
    back = ask(desk, "POST", "/v1/monitors/versions/1/activation", tenant="rates").json()
    assert (back["number"], back["hash"]) == (3, checked["hash"])
    assert ask(desk, "GET", "/v1/monitors", tenant="rates").json()["text"] == first
    assert load_monitors(desk.monitors.file("rates")).hash == checked["hash"]
    listed = ask(desk, "GET", "/v1/monitors/versions", role="viewer", tenant="rates").json()["versions"]
    assert [version["number"] for version in listed] == [3, 2, 1]
    assert ask(desk, "GET", "/v1/monitors/versions/2", tenant="rates").json()["text"] == second
    assert ask(desk, "GET", "/v1/monitors/versions/4", tenant="rates").status_code == 404
    assert ask(desk, "GET", "/v1/monitors/versions", tenant="other").json() == {"versions": []}


def test_a_file_is_tried_on_stored_posts(desk: Desk) -> None:
    tried = ask(desk, "POST", "/v1/monitors/backtest", {"text": RULE.format(least=5)}, "labeller")
    found = tried.json()
    assert found["counts"]["new"] == sum(change["kind"] == "new" for change in found["changes"]) > 0
    change = next(change for change in found["changes"] if change["kind"] == "new")
    assert (change["before"], change["after"]["monitor"], change["after"]["group"]) == (None, "test", "AAPL")
    assert found["posts"] == desk.tables.query("SELECT count(*) AS n FROM posts")["n"][0]
    nothing = {"text": RULE.format(least=5), "from": "2001-01-01", "to": "2001-01-02"}
    refused = ask(desk, "POST", "/v1/monitors/backtest", nothing, "labeller")
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:streamwatch:problem:query-refused")
