"""Real brokers for the tests: noida-db, and an Apache Kafka where there is one.

`broker` runs a test on both, `apache` on the real Kafka only. Kafka is looked for in KAFKA_HOME, else in
`shared/kafka` beside the repository; without it a test is skipped, and fails where CI is set.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamwatch.config import Config, KafkaConfig
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import LocalBroker, start_local_broker
from streamwatch.ingest.connection import Connection, connect


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute in one thread: for so small an encoder a second one costs more than it does."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """The folder of an Apache Kafka."""
    beside = Path(__file__).parents[1].parent / "shared" / "kafka"
    home = Path(os.environ["KAFKA_HOME"]) if os.environ.get("KAFKA_HOME") else beside
    if not (home / "bin" / "kafka-server-start.sh").is_file():
        reason = f"no Apache Kafka in {home}: set KAFKA_HOME"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return home.resolve()


@pytest.fixture
def noida(tmp_path: Path) -> Iterator[LocalBroker]:
    """A fresh noida-db: it rewrites its whole store on every change, so no test pays for another's messages."""
    with start_local_broker(tmp_path / "noida", None) as broker:
        yield broker


@pytest.fixture(scope="session")
def apache(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """One Apache Kafka for all tests; they keep apart by their prefix. Do not stop it: start your own for that."""
    with start_local_broker(tmp_path_factory.mktemp("apache"), kafka_home) as broker:
        yield broker


@pytest.fixture(params=["noida-db", "apache-kafka"])
def broker(request: pytest.FixtureRequest) -> LocalBroker:
    """Both brokers, one after the other."""
    found: LocalBroker = request.getfixturevalue("noida" if request.param == "noida-db" else "apache")
    return found


@pytest.fixture
def kafka_config(broker: LocalBroker) -> KafkaConfig:
    """The broker with streams and groups of this test alone."""
    return KafkaConfig(bootstrap_servers=broker.bootstrap_servers, prefix=fresh_prefix())


@pytest.fixture
def config(kafka_config: KafkaConfig, tmp_path: Path) -> Config:
    """A configuration with a state folder of this test alone."""
    return Config(state_dir=tmp_path / "state", kafka=kafka_config)


@pytest.fixture
def connection(config: Config) -> Connection:
    """A connection to the broker, the streams made."""
    found = connect(config)
    ensure_streams(found)
    return found


@pytest.fixture
def apache_connection(apache: LocalBroker, tmp_path: Path) -> Connection:
    """As `connection`, on the real Kafka only."""
    kafka = KafkaConfig(bootstrap_servers=apache.bootstrap_servers, prefix=fresh_prefix())
    found = connect(Config(state_dir=tmp_path / "state", kafka=kafka))
    ensure_streams(found)
    return found


def fresh_prefix() -> str:
    """Return a prefix for streams and groups that no other test has."""
    return f"test-{secrets.token_hex(4)}"
