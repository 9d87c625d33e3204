"""What the three stages share: they run until stopped, and say how they are."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

from prometheus_client.metrics_core import Metric

from streamwatch.metrics import StageMetrics


class StageReport(NamedTuple):
    """How a stage is: its process, whether it takes messages, its figures and metric families."""

    pid: int
    up: bool
    figures: dict[str, Any]
    families: list[Metric]


M = TypeVar("M", bound=StageMetrics)


class Stage(ABC, Generic[M]):
    """A loop between streams. `run` returns once `stop` was called and what was begun is committed.

    Args:
        metrics: What the stage counts.
    """

    def __init__(self, metrics: M) -> None:
        self.metrics = metrics
        self._stopping = threading.Event()
        self._up = threading.Event()

    def run(self) -> None:
        """Do the stage's work until stopped.

        Raises:
            StreamwatchError: The stage cannot go on; nothing unfinished was committed.
        """
        self.open()
        try:
            self._up.set()
            while not self._stopping.is_set():
                self.step()
            self.drain()
        finally:
            self._up.clear()
            self.close()

    def stop(self) -> None:
        """Ask the stage to finish what it has begun, commit, and return from `run`."""
        self._stopping.set()

    def report(self) -> StageReport:
        """Return how the stage is now."""
        return StageReport(os.getpid(), self._up.is_set(), self.figures(), self.metrics.families())

    @abstractmethod
    def open(self) -> None:
        """Connect, and go back to where the last commit says."""

    @abstractmethod
    def step(self) -> None:
        """Take some messages and do their work; returns within about a second."""

    @abstractmethod
    def drain(self) -> None:
        """Finish what was begun and commit it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of every connection."""

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """Return the figures that `streamwatch status` shows."""
