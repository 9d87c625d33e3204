"""The dashboard: the page at `/`, and the modules, styles and icons below `/web/`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from serve.routes.problems import Problem

router = APIRouter(include_in_schema=False)

CLASSIC = "js/theme.js"
"""A script that is no module: it runs before the first paint."""
STYLES = ("base", "frame", "panels", "lists", "charts", "posts", "pages")
"""In the order in which they overrule one another."""
FOLDER = Path(__file__).resolve().parents[1] / "web"
KEPT = "private, max-age=31536000, immutable"
REVALIDATED = "private, no-cache"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class WebFile(NamedTuple):
    """A file of the dashboard, and what tells its content from any other."""

    body: bytes
    tag: str
    media_type: str


@router.get("/")
async def page(request: Request) -> Response:
    """Return the dashboard's page. It names every module, so that a browser asks for them all at once."""
    files = _files()
    root = f"/web/{_version(files)}"
    modules = [name for name in files if name.endswith(".js") and name != CLASSIC]
    preloads = "".join(f'<link rel="modulepreload" href="{root}/{name}">' for name in modules)
    text = Template(files["index.html"].body.decode()).substitute(root=root, preloads=preloads)
    return _answer(request, WebFile(text.encode(), _tag(text.encode()), MEDIA_TYPES[".html"]), REVALIDATED)


@router.get("/web/{version}/{name:path}")
async def asset(request: Request, version: str, name: str) -> Response:
    """Return a file that the page is made of. Its address names its version, so a browser asks for it once."""
    files = _files()
    if name not in files:
        message = f"the dashboard has no file {name!r}"
        raise Problem(404, message)
    return _answer(request, files[name], KEPT if version == _version(files) else REVALIDATED)


def _answer(request: Request, found: WebFile, caching: str) -> Response:
    headers = {"ETag": found.tag, "Cache-Control": caching}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media_type)


def _files() -> dict[str, WebFile]:
    """Return every file by its path in the folder, and the styles as one: they hold up the first paint."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    files = {path.relative_to(FOLDER).as_posix(): _read(path, path.stat().st_mtime_ns) for path in paths}
    style = b"".join(files[f"css/{name}.css"].body for name in STYLES)
    return files | {"style.css": WebFile(style, _tag(style), MEDIA_TYPES[".css"])}


def _version(files: Mapping[str, WebFile]) -> str:
    return _tag("".join(file.tag for file in files.values()).encode()).strip('"')


@lru_cache(maxsize=256)
def _read(path: Path, _changed_ns: int) -> WebFile:
    body = path.read_bytes()
    return WebFile(body, _tag(body), MEDIA_TYPES[path.suffix])


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'
