"""The child process that answers SQL: `python -m streamwatch.desk.sql_process FD STORE_URL MEMORY_MB ALARM_S`.

It ends when its parent does, when a query takes too much memory, and, should the parent not see to it, too much time.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from multiprocessing.connection import Connection

import msgspec

from streamwatch.desk.sql import CUT, READY, REFUSED, WHOLE
from streamwatch.errors import StoreError
from streamwatch.store.tables import Tables

NICE = 10


def serve_queries(pipe: Connection, tables: Tables, alarm_s: int) -> None:
    """Answer queries from a pipe until it is closed."""
    _answer(tables, "SELECT count(*) FROM posts", 1)  # what is loaded at the first one is not on its time
    pipe.send_bytes(READY)
    while True:
        try:
            asked = pipe.recv_bytes()
        except EOFError:
            return
        sql, limit = msgspec.msgpack.decode(asked, type=tuple[str, int])
        signal.alarm(alarm_s)
        answer = _answer(tables, sql, limit)
        signal.alarm(0)
        pipe.send_bytes(answer)


def _answer(tables: Tables, sql: str, limit: int) -> bytes:
    try:
        found = tables.query(sql)
    except StoreError as error:
        return REFUSED + str(error).encode()
    return (CUT if found.height > limit else WHOLE) + found.head(limit).write_ipc_stream(None).getvalue()


def main(descriptor: int, store_url: str, memory_mb: int, alarm_s: int) -> None:
    """Take the limits upon oneself, then answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    memory = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve_queries(Connection(descriptor), Tables(store_url), alarm_s)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
