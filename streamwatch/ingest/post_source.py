"""Where posts come from, as far as a program must know: anything that can be asked for what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from streamwatch.records import Post


class Polled(NamedTuple):
    """What a source gave: its new posts in the order in which they go, and where it will go on from."""

    posts: Sequence[Post]
    cursor: str


class PostSource(Protocol):
    """Something that has posts.

    It keeps nothing itself. What it needs to know at its next poll it says as a `cursor`, any text of its own; the
    cursor is kept in the same step as the posts, so no kill comes between. A post whose id was among the source's
    last 5,000 is not sent again, so a source may give one twice; a good id follows from what the post is, not from
    when it was read.

    A folder of text files, for example, one post each, in the order of their names:

    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> class Folder:
    ...     name = "notes"
    ...
    ...     def __init__(self, folder: Path) -> None:
    ...         self.folder = folder
    ...
    ...     def poll(self, cursor: str) -> Polled:
    ...         files = [file for file in sorted(self.folder.glob("*.txt")) if file.name > cursor]
    ...         return Polled([self._post(file) for file in files], files[-1].name if files else cursor)
    ...
    ...     def _post(self, file: Path) -> Post:
    ...         written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    ...         return Post(id=f"notes:{file.name}", source="notes", published_at=written, text=file.read_text())
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "1.txt").write_text("Shares fall")
    ...     posts, cursor = Folder(Path(folder)).poll("")
    >>> posts[0].id, cursor
    ('notes:1.txt', '1.txt')

    `jobs.ingest.send_new(config, connection, [Folder(Path("inbox"))])` then sends what is new in it.
    """

    @property
    def name(self) -> str:
        """Under which name its cursor and ids are kept: letters, digits, dots, dashes and underscores."""

    def poll(self, cursor: str) -> Polled:
        """Return what came since `cursor` was returned; empty: the first time.

        Raises:
            SourceError: It cannot be read now.
        """
