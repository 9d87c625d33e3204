"""What goes wrong before Kafka is reached; what a real Kafka refuses is in `integration/test_secure_kafka.py`."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamwatch.config import Config, KafkaConfig, Secret
from streamwatch.errors import BrokerAuthError, BrokerError, BrokerTlsError, BrokerUnreachable, ConfigError
from streamwatch.ingest.connection import Connection, connect


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that accepts connections and says nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_without_any_broker_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable, match="set kafka.bootstrap_servers, or start one with `streamwatch broker`"):
        connect(Config(state_dir=tmp_path))


def test_a_broker_that_is_not_up_yet_is_said_at_once(listener: socket.socket) -> None:
    servers = address(listener)
    listener.close()
    start = time.monotonic()
    with pytest.raises(BrokerUnreachable, match=f"{servers}: nobody listens there: start the broker"):
        connect(Config(kafka=KafkaConfig(bootstrap_servers=servers)))
    assert time.monotonic() - start < 5


def test_a_silent_server_is_given_up_in_time(listener: socket.socket) -> None:
    start = time.monotonic()
    with pytest.raises(BrokerUnreachable, match="accepts connections and does not answer"):
        Connection(address(listener), KafkaConfig()).check(timeout_s=0.5)
    assert time.monotonic() - start < 5


def test_a_silent_server_does_not_pass_for_tls(listener: socket.socket) -> None:
    with pytest.raises(BrokerTlsError, match="no answer to the TLS handshake"):
        Connection(address(listener), KafkaConfig(security_protocol="SSL")).check(timeout_s=0.5)


def test_a_web_server_is_no_kafka(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def serve() -> None:
            client, _ = sock.accept()
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(BrokerError, match="does not speak Kafka's protocol"):
            Connection(address(sock), KafkaConfig()).check(timeout_s=5)
        server.join()


def test_a_user_needs_a_password() -> None:
    kafka = KafkaConfig(bootstrap_servers="kafka.example", security_protocol="SASL_SSL", sasl_username="watch")
    with pytest.raises(BrokerAuthError, match="STREAMWATCH_KAFKA__SASL_PASSWORD"):
        connect(Config(kafka=kafka))


def test_a_wrong_certificate_file_is_named(listener: socket.socket, tmp_path: Path) -> None:
    kafka = KafkaConfig(security_protocol="SSL", ssl_cafile=tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"none\.pem: kafka\.ssl_cafile"):
        Connection(address(listener), kafka).check()


@pytest.mark.parametrize("servers", ["kafka:port", ",", " , "])
def test_servers_that_are_none(servers: str) -> None:
    with pytest.raises(ConfigError, match="kafka.bootstrap_servers"):
        connect(Config(kafka=KafkaConfig(bootstrap_servers=servers)))


def test_the_password_travels_and_never_shows() -> None:
    kafka = KafkaConfig(security_protocol="SASL_SSL", sasl_username="watch", sasl_password=Secret("hunter2"))
    connection = Connection("kafka.example:9093", kafka)
    assert pickle.loads(pickle.dumps(connection)) == connection
    assert "hunter2" not in repr(connection)
    assert connection.options()["sasl_plain_password"] == "hunter2"
    assert "hunter2" not in repr(connection.options())
