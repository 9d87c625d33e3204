"""How every part of streamwatch reaches Kafka: the configuration, turned into clients."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, errors
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from streamwatch.config import Config, KafkaConfig
from streamwatch.errors import BrokerAuthError, BrokerUnreachable, ConfigError
from streamwatch.ingest.broker import running_broker
from streamwatch.ingest.faults import broker_error
from streamwatch.ingest.probe import CLIENT_ID, probe, tls_context

RECONNECT_BACKOFF_MAX_MS = 1_000
"""A broker that starts again is found within a second; kafka-python's own 30 s would keep a stage waiting."""
BOOTSTRAP_TIMEOUT_MS = 30_000


class _ClosingSocket(KafkaNetSocket):  # type: ignore[misc]  # kafka-python has no types
    """A connection without a proxy, chosen by its own scheme, that closes its socket when nobody answers.

    kafka-python leaves it to the garbage collector, so an outage would collect open sockets, one for each attempt.
    """

    SCHEMES = ("direct",)

    async def sock_connect(self, net: Any, sock: socket.socket, *args: Any, **options: Any) -> socket.socket:
        try:
            connected: socket.socket = await super().sock_connect(net, sock, *args, **options)
        except errors.KafkaError:
            sock.close()
            raise
        return connected


class _Hidden(str):
    """A password that kafka-python may log with the rest of its settings."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True)
class Connection:
    """Which Kafka, and who we are there. It can be pickled; its password never shows in a repr or a log.

    Attributes:
        servers: Bootstrap servers, `host:port` separated by commas.
        kafka: The configuration, its password resolved.
    """

    servers: str
    kafka: KafkaConfig

    def options(self) -> dict[str, Any]:
        """Return the settings that every client of kafka-python shares."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.server_list(),
            "client_id": CLIENT_ID,
            "security_protocol": self.kafka.security_protocol,
            "reconnect_backoff_max_ms": RECONNECT_BACKOFF_MAX_MS,
            "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
            "proxy_url": f"{_ClosingSocket.SCHEMES[0]}://",
        }
        if self.kafka.security_protocol in ("SSL", "SASL_SSL"):
            options["ssl_context"] = tls_context(self.kafka)
        if self.kafka.security_protocol.startswith("SASL_"):
            password = self.kafka.password()
            options |= {
                "sasl_mechanism": self.kafka.sasl_mechanism,
                "sasl_plain_username": self.kafka.sasl_username,
                "sasl_plain_password": _Hidden(password.reveal() if password else ""),
            }
        return options

    def server_list(self) -> list[str]:
        """Return the bootstrap servers one by one."""
        return [server.strip() for server in self.servers.split(",") if server.strip()]

    def check(self, timeout_s: float = 10) -> None:
        """Reach Kafka and log in; return as soon as one server does as it should.

        Args:
            timeout_s: Longest wait for all servers together.

        Raises:
            BrokerUnreachable: Nobody answers, or the cluster names brokers that cannot be reached from here.
            BrokerTlsError: The TLS handshake fails, or only one side speaks TLS.
            BrokerAuthError: The server refuses who we are.
            BrokerError: What answers is no Kafka.
        """
        deadline = time.monotonic() + timeout_s
        servers = self.server_list()
        for number, server in enumerate(servers):
            share_s = max(0.1, (deadline - time.monotonic()) / (len(servers) - number))
            try:
                brokers = probe(server, self.kafka, share_s)
            except BrokerUnreachable:
                if number == len(servers) - 1:
                    raise
                continue
            self._check_advertised(server, [name for name in brokers if name != server], deadline)
            return

    def _check_advertised(self, server: str, brokers: list[str], deadline: float) -> None:
        """Make sure that the addresses which the cluster gives to its clients lead somewhere from here."""
        last: BrokerUnreachable | None = None
        for number, broker in enumerate(brokers):
            share_s = max(0.1, (deadline - time.monotonic()) / (len(brokers) - number))
            try:
                probe(broker, self.kafka, share_s)
            except BrokerUnreachable as error:
                last = error
                continue
            return
        if last is not None:
            message = f"{server}: sends its clients to {', '.join(brokers)}: {last}: check its advertised.listeners"
            raise BrokerUnreachable(message) from last

    def consumer(self, **options: Any) -> KafkaConsumer:
        """Return a consumer.

        Raises:
            BrokerError: As `check`, and what else keeps the client from starting.
        """
        return self.open(KafkaConsumer, options)

    def producer(self, **options: Any) -> KafkaProducer:
        """Return a producer; raises as `consumer`."""
        return self.open(KafkaProducer, options)

    def admin(self) -> KafkaAdminClient:
        """Return an admin client; raises as `consumer`. Close it, or use it in a `with`."""
        return self.open(KafkaAdminClient, {})

    def open(self, kind: Callable[..., Any], options: dict[str, Any]) -> Any:
        """Return a client of kafka-python of any class; raises as `consumer`."""
        nets: list[KafkaNetClient] = []

        def net(**configs: Any) -> KafkaNetClient:
            nets.append(options.get("kafka_client", KafkaNetClient)(**configs))
            return nets[-1]

        try:
            return kind(**{**self.options(), **options, "kafka_client": net})
        except errors.KafkaError as error:
            for client in nets:  # kafka-python leaves its thread and its sockets behind
                client.close()
            self.check()
            raise broker_error(error, f"start a client of {self.servers}") from error


def connect(config: Config) -> Connection:
    """Return the connection to the configured Kafka, else to the local broker of `state_dir`, and check it.

    Raises:
        ConfigError: The settings contradict each other or name a file that cannot be read.
        BrokerError: As `Connection.check`; BrokerUnreachable too when there is no broker at all.
    """
    kafka = config.kafka
    servers = kafka.bootstrap_servers or running_broker(config.state_dir)
    if not servers:
        advice = "set kafka.bootstrap_servers, or start one with `streamwatch broker`"
        message = f"no broker is configured, and none runs in {config.state_dir}: {advice}"
        raise BrokerUnreachable(message)
    if not kafka.bootstrap_servers:
        kafka = msgspec.structs.replace(kafka, security_protocol="PLAINTEXT")
    connection = Connection(servers, msgspec.structs.replace(kafka, sasl_password=kafka.password()))
    if not connection.server_list():
        place = "configuration"
        raise ConfigError(place, "kafka.bootstrap_servers", servers, "host:port, separated by commas")
    if kafka.security_protocol.startswith("SASL_") and not (kafka.sasl_username and connection.kafka.password()):
        advice = "set kafka.sasl_username, and STREAMWATCH_KAFKA__SASL_PASSWORD or kafka.sasl_password_file"
        message = f"{servers}: {kafka.security_protocol} needs a user and a password: {advice}"
        raise BrokerAuthError(message)
    connection.check()
    return connection
