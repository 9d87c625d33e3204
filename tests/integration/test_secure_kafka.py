"""TLS, passwords and access rules on a real Kafka, and what is said when one of them is wrong."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from streamwatch.config import Config, KafkaConfig, Secret
from streamwatch.errors import BrokerAuthError, BrokerError, BrokerRightError, BrokerTlsError
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import LocalBroker
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import GroupMember, StreamReader
from streamwatch.streams import group_name, stream_name

pytestmark = pytest.mark.integration

SECONDS = 6
"""Within how many seconds a wrong setting is said."""


def allow(connection: Connection, user: str, kind: ResourceType, *operations: ACLOperation) -> None:
    """Give a user rights on whatever begins with the connection's prefix."""
    pattern = ResourcePattern(kind, connection.kafka.prefix, ACLResourcePatternType.PREFIXED)
    rules = [ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, pattern) for operation in operations]
    with connection.admin() as admin:
        admin.create_acls(rules)


def refused(kafka: KafkaConfig, expected: type[BrokerError], message: str) -> None:
    start = time.monotonic()
    with pytest.raises(expected, match=message) as caught:
        connect(Config(kafka=kafka))
    assert type(caught.value) is expected
    assert time.monotonic() - start < SECONDS


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"secure-{request.node.name.replace('_', '-')[:60]}"


def test_a_user_with_the_rights_of_the_readme_runs_everything(
    secure_kafka: Any, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Topics of the prefix: Create, Describe, Read, Write; groups of the prefix: Read. No log shows the password."""
    caplog.set_level(logging.DEBUG)
    admin = connect(Config(kafka=secure_kafka.config("admin", prefix)))
    topic_rights = (ACLOperation.CREATE, ACLOperation.DESCRIBE, ACLOperation.READ, ACLOperation.WRITE)
    allow(admin, "watch", ResourceType.TOPIC, *topic_rights)
    allow(admin, "watch", ResourceType.GROUP, ACLOperation.READ)
    connection = connect(Config(kafka=secure_kafka.config("watch", prefix)))
    assert len(ensure_streams(connection)) == 6
    posts, group = stream_name("posts", prefix), group_name("score", prefix)
    with Sink(connection) as sink:
        sink.send(posts, b"a post", partition=0)
        sink.flush()
    with GroupMember(
        connection, posts, group, instance_id="score-0", session_timeout_s=6, on_revoked=lambda _: None
    ) as member:
        while not (records := member.poll(1, 10)):
            pass
        ((partition, (record,)),) = records.items()
        assert record.value == b"a post"
        member.commit({partition: 1})
    assert "watch-secret" not in caplog.text
    assert "admin-secret" not in caplog.text


def test_a_user_without_rights_learns_which_stream_and_which_right(secure_kafka: Any, prefix: str) -> None:
    posts, group = stream_name("posts", prefix), group_name("score", prefix)
    guest = connect(Config(kafka=secure_kafka.config("guest", prefix)))
    with pytest.raises(BrokerRightError, match=rf"cannot see stream {prefix}\.\S+: this user needs the right Describe"):
        ensure_streams(guest)
    admin = connect(Config(kafka=secure_kafka.config("admin", prefix)))
    allow(admin, "guest", ResourceType.TOPIC, ACLOperation.DESCRIBE)
    with pytest.raises(BrokerRightError, match=rf"cannot create stream {posts}: this user needs the right Create"):
        ensure_streams(guest)
    ensure_streams(admin)
    with Sink(guest) as sink:
        sink.send(posts, b"a post", partition=0)
        with pytest.raises(BrokerRightError, match=f"cannot write to stream {posts}"):
            sink.flush()
    with StreamReader(guest, [posts], group) as reader:
        with pytest.raises(BrokerRightError, match=f"group {group}"):
            reader.committed()
        with pytest.raises(BrokerRightError, match=f"read as {group}"):
            reader.poll(30, 10)


def test_a_wrong_password(secure_kafka: Any) -> None:
    kafka = secure_kafka.config("watch", "any", sasl_password=Secret("wrong"))
    refused(kafka, BrokerAuthError, f"{secure_kafka.tls}: refuses user 'watch': check kafka.sasl_username")


def test_an_unknown_user(secure_kafka: Any) -> None:
    refused(secure_kafka.config("watch", "any", sasl_username="nobody"), BrokerAuthError, "refuses user 'nobody'")


def test_a_way_to_log_in_that_the_server_does_not_offer(secure_kafka: Any) -> None:
    kafka = secure_kafka.config("watch", "any", sasl_mechanism="SCRAM-SHA-256")
    refused(kafka, BrokerAuthError, "does not offer SCRAM-SHA-256, it offers SCRAM-SHA-512")


def test_an_unknown_authority(secure_kafka: Any) -> None:
    kafka = secure_kafka.config("watch", "any", ssl_cafile=secure_kafka.other_authority)
    refused(kafka, BrokerTlsError, r"its certificate is not trusted \(.*\): check kafka.ssl_cafile")


def test_a_certificate_for_another_host(secure_kafka: Any) -> None:
    servers = secure_kafka.tls.replace("127.0.0.1", "localhost")
    kafka = secure_kafka.config("watch", "any", bootstrap_servers=servers)
    refused(kafka, BrokerTlsError, "is not trusted .*[Hh]ostname mismatch")


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_plain_text_on_a_tls_port(secure_kafka: Any, protocol: str) -> None:
    refused(secure_kafka.config("watch", "any", security_protocol=protocol), BrokerTlsError, "does this port want TLS")


def test_tls_on_a_plain_port(secure_kafka: Any) -> None:
    kafka = secure_kafka.config("watch", "any", bootstrap_servers=secure_kafka.plain)
    refused(kafka, BrokerTlsError, "does this port speak TLS")


def test_no_log_in_where_one_is_wanted(secure_kafka: Any) -> None:
    kafka = KafkaConfig(bootstrap_servers=secure_kafka.plain)
    refused(kafka, BrokerAuthError, "does it want a log-in")


def test_a_log_in_where_none_is_expected(secure_kafka: Any, apache: LocalBroker) -> None:
    kafka = secure_kafka.config(
        "watch", "any", bootstrap_servers=apache.bootstrap_servers, security_protocol="SASL_PLAINTEXT"
    )
    refused(kafka, BrokerAuthError, "does not expect a log-in")
