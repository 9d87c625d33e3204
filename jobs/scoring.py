"""Calls to the scorer that outlive its replicas."""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple

import pyarrow as pa
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

from serve.scorer import ScoredTexts
from streamwatch.errors import StageError

Response = DeploymentResponse[Any] | DeploymentResponseGenerator[Any]

log = logging.getLogger(__name__)

PASSING = (RayActorError, BackPressureError, DeploymentUnavailableError)
"""A replica died or none has room: the same call may succeed a moment later. Serve does not repeat it by itself."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


class Call:
    """One micro-batch on its way through the scorer, sent again as often as a replica dies under it.

    Args:
        handle: The scorer.
        batch: The micro-batch: columns `text`, `mentions` and `parent`.
        retry_for_s: How long to send it again, from the first failure on, before giving up.
    """

    def __init__(self, handle: DeploymentHandle[Any], batch: pa.RecordBatch, retry_for_s: float) -> None:
        self._handle = handle
        self._asked = batch.select(["text", "mentions", "parent"])
        self._retry_for_s = retry_for_s
        self._give_up_at: float | None = None
        self._wait_s = FIRST_WAIT_S
        self._response: Response = handle.score.remote(self._asked)
        self.sent_at = time.monotonic()
        self.retries = 0

    def result(self, timeout_s: float) -> ScoredTexts | None:
        """Return the answer, or None when it is not there within `timeout_s`.

        Raises:
            StageError: No replica could answer for `retry_for_s`.
            RayTaskError: The model itself failed on these texts.
        """
        try:
            answer: ScoredTexts = self._response.result(timeout_s=timeout_s)
        except TimeoutError:
            return None
        except RayTaskError as error:
            if not isinstance(error, PASSING):
                raise
            self._send_again(error)
        except PASSING as error:
            self._send_again(error)
        else:
            return answer
        return None

    def _send_again(self, error: Exception) -> None:
        now = time.monotonic()
        self._give_up_at = self._give_up_at or now + self._retry_for_s
        if now > self._give_up_at:
            message = f"no scorer replica answered: {error}; see the replicas' logs"
            raise StageError(message) from error
        log.warning("scorer call failed, sending again", extra={"error": type(error).__name__, "wait_s": self._wait_s})
        time.sleep(self._wait_s)
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        self.retries += 1
        self._response = self._handle.score.remote(self._asked)


class Sifted(NamedTuple):
    """What is left of a micro-batch on which the model failed: the rows it can score, and why it cannot the rest."""

    scored: list[tuple[int, ScoredTexts]]
    failed: dict[int, str]


def sift(handle: DeploymentHandle[Any], batch: pa.RecordBatch, retry_for_s: float) -> Sifted:
    """Score a micro-batch row by row after the model failed on it as a whole, so that one text costs only itself.

    Raises:
        StageError: Every row fails: then the model is broken, not a text.
    """
    scored: list[tuple[int, ScoredTexts]] = []
    failed: dict[int, str] = {}
    for row in range(batch.num_rows):
        # A copy: pickling a slice ships the whole buffers it looks into.
        alone = pa.RecordBatch.from_pylist([batch.slice(row, 1).to_pylist()[0]], schema=batch.schema)
        try:
            scored.append((row, _wait(Call(handle, alone, retry_for_s))))
        except RayTaskError as error:
            failed[row] = f"the model fails on this text: {error.cause}"
    if batch.num_rows > 1 and not scored:
        message = f"the scorer fails on every text: {failed[0]}"
        raise StageError(message)
    return Sifted(scored, failed)


def _wait(call: Call) -> ScoredTexts:
    while (answer := call.result(timeout_s=1.0)) is None:
        pass
    return answer
