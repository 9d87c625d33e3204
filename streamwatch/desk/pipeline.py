"""How the monitor is that brings the desk its figures: asked of its own endpoint."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
from msgspec import Struct

from streamwatch.config import MetricsConfig
from streamwatch.errors import StageError

TIMEOUT_S = 2.0
DEAD_LETTERS = "_dead_letters_total"


class Stage(Struct, frozen=True):
    """A stage of the monitor: its name, how it is, and how often it was started again."""

    stage: str
    state: str
    restarts: int


class Fault(Struct, frozen=True):
    """What the watchdog says is wrong with the monitor itself."""

    alert: str
    group: str
    since: datetime
    reason: str


class Pipeline(Struct, frozen=True, kw_only=True):
    """How the monitor is.

    Attributes:
        running: Whether one answers; without it the rest is empty.
        healthy: Every stage is up.
        lag: Messages that the stage furthest behind has not handled.
        watermark: Up to where the windows are closed, in event time.
        dead_letters: Messages that could not be read since the monitor started.
        watchdog: What is wrong with the monitor itself.
    """

    running: bool = False
    healthy: bool = False
    throughput_posts_s: float = 0.0
    lag: int | None = None
    watermark: datetime | None = None
    dead_letters: int | None = None
    stages: list[Stage] = []
    watchdog: list[Fault] = []


def read_pipeline(config: MetricsConfig) -> Pipeline:
    """Ask the monitor how it is.

    Raises:
        StageError: What answers there is no monitor.
    """
    url = f"http://{config.host}:{config.port}"
    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
            status, metrics = client.get("/status"), client.get("/metrics")
            return told(status.raise_for_status().json(), metrics.raise_for_status().text)
    except httpx.TransportError:
        return Pipeline()
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{url} does not answer as a monitor does: {error!r}; check metrics.host and metrics.port"
        raise StageError(message) from error


def told(status: dict[str, Any], metrics: str) -> Pipeline:
    """Return what the monitor's `/status` and `/metrics` say.

    >>> status = {
    ...     "healthy": True,
    ...     "stages": {"WATCH": {"state": "up", "restarts": 1, "watermark": "2026-01-05T14:00:00+00:00"}},
    ...     "lag": [{"stage": "watch", "stream": "streamwatch.scored", "lag": 7}],
    ... }
    >>> found = told(status, 'streamwatch_score_dead_letters_total{stage="SCORE-0"} 2.0')
    >>> found.lag, found.dead_letters, found.stages
    (7, 2, [Stage(stage='WATCH', state='up', restarts=1)])
    """
    stages: dict[str, dict[str, Any]] = status["stages"]
    lags: dict[str, int] = {}
    for at in status.get("lag", []):
        lags[at["stage"]] = lags.get(at["stage"], 0) + at["lag"]
    marks = [stage["watermark"] for stage in stages.values() if stage.get("watermark")]
    return Pipeline(
        running=True,
        healthy=status["healthy"],
        throughput_posts_s=status.get("throughput_posts_s", 0.0),
        lag=max(lags.values(), default=None),
        watermark=min(map(datetime.fromisoformat, marks), default=None),
        dead_letters=_dead_letters(metrics),
        stages=[
            Stage(name, stage.get("state", "unknown"), stage.get("restarts") or 0) for name, stage in stages.items()
        ],
        watchdog=[
            Fault(wrong["alert"], wrong["group"], datetime.fromisoformat(wrong["since"]), wrong["reason"])
            for wrong in status.get("watchdog", [])
        ],
    )


def _dead_letters(metrics: str) -> int:
    lines = (line.rpartition(" ") for line in metrics.splitlines() if not line.startswith("#"))
    return int(sum(float(value) for name, _, value in lines if name.partition("{")[0].endswith(DEAD_LETTERS)))
