"""What people at the desk say of alerts: acknowledged, muted, commented. Nothing is ever overwritten."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from streamwatch.desk.journal import Journal

NoteKind = Literal["acknowledge", "unacknowledge", "mute", "unmute", "comment"]


class AlertNote(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that somebody said of an alert; `until` is of a mute."""

    tenant: str
    fingerprint: str
    kind: NoteKind
    by: str
    at: datetime
    text: Annotated[str, Meta(max_length=4_000)] = ""
    until: datetime | None = None


class Acknowledged(Struct, frozen=True):
    """Who has an alert in hand, and since when."""

    by: str
    at: datetime
    text: str = ""


class Comment(Struct, frozen=True):
    """A comment on an alert."""

    by: str
    at: datetime
    text: str


class DeskState(Struct, kw_only=True):
    """How an alert stands at one tenant's desk.

    Attributes:
        acknowledged: By whom, if it is.
        muted_until: When its mute ends, if it is muted.
        muted_by: Who muted it.
        comments: Oldest first.
    """

    acknowledged: Acknowledged | None = None
    muted_until: datetime | None = None
    muted_by: str | None = None
    comments: list[Comment] = field(default_factory=list)

    def take(self, note: AlertNote) -> None:
        """Let a note count."""
        if note.kind == "comment":
            self.comments.append(Comment(note.by, note.at, note.text))
        elif note.kind == "acknowledge":
            self.acknowledged = Acknowledged(note.by, note.at, note.text)
        elif note.kind == "unacknowledge":
            self.acknowledged = None
        else:
            mutes = note.kind == "mute"
            self.muted_until, self.muted_by = (note.until, note.by) if mutes else (None, None)


class Notes:
    """The notes of a state folder, in `desk/alert_notes.jsonl`."""

    def __init__(self, state_dir: Path) -> None:
        self._notes = Journal(state_dir / "desk" / "alert_notes.jsonl", AlertNote)

    def add(self, note: AlertNote) -> None:
        """Keep a note."""
        self._notes.append(note)

    def states(self, tenant: str) -> dict[str, DeskState]:
        """Return how alerts stand at a tenant's desk, by fingerprint; those that nobody noted are left out."""
        states: dict[str, DeskState] = {}
        for note in self._notes.records():
            if note.tenant == tenant:
                states.setdefault(note.fingerprint, DeskState()).take(note)
        return states

    def count(self) -> int:
        """Return how many notes there are; it only ever grows."""
        return len(self._notes.records())
