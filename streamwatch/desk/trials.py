"""Back-tests for the desk: in a process of their own, one at a time, ended when they take too long."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from streamwatch.config import WatchConfig
from streamwatch.errors import QueryRefused, QueryTooLong


class TrialJob(Struct, frozen=True):
    """Two monitors files to run over the stored posts of some time."""

    store_url: str
    changed: str
    current: str
    watch: WatchConfig
    start: datetime | None = None
    end: datetime | None = None


class TrialAnswer(Struct, frozen=True):
    """What a trial found, or why there was none."""

    error: str = ""
    found: dict[str, Any] | None = None


class TrialRunner:
    """Runs one trial at a time.

    Args:
        timeout_s: How long one may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()

    def run(self, job: TrialJob) -> dict[str, Any]:
        """Return what a trial found.

        Raises:
            QueryRefused: There are no posts in this time, or the store cannot be read.
            QueryTooLong: It took too long, or another one is running.
        """
        if not self._lock.acquire(blocking=False):
            message = "another back-test is running: try again when it is done"
            raise QueryTooLong(message)
        try:
            command = [sys.executable, "-m", "streamwatch.desk.trial_process"]
            asked = msgspec.json.encode(job)
            ended = subprocess.run(command, input=asked, stdout=subprocess.PIPE, timeout=self._timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            message = f"the back-test did not end within {self._timeout_s:g} s: take a shorter time"
            raise QueryTooLong(message) from error
        finally:
            self._lock.release()
        answer = msgspec.json.decode(ended.stdout or b'{"error": "it failed; see the log"}', type=TrialAnswer)
        if answer.found is None:
            message = f"back-test: {answer.error}"
            raise QueryRefused(message)
        return answer.found
