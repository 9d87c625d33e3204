"""How the desk tells of the monitor, asked of a real endpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from jobs.endpoint import Endpoint
from jobs.monitor_process import free_port
from streamwatch.config import Config, MetricsConfig
from streamwatch.desk.desk import Desk
from streamwatch.desk.pipeline import read_pipeline
from streamwatch.errors import StageError
from tests.stored_desk import client_of

STATUS: dict[str, Any] = {
    "healthy": False,
    "throughput_posts_s": 12.5,
    "stages": {
        "SCORE-0": {"state": "up", "restarts": 0},
        "WATCH": {"state": "waiting", "restarts": 2, "watermark": "2026-01-05T14:00:00+00:00"},
    },
    "lag": [
        {"stage": "score", "stream": "posts", "lag": 3},
        {"stage": "archive", "stream": "scored", "lag": 4},
        {"stage": "archive", "stream": "windows", "lag": 5},
    ],
    "watchdog": [
        {"alert": "SourceSilent", "group": "wire", "since": "2026-01-05T09:00:00+00:00", "reason": "wire is silent."}
    ],
}


def test_it_tells_what_the_monitor_says(tmp_path: Path) -> None:
    metrics = MetricsConfig(port=free_port())
    registry = CollectorRegistry()
    letters = Counter("streamwatch_score_dead_letters", "Dead letters", ["stage"], registry=registry)
    letters.labels("SCORE-0").inc(2)
    letters.labels("SCORE-1").inc(1)
    endpoint = Endpoint(metrics, registry, lambda: STATUS)
    desk = Desk(Config(state_dir=tmp_path, metrics=metrics))

    async def asked() -> Any:
        async with client_of(desk) as client:
            return (await client.get("/v1/pipeline")).raise_for_status().json()

    try:
        found = asyncio.run(asked())
    finally:
        endpoint.close()
    assert (found["running"], found["healthy"], found["lag"], found["dead_letters"]) == (True, False, 9, 3)
    assert found["watermark"] == "2026-01-05T14:00:00Z"
    assert [stage["stage"] for stage in found["stages"] if stage["state"] != "up"] == ["WATCH"]
    assert found["watchdog"][0]["reason"] == "wire is silent."


def test_no_monitor_is_no_fault() -> None:
    assert not read_pipeline(MetricsConfig(port=free_port())).running


def test_what_answers_otherwise_is_no_monitor() -> None:
    metrics = MetricsConfig(port=free_port())
    endpoint = Endpoint(metrics, CollectorRegistry(), lambda: {"stages": 7})
    try:
        with pytest.raises(StageError, match="does not answer as a monitor does"):
            read_pipeline(metrics)
    finally:
        endpoint.close()
