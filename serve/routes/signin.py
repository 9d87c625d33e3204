"""What a browser without a session gets: a page with one field. It holds nothing of the desk.

It loads nothing, as nothing is given without a token; its style stands in it, and the policy names it by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from string import Template

from fastapi import Response

from serve.routes.headers import POLICY
from serve.routes.problems import Problem

FOLDER = Path(__file__).resolve().parents[1] / "web"
REFUSED = '<p class="fault" role="alert">This token is none in force. <span lang="zh">该令牌无效。</span></p>'


def signin_page(problem: Problem, *, tried: bool = False) -> Response:
    """Return the page, as the refusal that it is.

    Args:
        problem: Why something else is not shown.
        tried: A token was presented, and is none in force.
    """
    style = (FOLDER / "css" / "signin.css").read_text(encoding="utf-8")
    template = Template((FOLDER / "signin.html").read_text(encoding="utf-8"))
    page = template.substitute(style=style, fault=REFUSED if tried else "")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = POLICY.replace("style-src 'self'", f"style-src 'sha256-{digest}'")
    headers = problem.headers | {"Content-Security-Policy": policy}
    return Response(page, problem.status, headers, media_type="text/html")
