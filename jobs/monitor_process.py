"""A monitor as a child process: started, asked how it is, stopped; and, for crash tests, hurt."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from streamwatch.errors import StageError

UP = re.compile(r"streamwatch is up: .* status at (\S+)/status")
START_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 120.0
REPLICA = "ServeReplica:streamwatch-scorer"


class MonitorProcess:
    """`streamwatch run` in a process of its own; leaving the `with` kills what is left of it.

    Args:
        folder: Its state folder, and where its output goes (`monitor.log`).
        settings: More environment, such as `{"STREAMWATCH_MODEL__RUNTIME": "onnx-fp32"}`.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        own = {"STREAMWATCH_STATE_DIR": str(folder), "STREAMWATCH_METRICS__PORT": "0"}
        self._log = folder / "monitor.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streamwatch.cli.main", "run"],
                env=os.environ | own | dict(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.address = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()

    def wait_until_up(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when every stage takes messages.

        Raises:
            StageError: It ended, or is not up in time; the message holds its last lines.
        """
        deadline = time.monotonic() + timeout_s
        while not (found := UP.search(self.output())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StageError("the monitor did not come up:\n" + "\n".join(self.output().splitlines()[-20:]))
            time.sleep(0.2)
        self.address = found[1]

    def output(self) -> str:
        """Return what it wrote so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def status(self) -> dict[str, Any]:
        """Return its `/status`."""
        answer: dict[str, Any] = httpx.get(f"{self.address}/status", timeout=30).raise_for_status().json()
        return answer

    def pids(self) -> dict[str, int]:
        """Return the processes of its parts that run now: stages, `replica-0` and on, `broker` if it is its own."""
        status = self.status()
        pids = {name: stage["pid"] for name, stage in status["stages"].items() if stage["pid"]}
        replicas = [process.pid for process in self._family() if REPLICA in _title(process)]
        pids |= {f"replica-{number}": pid for number, pid in enumerate(replicas)}
        return pids | ({"broker": status["broker_pid"]} if status["broker_pid"] else {})

    def memory_bytes(self) -> int:
        """Return the memory of all its processes, shared pages shared out (PSS)."""
        return sum(_pss(process) for process in self._family())

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to drain and commit (SIGTERM); return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout_s)

    def kill_all(self) -> None:
        """Kill whatever is left of it."""
        family = self._family()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=10)
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self._process.pid)
            return [*parent.children(recursive=True), parent]
        except psutil.NoSuchProcess:
            return []


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
