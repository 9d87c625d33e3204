"""A real Kafka that asks for TLS and a password, and lets each user do only what its rules say."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streamwatch.config import KafkaConfig, Secret
from streamwatch.errors import BrokerError
from streamwatch.ingest.apache_kafka import KafkaHome, loopback_properties, write_properties
from streamwatch.ingest.connection import Connection

PASSWORDS = {"admin": "admin-secret", "watch": "watch-secret", "guest": "guest-secret"}
"""`admin` may do everything, `watch` too through its rules, `guest` nothing."""
START_TIMEOUT_S = 120


class SecureKafka(NamedTuple):
    """Where the secure Kafka listens, and the certificate authority that signed it."""

    tls: str
    """SASL_SSL."""
    plain: str
    """SASL_PLAINTEXT."""
    authority: Path
    other_authority: Path

    def config(self, user: str, prefix: str, **changes: object) -> KafkaConfig:
        """Return the configuration of a user."""
        settings: dict[str, object] = {
            "bootstrap_servers": self.tls,
            "security_protocol": "SASL_SSL",
            "sasl_username": user,
            "sasl_password": Secret(PASSWORDS[user]),
            "ssl_cafile": self.authority,
            "prefix": prefix,
        }
        return KafkaConfig(**settings | changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def secure_kafka(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One Apache Kafka with SASL_SSL, SCRAM-SHA-512 and access rules, for all tests."""
    folder = tmp_path_factory.mktemp("secure")
    tls_port, plain_port, controller_port = _free_ports(3)
    authority = _certificates(folder)
    _certificates(folder / "other")
    secure = SecureKafka(
        f"127.0.0.1:{tls_port}", f"127.0.0.1:{plain_port}", authority, folder / "other" / "authority.pem"
    )
    home = KafkaHome(kafka_home)
    properties = folder / "server.properties"
    write_properties(properties, _properties(folder, tls_port, plain_port, controller_port))
    home.format(properties, [f"SCRAM-SHA-512=[name={user},password={word}]" for user, word in PASSWORDS.items()])
    with (folder / "kafka.log").open("wb") as log:
        process = subprocess.Popen(home.command(properties), stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(Connection(secure.tls, secure.config("admin", "any")), process)
        yield secure
    finally:
        process.kill()
        process.wait()


def _properties(folder: Path, tls_port: int, plain_port: int, controller_port: int) -> dict[str, str]:
    listeners = f"SASL_SSL://127.0.0.1:{tls_port},SASL_PLAINTEXT://127.0.0.1:{plain_port}"
    scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="admin-secret";'
    return loopback_properties(folder / "data", tls_port, controller_port) | {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": scram,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "authority.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:ANONYMOUS",  # the controller's own listener is plain
    }


def _wait(connection: Connection, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            connection.check(timeout_s=3)
        except BrokerError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _certificates(folder: Path) -> Path:
    """Write `authority.pem`, and `server.pem`: key, certificate and chain of 127.0.0.1."""
    folder.mkdir(exist_ok=True)
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _sign("test authority", authority_key, "test authority", authority_key, is_authority=True)
    server = _sign("127.0.0.1", server_key, "test authority", authority_key, is_authority=False)
    key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in (server, authority)]
    (folder / "authority.pem").write_bytes(pem[1])
    (folder / "server.pem").write_bytes(b"".join([key, *pem]))
    return folder / "authority.pem"


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_authority:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
