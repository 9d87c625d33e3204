"""A member of the group `score` in a process of its own, to be killed or stopped by a test.

It prints its partitions whenever they change, as `partitions 0 1`, and what became of its last commit on SIGUSR1.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Collection

from kafka import TopicPartition

from streamwatch.config import Config, KafkaConfig
from streamwatch.errors import BrokerError
from streamwatch.ingest.connection import connect
from streamwatch.ingest.source import GroupMember
from streamwatch.streams import group_name, stream_name


def say(*words: object) -> None:
    print(*words, flush=True)


def revoked(partitions: Collection[TopicPartition]) -> None:
    say("revoked", *sorted(partition.partition for partition in partitions))


def main(servers: str, prefix: str, name: str) -> None:
    connection = connect(Config(kafka=KafkaConfig(bootstrap_servers=servers, prefix=prefix)))
    posts = stream_name("posts", prefix)
    member = GroupMember(
        connection,
        posts,
        group_name("score", prefix),
        instance_id=name,
        session_timeout_s=6,
        on_revoked=revoked,
    )
    commit_wanted: list[bool] = []
    signal.signal(signal.SIGUSR1, lambda _signal, _frame: commit_wanted.append(True))
    known: set[TopicPartition] = set()
    while True:
        if commit_wanted:
            commit_wanted.clear()
            try:
                member.commit({partition: 0 for partition in known})
            except BrokerError as error:
                say("commit", type(error).__name__)
            else:
                say("commit taken")
        member.poll(0.1, 10)
        if member.assignment() != known:
            known = member.assignment()
            say("partitions", *sorted(partition.partition for partition in known))


if __name__ == "__main__":
    main(*sys.argv[1:])
