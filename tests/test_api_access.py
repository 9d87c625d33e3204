"""Who gets through the gate of the API, and what is written down of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from starlette.routing import Route

from serve.api import create_app
from streamwatch.config import DeskConfig
from streamwatch.desk.desk import Desk
from streamwatch.desk.sessions import COOKIE
from tests.stored_desk import HOST, NOW, client_of, desk_over

T = TypeVar("T")
READ_BY_POST = {"/v1/sql", "/v1/score", "/v1/monitors/validation"}
"""Routes that a viewer may post to: they change nothing."""
ONES_OWN = ("/v1/session", f"/v1/alerts/{'0' * 16}/opening")
"""What changes nothing but what this caller sees."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_over(tmp_path)


def run(doing: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(doing)


def routes(desk: Desk) -> list[tuple[str, str]]:
    """Return method and path of every route, with something in the place of parameters."""
    app = create_app(desk)
    found = [(method, r.path) for r in _all(app.routes) if isinstance(r, Route) for method in r.methods or ()]
    filled = [
        (m, path.replace("{fingerprint}", "0" * 16).replace("{name}", "x").replace("{number}", "1"))
        for m, path in found
    ]
    return [(m, path.replace("{post_id}", "x")) for m, path in filled if m != "HEAD"]


def _all(found: list[Any]) -> list[Any]:
    """Return routes, and those of routers among them."""
    flat: list[Any] = []
    for route in found:
        router = getattr(route, "original_router", None)
        flat += _all(router.routes) if router else [route]
    return flat


def test_every_route_but_health_is_refused_without_a_token(desk: Desk) -> None:
    async def ask() -> dict[tuple[str, str], httpx.Response]:
        async with client_of(desk, None) as client:
            return {(m, p): await client.request(m, p, json={"token": "x"}) for m, p in routes(desk)}

    answers = run(ask())
    assert len(answers) > 15
    assert ("GET", "/openapi.json") in answers
    open_routes = {place for place, answer in answers.items() if answer.status_code != 401}
    assert open_routes == {("GET", "/healthz")}
    for place, answer in answers.items():
        if place not in open_routes:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "urn:streamwatch:problem:not-signed-in"
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_path_that_is_none_tells_nobody_without_a_token(desk: Desk) -> None:
    async def ask(role: Any) -> httpx.Response:
        async with client_of(desk, role) as client:
            return await client.get("/v1/nothing")

    assert run(ask(None)).status_code == 401
    found = run(ask("viewer"))
    assert (found.status_code, found.json()["instance"]) == (404, "/v1/nothing")


def test_a_viewer_changes_nothing(desk: Desk) -> None:
    changing = [(m, p) for m, p in routes(desk) if m != "GET" and p not in (*READ_BY_POST, *ONES_OWN)]
    body = {"text": "x", "until": "2999-01-01T00:00:00Z", "entities": ["A"], "posts": [{}]}

    async def ask() -> dict[tuple[str, str], int]:
        async with client_of(desk) as client:
            return {(m, p): (await client.request(m, p, json=body)).status_code for m, p in changing}

    assert set(run(ask()).values()) == {403}


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer sw_000000000000_" + "a" * 43, "Basic YTpi", "Bearer sw_x_y", "Bearer \xe9"],
)
def test_a_wrong_token_is_none(desk: Desk, header: str) -> None:
    async def ask() -> int:
        async with client_of(desk, None) as client:
            return (await client.get("/v1/about", headers=[(b"Authorization", header.encode())])).status_code

    assert run(ask()) == 401


def test_a_revoked_token_ends_at_once_and_its_session_too(desk: Desk) -> None:
    token = desk.tokens.add("ann", "viewer", "main", NOW)

    async def ask() -> list[int]:
        async with client_of(desk, None) as client:
            bearer = {"Authorization": f"Bearer {token}"}
            signed_in = await client.post("/v1/session", json={"token": token})
            before = [await client.get("/v1/about", headers=bearer), await client.get("/v1/about")]
            desk.tokens.revoke("ann", NOW)
            after = [await client.get("/v1/about", headers=bearer), await client.get("/v1/about")]
            return [answer.status_code for answer in [signed_in, *before, *after]]

    assert run(ask()) == [200, 200, 200, 401, 401]


def test_a_browser_signs_in_by_a_form_and_out(desk: Desk) -> None:
    token = desk.tokens.add("ann", "labeller", "desk b", NOW)

    async def ask() -> None:
        async with client_of(desk, None) as client:
            page = await client.get("/", headers={"Accept": "text/html"})
            assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
            assert '<form method="post" action="/v1/session">' in page.text
            signed_in = await client.post("/v1/session", data={"token": token}, headers={"Origin": HOST})
            assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")
            cookie = signed_in.headers["set-cookie"].lower()
            assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
            me = (await client.get("/v1/session")).json()
            assert (me["name"], me["role"], me["tenant"]) == ("ann", "labeller", "desk b")
            await client.delete("/v1/session", headers={"Origin": HOST})
            assert COOKIE not in client.cookies
            assert (await client.get("/v1/session")).status_code == 401

    run(ask())


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://desk:1", "http://["])
def test_a_session_changes_nothing_for_other_sites(desk: Desk, origin: str | None) -> None:
    token = desk.tokens.add("ann", "operator", "main", NOW)

    async def ask() -> list[tuple[int, str]]:
        async with client_of(desk, None) as client:
            await client.post("/v1/session", json={"token": token})
            headers = {"Origin": origin} if origin else {}
            asked = [await client.put("/v1/baskets/b", json={"entities": ["A"]}, headers=headers)]
            if origin:
                asked.append(await client.post("/v1/session", json={"token": token}, headers=headers))
            return [(answer.status_code, answer.json()["type"]) for answer in asked]

    assert set(run(ask())) == {(403, "urn:streamwatch:problem:foreign-origin")}
    assert desk.baskets.of("main") == {}


def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    desk = desk_over(tmp_path, DeskConfig(requests_per_s=0.5, burst=3))

    async def ask() -> list[httpx.Response]:
        async with client_of(desk) as client, client_of(desk) as other:
            return [await client.get("/v1/about") for _ in range(4)] + [await other.get("/v1/about")]

    answers = run(ask())
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200]
    assert answers[3].headers["retry-after"] == "2"
    assert answers[3].json()["type"] == "urn:streamwatch:problem:rate-limited"


def test_every_change_is_written_down_without_secrets(desk: Desk) -> None:
    token = desk.tokens.add("ann", "operator", "main", NOW)

    async def ask() -> list[dict[str, str]]:
        async with client_of(desk, None) as client:
            client.headers["Authorization"] = f"Bearer {token}"
            await client.put("/v1/baskets/b", json={"entities": ["A"]})
            await client.put("/v1/baskets/b", json={})
            await client.get("/v1/baskets")
            await client.post("/v1/session", json={"token": token})
            await client.put("/v1/baskets/b", headers={"Authorization": "Bearer x"})
            deeds: list[dict[str, str]] = (await client.get("/v1/audit")).json()["deeds"]
            return deeds

    deeds = run(ask())
    assert [(deed["who"], deed["what"], deed["outcome"]) for deed in deeds] == [
        ("", "PUT /v1/baskets/b", "401"),
        ("ann", "POST /v1/session", "200"),
        ("ann", "PUT /v1/baskets/b", "422"),
        ("ann", "PUT /v1/baskets/b", "200"),
    ]
    assert token.rsplit("_", 1)[1] not in desk.audit.path.read_text()


def test_answers_carry_the_headers_that_keep_a_browser_safe(desk: Desk) -> None:
    async def ask() -> list[httpx.Response]:
        async with client_of(desk) as client, client_of(desk, None) as nobody:
            return [await client.get("/v1/about"), await client.get("/none"), await nobody.get("/v1/about")]

    for answer in run(ask()):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_fault_of_ours_is_a_problem_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        message = "secret detail"
        raise RuntimeError(message)

    monkeypatch.setattr(desk.baskets, "of", fail)

    async def ask() -> httpx.Response:
        async with client_of(desk) as client:
            return await client.get("/v1/baskets")

    answer = run(ask())
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers


def test_openapi_has_an_example_for_every_body_and_names_its_errors(desk: Desk) -> None:
    async def ask() -> dict[str, Any]:
        async with client_of(desk) as client:
            document: dict[str, Any] = (await client.get("/openapi.json")).json()
            return document

    document = run(ask())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert {"401", "422", "429"} <= operation["responses"].keys(), (method, path)
            assert operation["summary"]
            content = operation.get("requestBody", {}).get("content", {})
            for kind in content.values():
                schema = kind["schema"]
                name = next((r["$ref"] for r in [schema, *schema.get("anyOf", [])] if "$ref" in r), "")
                named = document["components"]["schemas"].get(name.rpartition("/")[2], {})
                assert "example" in kind or "example" in named, (method, path)
