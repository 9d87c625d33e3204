"""The watchdog beside the stages: it looks at them every few seconds and posts what is wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client.metrics_core import Metric

from streamwatch.config import Config
from streamwatch.watch.alertmanager import Alertmanager
from streamwatch.watch.watchdog import Facts, Watchdog

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
DEAD_LETTERS = "_dead_letters_total"


class StageWatchdog:
    """Look at the running stages, and tell Alertmanager and the log what is wrong with them.

    It runs in the process that supervises the stages, so that it barks when one of them is down.
    """

    def __init__(self, config: Config) -> None:
        self._watchdog = Watchdog(config.watchdog)
        self._alertmanager = Alertmanager(config.alertmanager)
        self._next_look = time.monotonic() + LOOK_EVERY_S

    def tend(
        self,
        stages: Mapping[str, Mapping[str, Any]],
        families: Mapping[str, Sequence[Metric]],
        lags: Sequence[Mapping[str, Any]],
    ) -> None:
        """Look, if it is time to.

        Args:
            stages: As `Supervisor.status` gives them.
            families: As `Supervisor.families` gives them.
            lags: As `LagMeter.status` gives them.
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        for alert in self._watchdog.look(read_facts(stages, families, lags), datetime.now(UTC)):
            self._alertmanager.put(alert)
            extra = {"status": alert.status, "alert": alert.monitor, "group": alert.group, "reason": alert.brief.en}
            log.warning("watchdog", extra=extra)

    def status(self) -> list[dict[str, Any]]:
        """Return what is wrong, for `/status`."""
        return [
            {"alert": alert.monitor, "group": alert.group, "since": alert.onset.isoformat(), "reason": alert.brief.en}
            for alert in self._watchdog.firing
        ]

    def close(self) -> None:
        """Let go of Alertmanager; what is wrong ends there by itself."""
        self._alertmanager.close()


def read_facts(
    stages: Mapping[str, Mapping[str, Any]],
    families: Mapping[str, Sequence[Metric]],
    lags: Sequence[Mapping[str, Any]],
) -> Facts:
    """Return what the watchdog judges; the arguments are those of `StageWatchdog.tend`."""
    letters = {
        stage: sum(sample.value for family in found for sample in family.samples if sample.name.endswith(DEAD_LETTERS))
        for stage, found in families.items()
    }
    return Facts(
        up={stage: status["state"] == "up" for stage, status in stages.items()},
        lags={(lag["stage"], lag["stream"]): lag["lag"] for lag in lags},
        dead_letters=letters,
        silent=stages.get("WATCH", {}).get("silent_sources"),
    )
