"""Browser sessions: a cookie that stands for a token, signed with a key of this state folder.

A browser cannot send a bearer token with an EventSource, and scripts shall not hold one. The cookie names the token
and when it ends; it is worth nothing once the token is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streamwatch.desk.access import Principal, Tokens
from streamwatch.desk.journal import write_private

COOKIE = "streamwatch_session"
_VALUE = re.compile(r"([0-9a-f]{12})\.(\d{1,12})\.([0-9a-f]{64})")


class Sessions:
    """Sessions of the owners of tokens.

    Args:
        state_dir: The state folder; its key is made when absent.
        tokens: The tokens.
        lasts: How long a session lasts.
    """

    def __init__(self, state_dir: Path, tokens: Tokens, lasts: timedelta) -> None:
        path = state_dir / "desk" / "session.key"
        if not path.exists():
            write_private(path, secrets.token_bytes(32))
        self._key = path.read_bytes()
        self._tokens = tokens
        self.lasts = lasts

    def begin(self, principal: Principal, now: datetime) -> str:
        """Return the cookie of a new session."""
        end = int((now + self.lasts).timestamp())
        return f"{principal.token_id}.{end}.{self._signature(principal.token_id, end)}"

    def find(self, cookie: str, now: datetime) -> Principal | None:
        """Return whose session a cookie is, or None if it is none that lasts."""
        match = _VALUE.fullmatch(cookie)
        if not match:
            return None
        token_id, end, signature = match.group(1), int(match.group(2)), match.group(3)
        if not hmac.compare_digest(signature, self._signature(token_id, end)):
            return None
        token = self._tokens.by_id(token_id) if now < datetime.fromtimestamp(end, UTC) else None
        return token.principal() if token else None

    def _signature(self, token_id: str, end: int) -> str:
        return hmac.new(self._key, f"session {token_id} {end}".encode(), hashlib.sha256).hexdigest()
