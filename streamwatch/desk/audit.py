"""The audit log: who changed what, when, and with which outcome."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from msgspec import Struct

from streamwatch.desk.journal import Journal


class Deed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the log. It holds no secret: neither tokens nor the content of what was sent.

    Attributes:
        at: When.
        who: Name of the token's owner; empty where nobody was known.
        token_id: Of which token.
        tenant: Whose.
        what: Method and path, or the command.
        outcome: The HTTP status, or `done`.
    """

    at: datetime
    who: str
    what: str
    outcome: str
    token_id: str = ""
    tenant: str = ""


class AuditLog(Journal[Deed]):
    """The log of a state folder, in `desk/audit.jsonl`."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir / "desk" / "audit.jsonl", Deed)
