"""Answers kept while what they are made of stays the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

MAX_BYTES = 64 * 1024 * 1024


class Answers:
    """Encoded answers by question; one of an older version than asked for does not count.

    Args:
        max_bytes: How much is kept; what was not asked for longest goes first.

    >>> answers = Answers()
    >>> answers.get("posts?", "v1", lambda: b"7"), answers.get("posts?", "v1", lambda: b"8")
    (b'7', b'7')
    >>> answers.get("posts?", "v2", lambda: b"8")
    b'8'
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[str, bytes]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, question: Hashable, version: str, make: Callable[[], bytes]) -> bytes:
        """Return the answer of a version, made now or before; who asks while it is made waits for it."""
        with self._lock:
            kept = self._find(question, version)
            if kept is not None:
                return kept
            making = self._making.setdefault(question, threading.Lock())
        with making:
            with self._lock:
                kept = self._find(question, version)
            if kept is not None:
                return kept
            try:
                made = make()
                self._keep(question, version, made)
            finally:
                with self._lock:
                    self._making.pop(question, None)
        return made

    def _find(self, question: Hashable, version: str) -> bytes | None:
        kept = self._kept.get(question)
        if kept is None or kept[0] != version:
            return None
        self._kept.move_to_end(question)
        return kept[1]

    def _keep(self, question: Hashable, version: str, made: bytes) -> None:
        with self._lock:
            before = self._kept.pop(question, None)
            self._kept[question] = (version, made)
            self._bytes += len(made) - (len(before[1]) if before else 0)
            while self._bytes > self._max_bytes:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
