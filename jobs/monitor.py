"""The monitor: the local broker where none is configured, the scorer, and the three stages, in the foreground.

It runs the same on a laptop (`streamwatch run`) and submitted to a Ray cluster (`ray job submit -- python -m
jobs.monitor`): there `ray.address` is `auto`, and `kafka.bootstrap_servers` and `store.url` are set.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from ray import serve

from jobs.archive import ArchiveStage
from jobs.endpoint import Endpoint
from jobs.lag import LagMeter
from jobs.ray_cluster import ray_cluster
from jobs.score import ScoreStage
from jobs.stage import Stage
from jobs.supervisor import Supervisor
from jobs.watch import WatchStage
from jobs.watchdog import StageWatchdog
from serve.deployment import deploy_desk, is_wanted, retire_desk, start_proxy
from serve.scorer import APPLICATION, deploy, retire
from streamwatch.config import Config, load_config
from streamwatch.errors import BrokerError, ConfigError, StreamwatchError
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import running_broker, start_local_broker
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.enrich import Enricher
from streamwatch.ingest.entities import Gazetteer
from streamwatch.logs import configure_logging
from streamwatch.metrics import StageCollector
from streamwatch.watch.monitors import Monitors, load_monitors

log = logging.getLogger(__name__)

TEND_EVERY_S = 0.5
DRAIN_TIMEOUT_S = 60.0
THROUGHPUT_OVER_S = 10.0
SHORTEST_AUTHOR_KEY_BYTES = 16


def run(config: Config) -> int:
    """Run the monitor until SIGTERM or SIGINT, then drain and commit. Return the exit code.

    Raises:
        StreamwatchError: It cannot start, or met a fault that starting a stage again cannot mend.
    """
    monitors = load_monitors(config.monitors.file)
    signals = StopSignals()
    signals.listen()
    with ExitStack() as stack:
        broker = _kept_broker(config, stack)
        connection = connect(config)
        ensure_streams(connection)
        stack.enter_context(ray_cluster(config))
        signals.listen()
        desk = _deploy(config, stack)
        monitor = Monitor(config, connection, monitors, broker, desk)
        stack.callback(monitor.close)
        signals.draining = True
        monitor.tend_until(lambda: signals.asked)
    return 0


def _deploy(config: Config, stack: ExitStack) -> str | None:
    """Start what runs on Serve: the scorer, and the desk if somebody may use it. Return the desk's address."""
    away, wanted = config.ray.address != "local", is_wanted(config)
    if wanted:
        start_proxy(config.desk)
    deploy(config)
    if away:
        stack.callback(retire)
    if wanted and away:
        stack.callback(retire_desk)
    return deploy_desk(config) if wanted else None


class Monitor:
    """The running stages, what watches over them, and what they show of themselves."""

    def __init__(
        self,
        config: Config,
        connection: Connection,
        monitors: Monitors,
        broker: KeptBroker | None,
        desk: str | None,
    ) -> None:
        self._config = config
        self._connection = connection
        self._broker = broker
        self._supervisor = Supervisor(_makers(config, connection, monitors))
        self._families: dict[str, list[Metric]] = {}
        self._throughput = Throughput()
        self._lag = LagMeter(connection)
        self._watchdog = StageWatchdog(config)
        registry = CollectorRegistry()
        registry.register(StageCollector(self._families))
        registry.register(self._lag)
        self._endpoint = Endpoint(config.metrics, registry, self.status)
        self._desk = desk
        self._announced = False

    def tend_until(self, stopped: Callable[[], bool]) -> None:
        """Look after everything until told to stop; then stop the stages, each after the one before it."""
        while not stopped():
            self._tend()
            time.sleep(TEND_EVERY_S)
        log.info("stopping: every stage drains and commits")
        self._supervisor.stop(DRAIN_TIMEOUT_S)

    def status(self) -> dict[str, Any]:
        """Return how the whole monitor is."""
        return {
            "healthy": self._supervisor.up(),
            "pid": os.getpid(),
            "broker_pid": self._broker.broker.pid if self._broker else None,
            "throughput_posts_s": round(self._throughput.rate(), 1),
            "stages": self._supervisor.status(),
            "lag": self._lag.status(),
            "watchdog": self._watchdog.status(),
        }

    def close(self) -> None:
        """Let go of what is not a stage."""
        self._endpoint.close()
        self._lag.close()
        self._watchdog.close()

    def _tend(self) -> None:
        if self._broker:
            self._broker.tend()
        self._supervisor.tend()
        self._families.update(self._supervisor.families())
        self._throughput.add(time.monotonic(), _scored_posts(self._families))
        if self._announced:
            self._watchdog.tend(self._supervisor.status(), self._families, self._lag.status())
        elif self._supervisor.up():
            self._announced = True
            print(self._line(), flush=True)

    def _line(self) -> str:
        kafka = self._broker.broker.kind if self._broker else "Kafka"
        config = self._config
        desk = f", desk at {self._desk}" if self._desk else ""
        return (
            f"streamwatch is up: {kafka} at {self._connection.servers}, tables in {config.store_url()}, "
            f"status at {self._endpoint.address}/status{desk}. Stop it with Ctrl-C."
        )


class Throughput:
    """Posts a second over the last seconds, out of a counter that starts again with its stage."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=round(THROUGHPUT_OVER_S / TEND_EVERY_S))

    def add(self, at_s: float, total: float) -> None:
        """Take the counter's value at a time; a value below the last one begins anew."""
        if self._seen and total < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((at_s, total))

    def rate(self) -> float:
        """Return posts a second between the oldest value kept and the newest."""
        if len(self._seen) < 2:
            return 0.0
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start)


def _scored_posts(families: dict[str, list[Metric]]) -> float:
    samples = [sample for stage in families.values() for family in stage for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "streamwatch_score_posts_total")


def _makers(config: Config, connection: Connection, monitors: Monitors) -> dict[str, Callable[[], Stage[Any]]]:
    """Return, for each stage, what makes it inside its actor. They are stopped in this order."""
    key = _author_key(config)
    members = {
        f"SCORE-{member}": partial(_score, config, connection, member, key) for member in range(config.score.members)
    }
    return {
        **members,
        "WATCH": partial(WatchStage, config, connection, monitors=monitors),
        "ARCHIVE": partial(ArchiveStage, config, connection),
    }


def _score(config: Config, connection: Connection, member: int, author_key: bytes) -> Stage[Any]:
    scorer = serve.get_app_handle(APPLICATION)
    enricher = Enricher(Gazetteer.load(), author_key)
    return ScoreStage(config, connection, member=member, scorer=scorer, enricher=enricher)


def _author_key(config: Config) -> bytes:
    """Return the key of the authors' pseudonyms: the configured one, else one made once for this state folder."""
    configured = config.mask.key()
    if configured:
        value = configured.reveal().encode()
        if len(value) < SHORTEST_AUTHOR_KEY_BYTES:
            place, expected = "configuration", f"at least {SHORTEST_AUTHOR_KEY_BYTES} bytes"
            raise ConfigError(place, "mask.author_key", f"{len(value)} bytes", expected)
        return value
    path = config.state_dir / "author.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.touch(0o600)
        unfinished.write_text(secrets.token_hex(32))
        unfinished.replace(path)
    return path.read_bytes()


class KeptBroker:
    """The local broker, started again on its port and data when it dies."""

    def __init__(self, state_dir: Path, kafka_home: Path | None) -> None:
        self._state_dir = state_dir
        self._kafka_home = kafka_home
        self.broker = start_local_broker(state_dir, kafka_home)

    def tend(self) -> None:
        """Start the broker again if it died."""
        if not self.broker.alive():
            log.error("the local broker died, starting it again")
            self.broker.kill()
            try:
                self.broker = start_local_broker(self._state_dir, self._kafka_home)
            except BrokerError as error:  # the next look tries again
                log.error("the local broker does not start", extra={"error": str(error)})

    def stop(self) -> None:
        """Ask the broker to end and save its data."""
        self.broker.stop()


def _kept_broker(config: Config, stack: ExitStack) -> KeptBroker | None:
    """Start a broker of our own where none is configured and none runs in this state folder."""
    if config.kafka.bootstrap_servers or running_broker(config.state_dir):
        return None
    home = os.environ.get("KAFKA_HOME")
    broker = KeptBroker(config.state_dir, Path(home) if home else None)
    stack.callback(broker.stop)
    return broker


class StopSignals:
    """SIGTERM and SIGINT: they end the start at once, and later ask the running monitor to drain."""

    def __init__(self) -> None:
        self.asked = False
        self.draining = False

    def listen(self) -> None:
        """Take the signals; again after `ray.init`, which takes SIGTERM for itself."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.asked = True
        if not self.draining:
            raise SystemExit(0)


def main() -> int:
    """Run the monitor with the configuration of the environment: the entry point of a Ray job."""
    configure_logging()
    try:
        return run(load_config(None, os.environ))
    except StreamwatchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


if __name__ == "__main__":
    sys.exit(main())
