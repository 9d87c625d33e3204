"""Ask one Kafka server who it is, step by step, so that the step that fails names the true reason.

kafka-python retries whatever went wrong until its time is over, and then says only that it timed out. So before a
client is made, one plain socket goes through the same steps: name, TCP, TLS, SASL, metadata.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import closing
from typing import Any

from kafka import errors
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.metadata import ApiVersionsRequest, MetadataRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from streamwatch.config import KafkaConfig
from streamwatch.errors import BrokerAuthError, BrokerError, BrokerTlsError, BrokerUnreachable, ConfigError

CLIENT_ID = "streamwatch"
DEFAULT_PORT = 9092
_TLS_ALERT = b"\x15"


def split_server(server: str) -> tuple[str, int]:
    """Return host and port of a bootstrap server.

    >>> split_server("kafka.example:9094")
    ('kafka.example', 9094)
    >>> split_server("[::1]:9094")
    ('::1', 9094)
    >>> split_server("kafka.example")
    ('kafka.example', 9092)

    Raises:
        ConfigError: The port is no number.
    """
    host, separator, port = server.strip().rpartition(":")
    if not separator or server.strip().endswith("]"):
        return server.strip().strip("[]"), DEFAULT_PORT
    if not port.isdigit():
        place = "configuration"
        raise ConfigError(place, "kafka.bootstrap_servers", server, "host:port, separated by commas")
    return host.strip("[]"), int(port)


def probe(server: str, kafka: KafkaConfig, timeout_s: float) -> list[str]:
    """Log in to a server and return the brokers that it names, as `host:port`.

    Raises:
        BrokerUnreachable: No such host, nobody listens there, or nobody answers in time.
        BrokerTlsError: The TLS handshake fails, or one side speaks TLS and the other does not.
        BrokerAuthError: The user or the password is wrong, or the server wants another way to log in.
        BrokerError: Something answers that is no Kafka, or a Kafka that is not ready.
    """
    deadline = time.monotonic() + timeout_s
    with closing(_connect(server, timeout_s)) as plain:
        tls = kafka.security_protocol in ("SSL", "SASL_SSL")
        with closing(_wrap(plain, server, kafka) if tls else plain) as stream:
            conversation = _Conversation(stream, server, kafka, deadline)
            conversation.greet()
            if kafka.security_protocol.startswith("SASL_"):
                conversation.log_in()
            return conversation.brokers()


def _connect(server: str, timeout_s: float) -> socket.socket:
    host, port = split_server(server)
    try:
        return socket.create_connection((host, port), timeout=timeout_s)
    except socket.gaierror as error:
        message = f"{server}: the host name is not known ({error.strerror}): check kafka.bootstrap_servers"
        raise BrokerUnreachable(message) from error
    except ConnectionRefusedError as error:
        message = f"{server}: nobody listens there: start the broker, or check kafka.bootstrap_servers"
        raise BrokerUnreachable(message) from error
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror
        message = f"{server}: cannot be reached ({reason}): check address and firewall"
        raise BrokerUnreachable(message) from error


def tls_context(kafka: KafkaConfig) -> ssl.SSLContext:
    """Return the TLS settings of the configuration, host names checked.

    Raises:
        ConfigError: A certificate file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
    except OSError as error:
        raise ConfigError(str(kafka.ssl_cafile), "kafka.ssl_cafile", str(error), "a PEM file of CAs") from error
    if kafka.ssl_certfile is not None:
        try:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile)
        except OSError as error:
            expected = "a PEM certificate, and its key in kafka.ssl_keyfile"
            raise ConfigError(str(kafka.ssl_certfile), "kafka.ssl_certfile", str(error), expected) from error
    return context


def _wrap(plain: socket.socket, server: str, kafka: KafkaConfig) -> ssl.SSLSocket:
    try:
        return tls_context(kafka).wrap_socket(plain, server_hostname=split_server(server)[0])
    except ssl.SSLCertVerificationError as error:
        advice = "check kafka.ssl_cafile and the host name in kafka.bootstrap_servers"
        message = f"{server}: its certificate is not trusted ({error.verify_message}): {advice}"
        raise BrokerTlsError(message) from error
    except TimeoutError as error:
        message = f"{server}: no answer to the TLS handshake: does this port speak TLS?"
        raise BrokerTlsError(message) from error
    except OSError as error:
        advice = "does this port speak TLS? check kafka.security_protocol"
        message = f"{server}: the TLS handshake fails ({_reason(error)}): {advice}"
        raise BrokerTlsError(message) from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or type(error).__name__


class _Conversation:
    """Requests and answers with one server, one after the other."""

    def __init__(self, stream: socket.socket, server: str, kafka: KafkaConfig, deadline: float) -> None:
        self._stream = stream
        self._server = server
        self._kafka = kafka
        self._deadline = deadline
        self._protocol = KafkaProtocol(client_id=CLIENT_ID)
        self._last_heard = b""

    def greet(self) -> None:
        """Ask for the API versions, which every Kafka tells anyone."""
        tls = isinstance(self._stream, ssl.SSLSocket)
        try:
            self._ask(ApiVersionsRequest(version=0))
        except ssl.SSLError as error:
            advice = "does it want a client certificate? check kafka.ssl_certfile"
            message = f"{self._server}: refuses us after TLS ({_reason(error)}): {advice}"
            raise BrokerTlsError(message) from error
        except (errors.KafkaError, OSError) as error:
            if isinstance(error, TimeoutError):
                message = f"{self._server}: accepts connections and does not answer"
                raise BrokerUnreachable(message) from error
            if tls or self._last_heard[:1] not in (b"", _TLS_ALERT):
                message = f"{self._server}: does not speak Kafka's protocol: check kafka.bootstrap_servers"
                raise BrokerError(message) from error
            advice = "does this port want TLS? check kafka.security_protocol"
            message = f"{self._server}: does not answer in plain text: {advice}"
            raise BrokerTlsError(message) from error

    def log_in(self) -> None:
        """Authenticate with SASL."""
        wanted = self._kafka.sasl_mechanism
        try:
            answer = self._ask(SaslHandshakeRequest(mechanism=wanted, version=1))
            self._check_handshake(answer)
            mechanism = get_sasl_mechanism(wanted)(**self._credentials())
            while not mechanism.is_done():
                answer = self._ask(SaslAuthenticateRequest(mechanism.auth_bytes(), version=0))
                if answer.error_code:
                    raise BrokerAuthError(self._refusal(answer.error_message or ""))
                mechanism.receive(answer.auth_bytes)
        except TimeoutError as error:
            message = f"{self._server}: does not answer the log-in in time"
            raise BrokerUnreachable(message) from error
        except (errors.KafkaError, ValueError, OSError) as error:
            raise BrokerAuthError(self._refusal(str(error))) from error

    def brokers(self) -> list[str]:
        """Return the brokers of the cluster as `host:port`."""
        try:
            answer = self._ask(MetadataRequest(topics=[], version=1))
        except TimeoutError as error:
            message = f"{self._server}: does not answer in time"
            raise BrokerUnreachable(message) from error
        except (errors.KafkaError, OSError) as error:
            advice = "does it want a log-in? check kafka.security_protocol"
            message = f"{self._server}: ends the connection at the first request: {advice}"
            raise BrokerAuthError(message) from error
        if not answer.brokers:
            message = f"{self._server}: is not ready, it names no broker yet"
            raise BrokerUnreachable(message)
        return [f"[{b.host}]:{b.port}" if ":" in b.host else f"{b.host}:{b.port}" for b in answer.brokers]

    def _check_handshake(self, answer: Any) -> None:
        if answer.error_code == errors.IllegalSaslStateError.errno:
            advice = "check kafka.security_protocol and the port"
            message = f"{self._server}: does not expect a log-in on this port: {advice}"
            raise BrokerAuthError(message)
        if answer.error_code:
            offered = ", ".join(answer.mechanisms) or "none"
            message = (
                f"{self._server}: does not offer {self._kafka.sasl_mechanism}, "
                f"it offers {offered}: check kafka.sasl_mechanism"
            )
            raise BrokerAuthError(message)

    def _refusal(self, reason: str) -> str:
        user = self._kafka.sasl_username
        advice = "check kafka.sasl_username and the password"
        return f"{self._server}: refuses user {user!r}: {advice}" + (f" ({reason})" if reason else "")

    def _credentials(self) -> dict[str, str]:
        password = self._kafka.password()
        return {
            "host": split_server(self._server)[0],
            "sasl_mechanism": self._kafka.sasl_mechanism,
            "sasl_plain_username": self._kafka.sasl_username,
            "sasl_plain_password": password.reveal() if password else "",
            "security_protocol": "SASL_SSL",  # what is said of plain text is said elsewhere
        }

    def _ask(self, request: Any) -> Any:
        self._protocol.send_request(request)
        self._wait_at_most()
        self._stream.sendall(self._protocol.send_bytes())
        while True:
            self._wait_at_most()
            data = self._last_heard = self._stream.recv(65_536)
            if not data:
                message = "connection closed by the server"
                raise ConnectionResetError(message)
            for _, answer in self._protocol.receive_bytes(data):
                return answer

    def _wait_at_most(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._stream.settimeout(left)
