"""WATCH alone in a process of its own, to be killed by a test."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from jobs.watch import WatchStage
from streamwatch.config import load_config
from streamwatch.ingest.connection import connect
from streamwatch.watch.monitors import load_monitors


def main(file: str) -> None:
    config = load_config(Path(file), {})
    stage = WatchStage(config, connect(config), monitors=load_monitors(config.monitors.file))
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stage.stop())
    stage.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
