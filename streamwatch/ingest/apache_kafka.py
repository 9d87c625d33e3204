"""A downloaded Apache Kafka, set up as one KRaft node on loopback with its data in a folder of ours."""

from __future__ import annotations

import re
import secrets
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamwatch.errors import BrokerError, ConfigError
from streamwatch.streams import MAX_MESSAGE_BYTES

OLDEST = (4, 0)
"""The first Kafka whose `format --standalone` and PEM handling this module counts on."""
FORMAT_TIMEOUT_S = 120
_PLACE = "environment"
HEAP = "KAFKA_HEAP_OPTS=-Xms128m -Xmx512m -XX:TieredStopAtLevel=1"
"""Small, and compiled once: a start takes half the processor time."""


class KafkaHome:
    """The folder of an Apache Kafka: `bin/`, `libs/`.

    Args:
        folder: What `KAFKA_HOME` names.

    Raises:
        ConfigError: It is no Kafka, or one that is too old.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()
        for script in ("kafka-storage.sh", "kafka-server-start.sh"):
            if not (self.folder / "bin" / script).is_file():
                expected = f"the folder of an Apache Kafka, with bin/{script}"
                raise ConfigError(_PLACE, "KAFKA_HOME", str(folder), expected)
        if self.version() < OLDEST:
            found = f"{folder} (version {'.'.join(map(str, self.version()))})"
            expected = f"Apache Kafka {'.'.join(map(str, OLDEST))} or newer"
            raise ConfigError(_PLACE, "KAFKA_HOME", found, expected)

    def version(self) -> tuple[int, ...]:
        """Return the version that the server's jar carries in its name."""
        for jar in (self.folder / "libs").glob("kafka_*.jar"):
            found = re.fullmatch(r"kafka_[\d.]+-(\d+)\.(\d+)\.(\d+).*\.jar", jar.name)
            if found:
                return tuple(int(part) for part in found.groups())
        return (0,)

    def format(self, properties: Path, users: Sequence[str] = ()) -> None:
        """Prepare the data folder that `properties` names; needed once.

        Args:
            properties: The server's properties file.
            users: SCRAM users, as `SCRAM-SHA-512=[name=...,password=...]`.

        Raises:
            BrokerError: Java is missing or too old, or Kafka refuses the settings.
        """
        cluster = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A")
        script = str(self.folder / "bin" / "kafka-storage.sh")
        command = ["env", HEAP, script, "format", "-t", cluster, "-c", str(properties), "--standalone"]
        for user in users:
            command += ["--add-scram", user]
        done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False)
        if done.returncode:
            raise BrokerError(self._complaint(done.stdout + done.stderr, done.returncode))

    def command(self, properties: Path) -> list[str]:
        """Return the command that runs the server in the foreground; its own log goes beside its data."""
        script = str(self.folder / "bin" / "kafka-server-start.sh")
        return ["env", HEAP, f"LOG_DIR={properties.parent / 'logs'}", script, str(properties)]

    def _complaint(self, output: str, returncode: int) -> str:
        if returncode == 127 or re.search(r"java: (command )?not found", output):
            return "Apache Kafka needs Java 17, and there is no java: install openjdk-17-jre-headless"
        if "UnsupportedClassVersionError" in output:
            return "Apache Kafka needs Java 17, and java is older: install openjdk-17-jre-headless"
        last = output.strip().splitlines()[-1:] or [f"exit status {returncode}"]
        return f"Apache Kafka in {self.folder} cannot prepare its data folder: {last[0]}"


def loopback_properties(data: Path, port: int, controller_port: int) -> dict[str, str]:
    """Return the settings of one KRaft node on loopback.

    Args:
        data: Where the messages are kept.
        port: Where clients connect.
        controller_port: Where the node talks to itself.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "8",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "2",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "2",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    }


def write_properties(file: Path, properties: Mapping[str, str]) -> None:
    """Write a Java properties file, its folder included."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{key}={value}".replace("\\", "\\\\") for key, value in properties.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
