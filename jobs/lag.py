"""How far every stage is behind, measured beside the stages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

from kafka.errors import KafkaError
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamwatch.errors import BrokerError
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.progress import Progress, StageProgress

log = logging.getLogger(__name__)

MEASURE_EVERY_S = 2.0


class LagMeter(Collector):
    """Compare, every two seconds, what each stage has committed with the ends of its streams.

    A thread of its own asks the broker, so that a broker that does not answer holds nothing up.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._progress: list[StageProgress] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="lag", daemon=True)
        self._thread.start()

    def collect(self) -> Iterator[Metric]:
        """Yield `streamwatch_lag_messages` for each stage and stream."""
        family = GaugeMetricFamily(
            "streamwatch_lag_messages", "Messages that a stage has not committed yet", labels=["stage", "stream"]
        )
        for at in self._progress:
            family.add_metric([at.stage, at.stream], at.lag)
        yield family

    def status(self) -> list[dict[str, Any]]:
        """Return the lag of each stage and stream, for `/status`."""
        return [at._asdict() for at in self._progress]

    def close(self) -> None:
        """Stop measuring."""
        self._stopping.set()
        self._thread.join(timeout=2 * MEASURE_EVERY_S)

    def _measure(self) -> None:
        while not self._stopping.wait(MEASURE_EVERY_S):
            try:
                with Progress(self._connection) as progress:
                    self._progress = progress.stages()
                    while not self._stopping.wait(MEASURE_EVERY_S):
                        self._progress = progress.stages()
            except (BrokerError, KafkaError, OSError) as error:
                log.warning("the lag cannot be measured", extra={"error": str(error)})
