"""What was sent from a source: so that a restart, or a kill between any two steps, sends nothing twice.

A batch is written down before it is sent, with the ends of the stream as they were then. Whoever finds a batch
written down and not settled looks in the stream, from those ends on, which of its posts are there, and sends the rest.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct, field

from streamwatch.durable_file import write_durably
from streamwatch.errors import SourceError
from streamwatch.ingest.post_source import Polled
from streamwatch.records import Post

MAX_SENT = 5_000
"""So many ids of a source are remembered, the last ones seen."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Account(Struct, frozen=True, forbid_unknown_fields=True):
    """What a ledger's file says.

    Attributes:
        cursor: Where the source goes on from.
        sent: Ids of posts that were sent, or are waiting, those last seen at the end.
        waiting: Posts that may not be in the stream yet.
        ends: By partition, where the stream ended before they were sent.
    """

    cursor: str = ""
    sent: list[str] = field(default_factory=list)
    waiting: list[Post] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)


class Ledger:
    """The ledger of one source.

    Args:
        file: Where it is kept; it need not be there.

    Raises:
        SourceError: The file is damaged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._account = Account()
        if file.exists():
            try:
                self._account = msgspec.json.decode(file.read_bytes(), type=Account)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                message = f"{file} is damaged ({error}): delete it, and what its source still holds is sent once more"
                raise SourceError(message) from error

    @property
    def cursor(self) -> str:
        """Where the source goes on from."""
        return self._account.cursor

    @property
    def waiting(self) -> Sequence[Post]:
        """Posts that may not be in the stream yet."""
        return self._account.waiting

    @property
    def ends(self) -> Mapping[int, int]:
        """By partition, where the stream ended before the waiting posts were sent."""
        return self._account.ends

    def new(self, posts: Iterable[Post]) -> list[Post]:
        """Return those posts that were not sent yet, each once."""
        sent = set(self._account.sent)
        return list({post.id: post for post in posts if post.id not in sent}.values())

    def begin(self, polled: Polled, new: Sequence[Post], ends: Mapping[int, int]) -> None:
        """Write down that these posts are about to be sent, and where the source goes on."""
        seen = dict.fromkeys(post.id for post in polled.posts)
        sent = [known for known in self._account.sent if known not in seen] + list(seen)
        account = Account(polled.cursor, sent[-max(MAX_SENT, len(seen)) :], list(new), dict(ends) if new else {})
        if account != self._account:
            self._write(account)

    def settle(self) -> None:
        """Write down that everything is in the stream."""
        if self._account.waiting:
            self._write(msgspec.structs.replace(self._account, waiting=[], ends={}))

    def _write(self, account: Account) -> None:
        write_durably(self._file, msgspec.json.encode(account))
        self._account = account


class Ledgers:
    """The ledgers in a folder; leaving the `with` lets others have them.

    Args:
        folder: Made if it is not there.

    Raises:
        SourceError: Another process has them.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = (folder / ".lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            message = f"another `streamwatch ingest` works in {folder}: stop it, or take another state_dir"
            raise SourceError(message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def open(self, name: str) -> Ledger:
        """Return a source's ledger.

        Raises:
            SourceError: The name cannot be a file's, or the file is damaged.
        """
        if not _NAME.fullmatch(name):
            message = f"{name!r} is no name for a source: letters, digits, dots, dashes and underscores"
            raise SourceError(message)
        return Ledger(self._folder / f"{name}.json")
