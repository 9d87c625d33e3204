"""Writing to the streams: acknowledged by the broker, in order, without a gap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from kafka import KafkaProducer, errors

from streamwatch.errors import BrokerError, BrokerUnreachable
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.faults import broker_error
from streamwatch.streams import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

OVERHEAD_BYTES = 64 * 1024
MAX_SEND_BYTES = MAX_MESSAGE_BYTES - OVERHEAD_BYTES
"""Largest key, value and headers together; the rest of `MAX_MESSAGE_BYTES` is for what Kafka puts around them."""

BUFFER_BYTES = 64 * 1024 * 1024
"""How much may wait for its acknowledgement before `send` blocks."""

SEND_TIMEOUT_S = 300.0
"""Longest wait of `send` for room in the buffer."""

_MESSAGE_BYTES = 1024
"""What a message takes in memory besides its bytes."""
_BATCH_BYTES = 256 * 1024
_LINGER_MS = 5
_REQUEST_TIMEOUT_MS = 15_000
_METADATA_TIMEOUT_MS = 60_000
_DELIVERY_TIMEOUT_MS = 24 * 3_600_000
"""Never: a message given up would leave a gap before those behind it. `flush` is what gives up."""


class _Producer(KafkaProducer):  # type: ignore[misc]  # kafka-python has no types
    def abort(self) -> None:
        """Send nothing any more, and let everything unacknowledged fail."""
        self._sender.force_close()

    def flush(self, timeout: float | None = None) -> None:
        """Do nothing: the sink counts its acknowledgements, and kafka-python's own flush trips over split batches."""

    def wait_for_end(self, timeout_s: float) -> None:
        self._sender.join(timeout_s)


class Sink:
    """A producer whose messages are all acknowledged at `flush`, or none after the first that was not.

    What stands in a stream is, for each partition, the beginning of what was sent there: after the first message that
    fails, nothing that was sent later is written. A sink that failed stays so; make a new one, and send again from
    what is known to be there. A broker that is away for a while does not fail a message: it waits, and `send` blocks
    once `BUFFER_BYTES` wait. Threads may share a sink.

    Args:
        connection: Where to write.
        buffer_bytes: How much may wait for its acknowledgement.
        send_timeout_s: Longest wait of `send` for room.
    """

    def __init__(
        self, connection: Connection, *, buffer_bytes: int = BUFFER_BYTES, send_timeout_s: float = SEND_TIMEOUT_S
    ) -> None:
        self._buffer_bytes = buffer_bytes
        self._send_timeout_s = send_timeout_s
        self._waiting: dict[int, int] = {}  # number of the message -> its bytes, oldest first
        self._waiting_bytes = 0
        self._sent = 0
        self._failure: BrokerError | None = None
        self._changed = threading.Condition()
        self._producer: _Producer = connection.open(
            _Producer,
            {
                "acks": "all",
                "enable_idempotence": True,
                "compression_type": "lz4",
                "linger_ms": _LINGER_MS,
                "batch_size": _BATCH_BYTES,
                "max_request_size": MAX_MESSAGE_BYTES,
                "max_block_ms": _METADATA_TIMEOUT_MS,
                "request_timeout_ms": _REQUEST_TIMEOUT_MS,
                "delivery_timeout_ms": _DELIVERY_TIMEOUT_MS,
                "allow_auto_create_topics": False,
            },
        )

    def send(
        self,
        stream: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int | None = None,
    ) -> None:
        """Hand a message over; it is written for certain after the next `flush`.

        Args:
            stream: The stream's full name.
            value: The bytes; None is a tombstone or a heartbeat.
            key: What compaction and the choice of a partition go by.
            partition: Where it must go; else the key decides, else any.
            headers: Names and bytes.
            timestamp_ms: Its time, milliseconds since 1970; the present when None.

        Raises:
            BrokerError: It is too large, there is no room for too long, or an earlier message failed.
        """
        size = _size(value, key, headers)
        if size > MAX_SEND_BYTES:
            message = f"a message of {size} bytes for stream {stream} is over the limit of {MAX_SEND_BYTES} bytes"
            raise BrokerError(message)
        if value is None and key is None:
            key = b""  # Kafka takes a message with neither, kafka-python does not
        number = self._take_room(size + _MESSAGE_BYTES)
        try:
            future = self._producer.send(
                stream, value, key=key, headers=list(headers), partition=partition, timestamp_ms=timestamp_ms
            )
        except (errors.KafkaError, ValueError) as error:
            self._settle(number)
            raise self._failure or self._send_error(stream, error) from error
        future.add_callback(lambda _: self._settle(number))
        future.add_errback(lambda error: self._fail(stream, number, error))

    def flush(self, timeout_s: float = 120.0) -> None:
        """Return when everything sent so far is acknowledged.

        Raises:
            BrokerError: A message failed, or the time is over. Nothing sent since may be counted as written.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            last = self._sent
            while self._failure is None and next(iter(self._waiting), last) < last:
                if not self._changed.wait(deadline - time.monotonic()):
                    message = f"the broker did not acknowledge {self._waiting_bytes} bytes within {timeout_s:.0f} s"
                    raise BrokerUnreachable(message)
            self._raise_failure()

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, for `timeout_s` at most, and end. What does not go in time is dropped, never reordered."""
        if self._failure is None:
            try:
                self.flush(timeout_s)
            except BrokerError as error:
                logger.warning("sink closed with messages unwritten: %s", error)
        self._producer.abort()
        self._producer.wait_for_end(timeout_s)
        self._producer.close(timeout=1)

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_room(self, size: int) -> int:
        deadline = time.monotonic() + self._send_timeout_s
        with self._changed:
            while self._waiting_bytes and self._waiting_bytes + size > self._buffer_bytes and self._failure is None:
                if not self._changed.wait(deadline - time.monotonic()):
                    message = (
                        f"the broker acknowledged nothing for {self._send_timeout_s:.0f} s, and the buffer is full"
                    )
                    raise BrokerUnreachable(message)
            self._raise_failure()
            number = self._sent
            self._sent += 1
            self._waiting[number] = size
            self._waiting_bytes += size
        return number

    def _settle(self, number: int) -> None:
        with self._changed:
            self._waiting_bytes -= self._waiting.pop(number, 0)
            self._changed.notify_all()

    def _fail(self, stream: str, number: int, error: Exception) -> None:
        """Called in the producer's thread, before it may send what comes next in this partition."""
        self._producer.abort()
        with self._changed:
            if self._failure is None:
                self._failure = self._send_error(stream, error)
        self._settle(number)

    def _send_error(self, stream: str, error: Exception) -> BrokerError:
        if isinstance(error, ValueError):
            return BrokerError(f"cannot write to stream {stream}: {error}")
        return broker_error(error, f"write to stream {stream}")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _size(value: bytes | None, key: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    return len(value or b"") + len(key or b"") + sum(len(name) + len(content) for name, content in headers)
