"""How much memory a process and all its descendants take, from Linux's `/proc`."""

from __future__ import annotations

import threading
from pathlib import Path

PROC = Path("/proc")
EVERY_S = 1.0


def tree_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants, pages that they share counted once (PSS); 0 if unknown."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        parent = _parent(folder)
        if parent is not None:
            children.setdefault(parent, []).append(int(folder.name))
    waiting, found = [pid], 0
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        found += _bytes(one)
    return found


def _parent(folder: Path) -> int | None:
    try:
        after_name = (folder / "stat").read_text(errors="replace").rpartition(")")[2]
        return int(after_name.split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _bytes(pid: int) -> int:
    """Return a process's share of memory, else what is resident, else 0: it may be gone or not ours to see."""
    for file, name in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            for line in (PROC / str(pid) / file).read_text().splitlines():
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
        except (OSError, ValueError):
            continue
    return 0


class MemoryMeter:
    """Measure the memory of a process tree every second, in a thread of its own, and keep the peak."""

    def __init__(self, pid: int) -> None:
        self.now_bytes = 0
        self.peak_bytes = 0
        self._pid = pid
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="memory", daemon=True)
        self._thread.start()

    def __enter__(self) -> MemoryMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self.now_bytes = tree_bytes(self._pid)
            self.peak_bytes = max(self.peak_bytes, self.now_bytes)
