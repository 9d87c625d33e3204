"""SQL of others, answered in a child process that can be ended: by time, by memory, and it reads only the tables."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from typing import NamedTuple

import msgspec
import polars as pl

from streamwatch.errors import QueryRefused, QueryTooLong, StoreError

START_TIMEOUT_S = 60.0
READY, REFUSED, WHOLE, CUT = b"0", b"1", b"2", b"3"
"""How an answer of the child begins."""


class SqlLimits(NamedTuple):
    """What one query may take."""

    timeout_s: float
    rows: int
    memory_mb: int


class SqlAnswer(NamedTuple):
    """Rows, and whether there were more of them than may be given."""

    rows: pl.DataFrame
    truncated: bool


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    pipe: Connection


class SqlRunner:
    """Answers one query at a time, in a process that is kept for the next one.

    Args:
        store_url: Root of the tables.
        limits: Of each query.
    """

    def __init__(self, store_url: str, limits: SqlLimits) -> None:
        self._store_url = store_url
        self._limits = limits
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def run(self, sql: str, rows: int | None = None) -> SqlAnswer:
        """Answer one SELECT over the tables.

        Args:
            sql: The statement, in the SQL of Polars.
            rows: Give at most so many rows, and never more than the limit.

        Raises:
            QueryRefused: It is not a SELECT over the tables, or wrong.
            QueryTooLong: It took more time or memory than it may, or others are being answered for so long.
        """
        limit = min(rows or self._limits.rows, self._limits.rows)
        if not self._lock.acquire(timeout=self._limits.timeout_s):
            message = f"other queries took the {self._limits.timeout_s:g} s that this one might wait: try again"
            raise QueryTooLong(message)
        try:
            answer = self._ask(sql, limit)
        finally:
            self._lock.release()
        if answer[:1] == REFUSED:
            raise QueryRefused(answer[1:].decode())
        return SqlAnswer(pl.read_ipc_stream(answer[1:]), answer[:1] == CUT)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, sql: str, limit: int) -> bytes:
        pipe = self._started()
        try:
            pipe.send_bytes(msgspec.msgpack.encode((sql, limit)))
            if not pipe.poll(self._limits.timeout_s):
                self._end()
                message = f"the query did not end within {self._limits.timeout_s:g} s: narrow it by published_at"
                raise QueryTooLong(message)
            return pipe.recv_bytes()
        except (EOFError, OSError) as error:
            self._end()
            message = f"the query took more than the {self._limits.memory_mb} MB of memory that it may: narrow it"
            raise QueryTooLong(message) from error

    def _started(self) -> Connection:
        if self._child is not None and self._child.process.poll() is None:
            return self._child.pipe
        self._end()
        ours, theirs = socket.socketpair()
        limits = [str(self._limits.memory_mb), str(round(2 * self._limits.timeout_s) + 1)]
        command = [sys.executable, "-m", "streamwatch.desk.sql_process", str(theirs.fileno()), self._store_url, *limits]
        with theirs:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        self._child = _Child(process, Connection(ours.detach()))
        if not self._child.pipe.poll(START_TIMEOUT_S) or not self._is_ready():
            self._end()
            message = "the process that answers SQL does not start; see the desk's log"
            raise StoreError(message)
        return self._child.pipe

    def _is_ready(self) -> bool:
        try:
            return self._child is not None and self._child.pipe.recv_bytes() == READY
        except (EOFError, OSError):
            return False

    def _end(self) -> None:
        if self._child is not None:
            self._child.process.kill()
            self._child.process.wait()
            self._child.pipe.close()
        self._child = None
