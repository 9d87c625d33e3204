"""The local broker: noida-db or an Apache Kafka as a child process on loopback.

noida-db is for trying out: it writes its whole store on every change, keeps it in memory, and loses its last
acknowledged messages when it is killed. Apache Kafka keeps what it acknowledged. Both keep their port from one
start to the next, so clients find them again.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Literal, NamedTuple, Self

import msgspec

from streamwatch.config import KafkaConfig
from streamwatch.errors import BrokerError, BrokerUnreachable, StreamwatchError
from streamwatch.ingest.apache_kafka import KafkaHome, loopback_properties, write_properties
from streamwatch.ingest.probe import probe

logger = logging.getLogger(__name__)

BrokerKind = Literal["apache-kafka", "noida-db"]

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
_POLL_S = 0.05
_LOOPBACK = "127.0.0.1"


class BrokerRecord(msgspec.Struct, frozen=True):
    """What `broker.json` says: which broker runs, or ran last. `pid` 0: it was stopped."""

    kind: str
    bootstrap_servers: str
    pid: int
    port: int
    controller_port: int = 0


class _Plan(NamedTuple):
    kind: BrokerKind
    command: list[str]
    port: int
    controller_port: int


class LocalBroker:
    """A broker that runs as a child process; leaving the `with` stops it.

    It does not get the terminal's Ctrl-C, so that the stages can drain first, and it ends with this process however
    that ends.

    Attributes:
        kind: Which broker it is.
        bootstrap_servers: Where it listens, `host:port`.
        pid: Its process.
    """

    def __init__(self, plan: _Plan, state_dir: Path) -> None:
        self.kind = plan.kind
        self.bootstrap_servers = f"{_LOOPBACK}:{plan.port}"
        self._state_dir = state_dir
        self._log = state_dir / "broker.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                plan.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self._process.pid
        self._watcher = end_with_us(self.pid)
        self._record = BrokerRecord(plan.kind, self.bootstrap_servers, self.pid, plan.port, plan.controller_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def alive(self) -> bool:
        """Say whether the process runs."""
        return self._process.poll() is None

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when the broker answers.

        Raises:
            BrokerError: It ended, or does not answer in time; its log says more.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if not self.alive():
                message = f"{self.kind} ended at start with status {self._process.returncode}: {self._last_words()}"
                raise BrokerError(message)
            try:
                probe(self.bootstrap_servers, KafkaConfig(), timeout_s=2.0)
            except StreamwatchError as error:
                if time.monotonic() > deadline:
                    message = f"{self.kind} does not answer within {timeout_s:.0f} s: {error}; see {self._log}"
                    raise BrokerUnreachable(message) from error
                time.sleep(_POLL_S)
                continue
            _write_record(self._state_dir, self._record)
            logger.info("broker %s answers at %s, pid %d", self.kind, self.bootstrap_servers, self.pid)
            return

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask the broker to end and save its data; end it the hard way after `timeout_s`."""
        if self.alive():
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                logger.warning("broker %s does not end within %.0f s: killing it", self.kind, timeout_s)
        self.kill()

    def kill(self) -> None:
        """End the broker at once, as a crash would (SIGKILL)."""
        self._watcher.kill()
        self._watcher.communicate()
        if self.alive():
            self._process.kill()
        self._process.wait()
        if _read_record(self._state_dir) == self._record:
            _write_record(self._state_dir, msgspec.structs.replace(self._record, pid=0))

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        telling = [line for line in lines[-50:] if "ERROR" in line or "FATAL" in line or "error" in line.lower()]
        return (telling or lines or ["it says nothing"])[-1].strip()


def start_local_broker(state_dir: Path, kafka_home: Path | None, *, port: int = 0) -> LocalBroker:
    """Start the broker of a state folder and wait until it answers.

    Args:
        state_dir: Its data, its log `broker.log` and `broker.json`, which says where it is, go here.
        kafka_home: The folder of an Apache Kafka; None starts noida-db.
        port: Where it shall listen; 0 takes the port of the last start, else a free one.

    Raises:
        BrokerError: It is not installed, runs already, or does not start.
        ConfigError: `kafka_home` is not the folder of an Apache Kafka that is new enough.
    """
    state_dir = state_dir.expanduser().resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    servers = running_broker(state_dir)
    if servers:
        message = f"the broker of {state_dir} runs already at {servers}"
        raise BrokerError(message)
    plan = _plan_noida(state_dir, port) if kafka_home is None else _plan_kafka(state_dir, KafkaHome(kafka_home), port)
    broker = LocalBroker(plan, state_dir)
    try:
        broker.wait_until_ready()
    except BaseException:
        broker.kill()
        raise
    return broker


def running_broker(state_dir: Path) -> str | None:
    """Return the bootstrap servers of the state folder's broker, or None when none runs."""
    record = _read_record(state_dir)
    if record is None or not record.pid or not _runs(record.pid):
        return None
    try:
        with socket.create_connection((_LOOPBACK, record.port), timeout=2):
            return record.bootstrap_servers
    except OSError:
        return None


def _plan_noida(state_dir: Path, port: int) -> _Plan:
    binary = _noida_binary()
    port = _choose_port(state_dir, port)
    data = str(state_dir / "noida-db")
    command = [str(binary), "start", "--data-dir", data, "--only", "kafka", "--kafka-port", str(port)]
    return _Plan("noida-db", command, port, 0)


def _plan_kafka(state_dir: Path, home: KafkaHome, port: int) -> _Plan:
    folder = state_dir / "kafka"
    data = folder / "data"
    port = _choose_port(state_dir, port)
    record = _read_record(state_dir)
    controller_port = _free_port(record.controller_port if record else 0, other_than=port)
    properties = folder / "server.properties"
    write_properties(properties, loopback_properties(data, port, controller_port))
    if not (data / "meta.properties").exists():
        home.format(properties)
    return _Plan("apache-kafka", home.command(properties), port, controller_port)


def _noida_binary() -> Path:
    """Find the binary inside the installed package: its Python launcher does not pass signals on."""
    spec = importlib.util.find_spec("noida_db")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).with_name("noida-db")
        if binary.is_file():
            if not os.access(binary, os.X_OK):
                binary.chmod(0o755)
            return binary
    message = "no broker is configured, and noida-db is not installed: pip install 'streamwatch[local]'"
    raise BrokerError(message)


def end_with_us(pid: int) -> subprocess.Popen[bytes]:
    """Start a shell that ends `pid` when our end of its input closes: at our exit or crash."""
    script = f"read -r _; kill -TERM {pid} 2>/dev/null"
    return subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)


def _choose_port(state_dir: Path, port: int) -> int:
    if port:
        if _free_port(port) != port:
            message = f"port {port} is taken: choose another, or 0 for any"
            raise BrokerError(message)
        return port
    record = _read_record(state_dir)
    return _free_port(record.port if record else 0)


def _free_port(wanted: int, other_than: int = -1) -> int:
    """Return the wanted port if it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((_LOOPBACK, port))
            except OSError:
                continue
            found: int = sock.getsockname()[1]
            if found != other_than:
                return found
    message = "no free port on 127.0.0.1"
    raise BrokerError(message)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIG_DFL)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read_record(state_dir: Path) -> BrokerRecord | None:
    try:
        return msgspec.json.decode((state_dir / "broker.json").read_bytes(), type=BrokerRecord)
    except (OSError, msgspec.DecodeError):
        return None


def _write_record(state_dir: Path, record: BrokerRecord) -> None:
    file = state_dir / "broker.json"
    partial = file.with_suffix(".json.part")
    partial.write_bytes(msgspec.json.encode(record))
    partial.replace(file)
