"""Calls that outlive replicas, on a real Ray Serve."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import ray
from ray import serve
from ray.exceptions import RayTaskError
from ray.serve.handle import DeploymentHandle

from jobs.ray_cluster import ray_cluster
from jobs.scoring import Call, sift
from serve.scorer import ScoredTexts
from streamwatch.config import Config
from streamwatch.errors import StageError

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]


class Echo:
    """A scorer that says who answered; some texts it cannot take, and one kills it."""

    async def score(self, asked: pa.RecordBatch) -> ScoredTexts:
        texts = asked.column("text")
        words = texts.to_pylist()
        if "poison" in words:
            message = "cannot read poison"
            raise ValueError(message)
        return ScoredTexts(pa.record_batch({"text": texts, "pid": [os.getpid()] * len(words)}), len(words))


@pytest.fixture(scope="module")
def echo() -> Iterator[DeploymentHandle[Any]]:
    with ray_cluster(Config()):
        serve.start(proxy_location="Disabled")
        deployment: Any = serve.deployment(num_replicas=1, health_check_period_s=1)(Echo)
        yield serve.run(deployment.bind(), name="echo", route_prefix=None)


def batch(*texts: str) -> pa.RecordBatch:
    mentions = pa.array([[] for _ in texts], pa.list_(pa.string()))
    parents = pa.nulls(len(texts), pa.string())
    return pa.record_batch({"id": list(texts), "text": list(texts), "mentions": mentions, "parent": parents})


def answer(call: Call) -> ScoredTexts:
    while (found := call.result(timeout_s=1.0)) is None:
        pass
    return found


def test_a_call_outlives_its_replica(echo: DeploymentHandle[Any]) -> None:
    texts = batch("a", "b")
    first = answer(Call(echo, texts, retry_for_s=60))
    os.kill(first.columns.column("pid")[0].as_py(), signal.SIGKILL)
    again = Call(echo, texts, retry_for_s=60)
    second = answer(again)
    assert second.columns.column("text").to_pylist() == ["a", "b"]
    assert second.columns.column("pid")[0] != first.columns.column("pid")[0]


def test_a_text_that_the_model_cannot_take_costs_only_itself(echo: DeploymentHandle[Any]) -> None:
    texts = batch("a", "poison", "b")
    with pytest.raises(RayTaskError):
        answer(Call(echo, texts, retry_for_s=60))
    sifted = sift(echo, texts, retry_for_s=60)
    assert [row for row, _ in sifted.scored] == [0, 2]
    assert list(sifted.failed) == [1]
    assert "cannot read poison" in sifted.failed[1]


def test_a_broken_model_stops_the_stage(echo: DeploymentHandle[Any]) -> None:
    with pytest.raises(StageError, match="every text"):
        sift(echo, batch("poison", "poison"), retry_for_s=60)
    assert ray.is_initialized()
