"""Keep the stages running: start them, watch them, start them again, and say how they are."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray
from prometheus_client.metrics_core import Metric
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from jobs.stage import Stage, StageReport
from streamwatch.errors import ConfigError, StageError, StreamMismatch, StreamwatchError
from streamwatch.logs import configure_logging

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
STEADY_AFTER_S = 60.0
"""A stage that ran this long before it ended starts again at once: its fault is not the last one's."""
REPORT_TIMEOUT_S = 5.0
"""A stage that did not answer for so long does not count as up."""
SILENT_FOR_S = 120.0
"""After so long its process is ended and started again."""
THREADS = 4
"""Of a stage's process: one runs the stage, the others answer meanwhile."""
FATAL = (ConfigError, StreamMismatch)
"""Starting again cannot mend these."""
FATAL_AFTER = 3
"""A broker that has just started again may show a stream shorter than it is for a moment."""


class StageProcess:
    """A stage in a process of its own. One thread runs it; others answer `stop` and `report` meanwhile."""

    def __init__(self, make: Callable[[], Stage[Any]]) -> None:
        configure_logging()
        self._make = make
        self._stage: Stage[Any] | None = None
        self._stopped = False

    def run(self) -> None:
        """Run the stage until it is stopped; what ends it otherwise is logged here, where its traceback is."""
        try:
            self._stage = self._make()
            if not self._stopped:
                self._stage.run()
        except StreamwatchError:
            raise
        except Exception:
            log.exception("stage failed")
            raise

    def stop(self) -> None:
        """Ask the stage to drain and return from `run`."""
        self._stopped = True
        if self._stage:
            self._stage.stop()

    def report(self) -> StageReport:
        """Return how the stage is."""
        return self._stage.report() if self._stage else StageReport(os.getpid(), up=False, figures={}, families=[])


@dataclass
class Supervised:
    """A stage as its supervisor knows it."""

    name: str
    make: Callable[[], Stage[Any]]
    actor: Any = None
    running: Any = None
    restarts: int = -1
    started_at: float = 0.0
    start_at: float = 0.0
    wait_s: float = FIRST_WAIT_S
    last_error: str | None = None
    lasting: int = 0
    report: StageReport | None = None
    asked: Any = None
    asked_at: float = 0.0


@dataclass
class Supervisor:
    """Run stages as actors until told to stop.

    Args:
        makers: For each stage's name, what makes it inside its actor.
    """

    makers: dict[str, Callable[[], Stage[Any]]]
    stages: list[Supervised] = field(init=False)

    def __post_init__(self) -> None:
        self.stages = [Supervised(name, make) for name, make in self.makers.items()]

    def tend(self) -> None:
        """Start what is not running, look after what is, and gather reports. Call it every second or so.

        Raises:
            StreamwatchError: A stage met a fault that starting again cannot mend.
        """
        for stage in self.stages:
            if stage.running is None and time.monotonic() >= stage.start_at:
                _start(stage)
            elif stage.running is not None and ray.wait([stage.running], timeout=0)[0]:
                _ended(stage)
        self._gather()

    def up(self) -> bool:
        """Say whether every stage takes messages."""
        return all(stage.report is not None and stage.report.up for stage in self.stages)

    def families(self) -> dict[str, list[Metric]]:
        """Return the metric families that each stage last reported."""
        return {stage.name: stage.report.families for stage in self.stages if stage.report}

    def status(self) -> dict[str, Any]:
        """Return how each stage is, for `/status`."""
        return {stage.name: _status(stage) for stage in self.stages}

    def stop(self, timeout_s: float) -> None:
        """Stop the stages in their order, each once the one before has drained and committed.

        Raises:
            StageError: A stage did not end cleanly in time.
        """
        faults = [fault for stage in self.stages if (fault := _stop(stage, timeout_s))]
        if faults:
            raise StageError("; ".join(faults))

    def _gather(self) -> None:
        """Take the reports that are there, and ask for new ones; a process that gives none for long is ended."""
        now = time.monotonic()
        for stage in self.stages:
            if stage.running is None:
                continue
            if stage.asked is None:
                stage.asked, stage.asked_at = stage.actor.report.remote(), now
            elif ray.wait([stage.asked], timeout=0)[0]:
                stage.report = _report(stage.asked)
                stage.asked = None
            elif now - stage.asked_at > SILENT_FOR_S:
                log.error("stage does not answer, ending its process", extra={"stage": stage.name})
                ray.kill(stage.actor)
                stage.asked = None
            elif now - stage.asked_at > REPORT_TIMEOUT_S:
                stage.report = None


def _report(asked: Any) -> StageReport | None:
    try:
        report: StageReport = ray.get(asked)
    except RayError:
        return None
    return report


def _start(stage: Supervised) -> None:
    stage.restarts += 1
    stage.started_at = time.monotonic()
    actor: Any = ray.remote(StageProcess)
    stage.actor = actor.options(num_cpus=0, max_restarts=0, max_concurrency=THREADS).remote(stage.make)
    stage.running = stage.actor.run.remote()
    log.info("stage started", extra={"stage": stage.name, "restarts": stage.restarts})


def _ended(stage: Supervised) -> None:
    """Plan the next start of a stage whose process died or whose loop ended."""
    error = _fault(stage)
    stage.last_error = str(error)
    stage.report = None
    if stage.actor:
        ray.kill(stage.actor)
    stage.actor = stage.running = stage.asked = None
    stage.lasting = stage.lasting + 1 if isinstance(error, FATAL) else 0
    if stage.lasting >= FATAL_AFTER:
        raise error
    steady = time.monotonic() - stage.started_at >= STEADY_AFTER_S
    stage.wait_s = FIRST_WAIT_S if steady else min(2 * stage.wait_s, LONGEST_WAIT_S)
    stage.start_at = time.monotonic() + stage.wait_s
    log.error(
        "stage ended, starting it again", extra={"stage": stage.name, "error": stage.last_error, "wait_s": stage.wait_s}
    )


def _fault(stage: Supervised) -> Exception:
    try:
        ray.get(stage.running)
    except RayTaskError as error:
        cause = error.cause
        return cause if isinstance(cause, StreamwatchError) else StageError(f"{type(cause).__name__}: {cause}")
    except RayActorError:
        return StageError(f"the process of {stage.name} died")
    except RayError as error:
        return StageError(f"{stage.name}: {error}")
    return StageError(f"{stage.name} ended by itself")


def _stop(stage: Supervised, timeout_s: float) -> str | None:
    """Stop one stage; return what went wrong, if anything did."""
    if stage.actor is None or stage.running is None:
        log.warning("stage was not running at the end", extra={"stage": stage.name, "error": stage.last_error})
        return None
    try:
        stage.actor.stop.remote()
        ray.get(stage.running, timeout=timeout_s)
    except GetTimeoutError:
        return f"{stage.name} did not drain within {timeout_s:.0f} s"
    except RayError as error:
        return f"{stage.name}: {error}"
    return None


def _status(stage: Supervised) -> dict[str, Any]:
    report = stage.report
    return {
        "state": "up" if report and report.up else "starting" if stage.running else "waiting",
        "pid": report.pid if report else None,
        "restarts": stage.restarts,
        "last_error": stage.last_error,
        **(report.figures if report else {}),
    }
