"""Read a feed in a process of its own, which is ended when it takes too long or too much.

What reads a feed are libraries for well-meant texts. A hostile one can keep them busy or fill the memory, and neither
can be stopped in a thread.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from threading import BoundedSemaphore

import msgspec
from msgspec import Struct

from streamwatch.errors import FeedError
from streamwatch.feeds.document import Document, read_document

MAX_CPU_S = 10
MAX_WAIT_S = 60.0
MAX_MEMORY_BYTES = 2 * 1024**3
_ADVICE = "no feed is so hard to read: check the address, or take another feed"
_slots = BoundedSemaphore(2)
"""So many feeds are read at a time, however many arrive."""


class _Task(Struct, frozen=True):
    body: bytes
    content_type: str


class _Refusal(Struct, frozen=True, tag=True):
    found: str
    advice: str


class _Done(Struct, frozen=True, tag=True):
    document: Document


def read_apart(body: bytes, content_type: str = "", *, max_cpu_s: int = MAX_CPU_S) -> Document:
    """Return the entries of a feed, as `read_document` does, but stop when it takes too much.

    Args:
        body: What the server gave.
        content_type: The header of that name.
        max_cpu_s: Longest time of a processor, in whole seconds.

    Raises:
        FeedError: As `read_document`; or it took too long or too much memory.
    """
    task = msgspec.msgpack.encode(_Task(body, content_type))
    command = [sys.executable, "-P", "-m", __name__, str(max_cpu_s)]
    try:
        with _slots:
            done = subprocess.run(command, input=task, capture_output=True, timeout=MAX_WAIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        found = f"a feed that was not read within {MAX_WAIT_S:.0f} s"
        raise FeedError(found, _ADVICE) from error
    try:
        answer = msgspec.msgpack.decode(done.stdout, type=_Done | _Refusal)
    except msgspec.DecodeError as error:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        reason = words[-1][:200] if words else f"it takes more than {max_cpu_s} s, or {MAX_MEMORY_BYTES >> 30} GiB"
        found = f"a feed that cannot be read ({reason})"
        raise FeedError(found, _ADVICE) from error
    if isinstance(answer, _Refusal):
        raise FeedError(answer.found, answer.advice)
    return answer.document


def main(max_cpu_s: int) -> None:
    """Read one feed from standard input, and write what came of it to standard output."""
    resource.setrlimit(resource.RLIMIT_CPU, (max_cpu_s, max_cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Task)
    answer: _Done | _Refusal
    try:
        answer = _Done(read_document(task.body, task.content_type))
    except FeedError as error:
        answer = _Refusal(error.found, error.advice)
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))
