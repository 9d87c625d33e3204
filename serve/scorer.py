"""The scorer as a Ray Serve application: replicas that each hold the model and score micro-batches."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
from ray import serve
from ray.serve.handle import DeploymentHandle

from streamwatch.config import Config, ModelConfig
from streamwatch.errors import ModelError
from streamwatch.model.scorer import Scorer

APPLICATION = "streamwatch-scorer"
CALLS_PER_REPLICA = 2
"""One call is scored while the next one is on its way; more would only wait in the replica."""
FAILURES_IN_A_ROW = 5
QUIET = {"log_level": "WARNING", "enable_access_log": False}


class ScoredTexts(NamedTuple):
    """What a replica answers: the columns that the model adds, and the tokens it took."""

    columns: pa.RecordBatch
    tokens: int


class ScorerReplica:
    """A replica of the model. One thread scores, so that the event loop stays free for health checks."""

    def __init__(self, model: ModelConfig) -> None:
        self._scorer = Scorer.load(model)
        self._failures = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")

    async def score(self, asked: pa.RecordBatch) -> ScoredTexts:
        """Score the column `text`, the entities spelt as in `mentions`, read with `parent`; in the same order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, asked)

    def check_health(self) -> None:
        """Let Serve replace this replica when the model failed on everything lately, as after a fault of the GPU."""
        if self._failures >= FAILURES_IN_A_ROW:
            message = f"the model failed {self._failures} times in a row"
            raise ModelError(message)

    def _score(self, asked: pa.RecordBatch) -> ScoredTexts:
        self._failures += 1
        scores = self._scorer.predict(*(asked.column(name) for name in ("text", "mentions", "parent")))
        self._failures = 0
        return ScoredTexts(pa.record_batch(scores.columns()), scores.stats.tokens)


def deploy(config: Config) -> DeploymentHandle[Any]:
    """Start the scorer's replicas and wait until they answer."""
    # Stages call by handle: no HTTP port is opened for it.
    serve.start(proxy_location="Disabled", logging_config=QUIET)
    deployment: Any = serve.deployment(
        num_replicas=config.serve.replicas,
        max_ongoing_requests=CALLS_PER_REPLICA,
        health_check_period_s=5,
        health_check_timeout_s=30,
        logging_config=QUIET,
    )(ScorerReplica)
    application = deployment.bind(config.model)
    return serve.run(application, name=APPLICATION, route_prefix=None)


def retire() -> None:
    """Take the scorer off a cluster that goes on without us; other applications stay."""
    serve.delete(APPLICATION)
