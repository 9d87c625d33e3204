"""How long after the end of a window can be known its alert is on the stream: read from the streams themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition

from streamwatch.codec import decode_scored, read_heartbeat
from streamwatch.config import Config
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.source import StreamReader
from streamwatch.records import Alert
from streamwatch.streams import group_name, stream_name


class Mark(NamedTuple):
    """From when on, by the broker's clock, a source partition was known to have passed an instant of event time."""

    passed: datetime
    at_ms: int


def close_to_alert(config: Config, connection: Connection, since: datetime) -> list[float]:
    """Return the seconds from the message that closed a pane to the alert on the stream.

    A pane closes with the first message of `scored` after which every partition has passed its end. Alerts whose pane
    was closed otherwise, as a partition was idle, are left out.

    Args:
        config: The allowed lateness.
        connection: To the broker, after the monitor has done its work.
        since: Alerts of windows that ended before are left out.
    """
    marks: dict[int, list[Mark]] = {}
    prefix = config.kafka.prefix
    for place, message in _whole(connection, stream_name("scored", prefix)):
        for passed in _passed(message, timedelta(seconds=config.watch.allowed_lateness_s)):
            marks.setdefault(place.partition, []).append(Mark(passed, message.timestamp))
    told: dict[tuple[str, datetime], int] = {}
    for _, message in _whole(connection, stream_name("alerts", prefix)):
        alert = msgspec.json.decode(message.value, type=Alert)
        if alert.updated_at >= since:
            told.setdefault((alert.fingerprint, alert.updated_at), message.timestamp)
    return sorted(
        (at_ms - closed_ms) / 1e3
        for (_, end), at_ms in told.items()
        if (closed_ms := closed_at_ms(marks, end)) is not None and closed_ms <= at_ms
    )


def closed_at_ms(marks: Mapping[int, Iterable[Mark]], end: datetime) -> int | None:
    """Return when all partitions had passed the end of a pane; None if one of them never did.

    >>> from datetime import UTC
    >>> nine, ten = (datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (9, 10))
    >>> marks = {0: [Mark(nine, 100), Mark(ten, 200)], 1: [Mark(ten, 150)]}
    >>> closed_at_ms(marks, nine), closed_at_ms(marks, ten), closed_at_ms({0: [Mark(nine, 1)]}, ten)
    (150, 200, None)
    """
    firsts = [min((mark.at_ms for mark in found if mark.passed >= end), default=None) for found in marks.values()]
    known = [at_ms for at_ms in firsts if at_ms is not None]
    return max(known) if known and len(known) == len(firsts) else None


def _passed(message: ConsumerRecord, lateness: timedelta) -> Iterable[datetime]:
    if message.value is None:
        instant = read_heartbeat(message.headers)
        return [instant] if instant else []
    newest = max(decode_scored(message.value)["published_at"].to_pylist(), default=None)
    return [newest - lateness] if newest else []


def _whole(connection: Connection, stream: str) -> Iterable[tuple[TopicPartition, ConsumerRecord]]:
    """Yield every message that lies on a stream now."""
    with StreamReader(connection, [stream], group_name("archive", connection.kafka.prefix)) as reader:
        reader.seek({})
        ends = reader.end_offsets()
        while any(reader.positions().get(place, 0) < end for place, end in ends.items()):
            for place, messages in reader.poll(0.2, 500).items():
                yield from ((place, message) for message in messages)
