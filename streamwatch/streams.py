"""The streams: their names, partitions and clean-up policies."""

from __future__ import annotations

from typing import Literal, NamedTuple

from streamwatch.config import KafkaConfig

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Largest message on a stream. Far above a good post, so that a hostile one can be read and set aside."""

Kind = Literal["posts", "scored", "windows", "alerts", "labels", "dead-letters"]
KINDS: tuple[Kind, ...] = ("posts", "scored", "windows", "alerts", "labels", "dead-letters")


class Stream(NamedTuple):
    """A Kafka topic as streamwatch wants it."""

    name: str
    partitions: int
    settings: dict[str, str]


def stream_name(kind: Kind, prefix: str) -> str:
    """Return the Kafka topic of a stream.

    >>> stream_name("dead-letters", "streamwatch")
    'streamwatch.dead-letters'
    """
    return f"{prefix}.{kind}"


def group_name(stage: str, prefix: str) -> str:
    """Return the consumer group of a stage.

    >>> group_name("score", "streamwatch")
    'streamwatch-score'
    """
    return f"{prefix}-{stage}"


def all_streams(kafka: KafkaConfig) -> list[Stream]:
    """Return every stream with its partitions and settings.

    Alerts are compacted: the last version of each stays for good. `scored` has as many partitions as `posts`, and
    a source partition's rows stay in one of them, so their order is kept.
    """
    settings = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    partitions = {"posts": kafka.partitions, "scored": kafka.partitions}
    return [
        Stream(
            stream_name(kind, kafka.prefix),
            partitions.get(kind, 1),
            settings | {"cleanup.policy": "compact" if kind == "alerts" else "delete"},
        )
        for kind in KINDS
    ]
