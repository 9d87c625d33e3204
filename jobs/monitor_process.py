"""A monitor as a child process, with a configuration made for it: for the demo, benchmarks and crash tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import httpx
import msgspec

from streamwatch.config import Config, MetricsConfig
from streamwatch.errors import StageError
from streamwatch.ingest.broker import end_with_us

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 120.0
LOOK_EVERY_S = 0.5
STATUS_TIMEOUT_S = 5.0


class MonitorProcess:
    """A running `streamwatch run`. Leaving the `with` ends it, the hard way when it does not end by itself.

    Args:
        config: Its whole configuration; what the environment says of streamwatch does not count. Its file and the
            monitor's log go to `state_dir`.
        environ: The environment, such as `os.environ`.
    """

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        config.state_dir.mkdir(parents=True, exist_ok=True)
        file = config.state_dir / "streamwatch.toml"
        file.write_text(to_toml(config), encoding="utf-8")
        self.log = config.state_dir / "monitor.log"
        self.address = f"http://{config.metrics.host}:{config.metrics.port}"
        self._config = config
        command = [sys.executable, "-m", "streamwatch.cli.main", "--config", str(file), "run"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_without_settings(environ),
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._watcher = end_with_us(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._watcher.kill()
        self._watcher.communicate()

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            StageError: It ended.
        """
        status = self._process.poll()
        if status is not None:
            message = f"the monitor ended with status {status}: {self._last_words()}; its log is {self.log}"
            raise StageError(message)

    def status(self) -> dict[str, Any] | None:
        """Return its `/status`, or None while it does not answer."""
        self.check()
        return fetch_status(self._config.metrics)

    def wait_until_up(
        self, stopping: threading.Event | None = None, on_look: Callable[[], None] = lambda: None
    ) -> bool:
        """Return True once every stage is up, or False when `stopping` was set before.

        Raises:
            StageError: It ended, or was not up in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        stopping = stopping or threading.Event()
        while not stopping.wait(LOOK_EVERY_S):
            status = self.status()
            if status and status.get("healthy"):
                return True
            if time.monotonic() > deadline:
                message = (
                    f"not up within {START_TIMEOUT_S:.0f} s{stage_errors(status)}; the monitor's log is {self.log}"
                )
                raise StageError(message)
            on_look()
        return False

    def stop(self) -> None:
        """Send SIGTERM and wait: it drains and commits.

        Raises:
            StageError: It does not end in time, or not with 0.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            message = f"the monitor did not end within {STOP_TIMEOUT_S:.0f} s of SIGTERM: see its log {self.log}"
            raise StageError(message) from error
        if status != 0:
            message = f"the monitor ended with status {status}: {self._last_words()}; its log is {self.log}"
            raise StageError(message)

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        telling = [line for line in lines[-50:] if "error:" in line.lower()]
        return (telling or lines or ["it said nothing"])[-1].strip()


def fetch_status(metrics: MetricsConfig) -> dict[str, Any] | None:
    """Return what the running monitor says of itself, or None where none answers.

    Raises:
        StageError: Something else answers at that address.
    """
    url = f"http://{metrics.host}:{metrics.port}/status"
    try:
        answer = httpx.get(url, timeout=STATUS_TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        status = answer.json()
    except httpx.TransportError:
        return None
    except (httpx.HTTPError, ValueError) as error:
        message = f"{url} does not answer as a monitor does: {error}; check metrics.host and metrics.port"
        raise StageError(message) from error
    return status if isinstance(status, dict) else {}


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def stage_errors(status: Mapping[str, Any] | None) -> str:
    r"""Return why stages are not up, as the end of a sentence; empty when all are.

    >>> stage_errors({"stages": {"WATCH": {"state": "waiting", "last_error": "trace\nKeyError: 7"}}})
    '; WATCH: KeyError: 7'
    """
    stages: dict[str, dict[str, Any]] = (status or {}).get("stages", {})
    ended = {name: stage.get("last_error") for name, stage in stages.items() if stage.get("state") != "up"}
    return "".join(f"; {name}: {error.strip().splitlines()[-1]}" for name, error in ended.items() if error)


def to_toml(config: Config) -> str:
    """Write a configuration as TOML; keys without a value are left out.

    >>> print(to_toml(Config(state_dir=Path("demo"))).splitlines()[0])
    state_dir = "demo"
    """
    settings = msgspec.to_builtins(config, enc_hook=str)
    top = [_line(name, value) for name, value in settings.items() if not isinstance(value, dict)]
    for section, keys in settings.items():
        if isinstance(keys, dict):
            top += [f"\n[{section}]", *(_line(name, value) for name, value in keys.items() if value is not None)]
    return "\n".join(top) + "\n"


def _line(name: str, value: object) -> str:
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("STREAMWATCH_")}
