"""The streams on the broker: made when absent, checked when there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaAdminClient, errors

from streamwatch.errors import BrokerError, BrokerRightError, StreamMismatch
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.faults import PASSING, broker_error, kafka_faults
from streamwatch.streams import Stream, all_streams

READY_TIMEOUT_S = 30.0
"""Longest wait for a new stream to have a leader for every partition."""


def ensure_streams(connection: Connection) -> list[str]:
    """Make the streams that are absent, check those that are there, and return the names of the new ones.

    Raises:
        StreamMismatch: A stream has other partitions than the settings say.
        BrokerRightError: This user may not see or make a stream.
        BrokerError: The broker does not do it.
    """
    wanted = {stream.name: stream for stream in all_streams(connection.kafka)}
    with connection.admin() as admin:
        found = _partitions(admin, wanted)
        created = [
            name
            for name, stream in wanted.items()
            if name not in found and _create(admin, stream, connection.kafka.replication_factor)
        ]
        found |= _wait_for(admin, [name for name in wanted if name not in found])
    for name, stream in wanted.items():
        _check(stream, found[name])
    return created


def stream_partitions(connection: Connection, streams: Iterable[str]) -> dict[str, int]:
    """Return how many partitions each stream has.

    Raises:
        BrokerError: A stream does not exist, or has no leader yet.
        BrokerRightError: This user may not see a stream.
    """
    names = list(streams)
    with connection.admin() as admin:
        found = _partitions(admin, names)
    for name in names:
        if name not in found:
            message = f"stream {name} does not exist or has no leader yet: start the monitor once, or make it"
            raise BrokerError(message)
    return found


def _partitions(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """Return the partitions of those streams that exist and have their leaders."""
    with kafka_faults("look up the streams"):
        described: list[Mapping[str, Any]] = admin.describe_topics(list(names))
    found = {}
    for topic in described:
        name, code = topic["name"], topic["error_code"]
        if code == errors.TopicAuthorizationFailedError.errno:
            message = f"cannot see stream {name}: this user needs the right Describe on it"
            raise BrokerRightError(message)
        if code == 0 and all(part["leader_id"] >= 0 for part in topic["partitions"]):
            found[name] = len(topic["partitions"])
    return found


def _create(admin: KafkaAdminClient, stream: Stream, replication_factor: int) -> bool:
    """Make a stream; return False when somebody else was faster."""
    request = {
        stream.name: {
            "num_partitions": stream.partitions,
            "replication_factor": replication_factor,
            "configs": stream.settings,
        }
    }
    try:
        admin.create_topics(request)
    except errors.TopicAlreadyExistsError:
        return False
    except (errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError) as error:
        message = f"cannot create stream {stream.name}: this user needs the right Create on it, or make it beforehand"
        raise BrokerRightError(message) from error
    except errors.InvalidReplicationFactorError as error:
        message = (
            f"cannot create stream {stream.name}: fewer brokers than kafka.replication_factor {replication_factor}"
        )
        raise BrokerError(message) from error
    except errors.KafkaError as error:
        raise broker_error(error, f"create stream {stream.name}") from error
    return True


def _wait_for(admin: KafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Return the partitions of new streams once each has its leaders."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while names:
        try:
            found = _partitions(admin, names)
        except BrokerError as error:
            if not isinstance(error.__cause__, PASSING):
                raise
            found = {}
        if len(found) == len(names):
            return found
        if time.monotonic() > deadline:
            message = f"streams without a leader after {READY_TIMEOUT_S:.0f} s: {', '.join(set(names) - set(found))}"
            raise BrokerError(message)
        time.sleep(0.05)
    return {}


def _check(stream: Stream, partitions: int) -> None:
    if partitions != stream.partitions:
        message = (
            f"stream {stream.name} has {partitions} partitions, and the settings want {stream.partitions}: "
            f"set kafka.partitions, or make the stream anew"
        )
        raise StreamMismatch(message)
