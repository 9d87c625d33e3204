"""The files of the dashboard, as the desk gives them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from serve.routes.web import FOLDER, STYLES
from tests.stored_desk import client_of, desk_over


def ask(tmp_path: Path, *paths: str, tag: str = "") -> list[httpx.Response]:
    async def asked() -> list[httpx.Response]:
        async with client_of(desk_over(tmp_path)) as client:
            return [await client.get(path, headers={"If-None-Match": tag}) for path in paths]

    return asyncio.run(asked())


def named(page: httpx.Response) -> list[str]:
    """Return the addresses that the page names."""
    return re.findall(r'(?:src|href)="(/web/[^"]+)"', page.text)


def test_the_page_names_every_module_and_all_it_names_is_there(tmp_path: Path) -> None:
    page = ask(tmp_path, "/")[0]
    names = named(page)
    modules = {path.relative_to(FOLDER).as_posix() for path in (FOLDER / "js").rglob("*.js")}
    assert {name.split("/", 3)[3] for name in names if name.endswith(".js")} == modules
    for found in ask(tmp_path, *names):
        assert found.status_code == 200
        assert found.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert found.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")


def test_the_style_is_all_styles_but_that_of_signing_in(tmp_path: Path) -> None:
    assert {*STYLES, "signin"} == {path.stem for path in (FOLDER / "css").iterdir()}
    style = ask(tmp_path, "/web/x/style.css")[0].text
    assert all((FOLDER / "css" / f"{name}.css").read_text(encoding="utf-8") in style for name in STYLES)


def test_the_page_itself_and_files_of_another_version_are_asked_for_again(tmp_path: Path) -> None:
    page = ask(tmp_path, "/")[0]
    assert page.headers["cache-control"] == "private, no-cache"
    assert ask(tmp_path, "/web/other/js/main.js")[0].headers["cache-control"] == "private, no-cache"
    again = ask(tmp_path, "/", tag=page.headers["etag"])[0]
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["none.js", "../routes/web.py", "%2e%2e/routes/web.py", "js", "", "js/a%00.js"])
def test_nothing_else_is_given(tmp_path: Path, name: str) -> None:
    assert ask(tmp_path, f"/web/x/{name}")[0].status_code == 404
