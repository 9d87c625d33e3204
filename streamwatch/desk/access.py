"""Who may use the desk: bearer tokens, each with a role and a tenant.

A token is shown once, when it is made. The file keeps a SHA-256 of it: it has 256 random bits, so nobody finds it by
trying, and a slow hash, as passwords need, would only slow every request down.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from streamwatch.desk.journal import write_private
from streamwatch.errors import StoreError

Role = Literal["viewer", "labeller", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "labeller", "operator")
"""Each may do what the ones before it may."""
DEFAULT_TENANT = "main"
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}\Z")]
_TOKEN = re.compile(r"sw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NO_HASH = "0" * 64


class Principal(Struct, frozen=True):
    """Who asks: the owner of a token."""

    token_id: str
    name: str
    role: Role
    tenant: str

    def may(self, role: Role) -> bool:
        """Say whether this one may do what a role may.

        >>> ann = Principal("0123456789ab", "ann", "labeller", "main")
        >>> ann.may("viewer"), ann.may("operator")
        (True, False)
        """
        return ROLES.index(self.role) >= ROLES.index(role)


class StoredToken(Struct, frozen=True, kw_only=True):
    """A token as the file keeps it."""

    id: str
    name: Name
    role: Role
    tenant: Name
    sha256: str
    created_at: datetime
    revoked_at: datetime | None = None

    def principal(self) -> Principal:
        """Return who has it."""
        return Principal(self.id, self.name, self.role, self.tenant)


class Tokens:
    """The tokens of a state folder, in `desk/tokens.json`. A change by another process is seen at once.

    Args:
        state_dir: The state folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "desk" / "tokens.json"
        self._json = msgspec.json.Decoder(list[StoredToken])
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, StoredToken] = {}

    def add(self, name: str, role: Role, tenant: str, now: datetime) -> str:
        """Make a token and return it; it cannot be shown again.

        Raises:
            StoreError: The name or the tenant holds characters that are not allowed.
        """
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        token = f"sw_{token_id}_{secret}"
        fields = {"id": token_id, "name": name, "role": role, "tenant": tenant, "sha256": _hash(token)}
        try:
            made = msgspec.convert(fields | {"created_at": now}, StoredToken)
        except msgspec.ValidationError as error:
            message = f"name {name!r}, tenant {tenant!r}: letters, digits, space and . _ @ - are allowed, 64 at most"
            raise StoreError(message) from error
        self._write([*self.all(), made])
        return token

    def revoke(self, which: str, now: datetime) -> list[StoredToken]:
        """End a token, by its id or its owner's name, and return those that ended.

        Raises:
            StoreError: There is no such token that is in force.
        """
        ended = [token for token in self.all() if which in (token.id, token.name) and token.revoked_at is None]
        if not ended:
            message = f"no token in force has the id or name {which!r}: `streamwatch desk token list` shows them"
            raise StoreError(message)
        self._write(
            [msgspec.structs.replace(token, revoked_at=now) if token in ended else token for token in self.all()]
        )
        return ended

    def all(self) -> list[StoredToken]:
        """Return every token ever made, oldest first."""
        with self._lock:
            self._reload()
            return list(self._tokens.values())

    def find(self, presented: str) -> Principal | None:
        """Return whose token this is, or None if it is none in force."""
        match = _TOKEN.fullmatch(presented)
        token = self.by_id(match.group(1)) if match else None
        # An unknown id takes as long as a wrong secret.
        known = hmac.compare_digest(token.sha256 if token else _NO_HASH, _hash(presented))
        return token.principal() if token and known else None

    def by_id(self, token_id: str) -> StoredToken | None:
        """Return the token of an id, if it is in force."""
        with self._lock:
            self._reload()
            token = self._tokens.get(token_id)
        return token if token and token.revoked_at is None else None

    def _reload(self) -> None:
        """Read the file if it is not the one that was read last."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._tokens, self._seen = {}, None
            return
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return
        try:
            tokens = self._json.decode(self._path.read_bytes())
        except (msgspec.DecodeError, OSError) as error:
            message = f"{self._path} cannot be read: {error}"
            raise StoreError(message) from error
        self._tokens, self._seen = {token.id: token for token in tokens}, seen

    def _write(self, tokens: list[StoredToken]) -> None:
        write_private(self._path, msgspec.json.format(msgspec.json.encode(tokens), indent=1))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
