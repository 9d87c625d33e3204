"""Wait, with a progress bar, until the monitor has scored, watched and stored what was sent."""

from __future__ import annotations

import threading

from streamwatch.cli.output import progress_bar
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.progress import Waiting, wait_until_archived

DOING = {"score": "Scoring", "watch": "Watching", "archive": "Storing"}


class Stopped(Exception):
    """The person did not want to wait any longer."""


def wait_for_archive(connection: Connection, timeout_s: float, stopping: threading.Event) -> bool:
    """Return True once everything in the stream stands in the tables, or False when `stopping` was set before.

    Raises:
        StageError: A stage makes no progress for `timeout_s`.
    """
    with progress_bar("{task.fields[left]:,} messages left") as bar:
        task = bar.add_task("Waiting", total=None, left=0)
        most: dict[str, int] = {}

        def show(waiting: Waiting) -> None:
            if stopping.is_set():
                raise Stopped
            most[waiting.stage] = total = max(waiting.left, most.get(waiting.stage, 1))
            name = DOING.get(waiting.stage, waiting.stage)
            bar.update(task, description=name, total=total, completed=total - waiting.left, left=waiting.left)

        try:
            wait_until_archived(connection, show, timeout_s)
        except Stopped:
            return False
    return True
