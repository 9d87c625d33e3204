"""Starting a local broker where something is missing; brokers that run are in `integration/test_broker.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamwatch.errors import BrokerError, ConfigError
from streamwatch.ingest.apache_kafka import KafkaHome
from streamwatch.ingest.broker import running_broker, start_local_broker


def kafka_folder(folder: Path, version: str, script: str = "exit 0") -> Path:
    """Make what looks like a Kafka: the scripts that are run, and the jar that carries the version."""
    (folder / "bin").mkdir()
    (folder / "libs").mkdir()
    (folder / "libs" / f"kafka_2.13-{version}.jar").touch()
    for name in ("kafka-storage.sh", "kafka-server-start.sh"):
        file = folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    return folder


def test_nothing_runs_in_a_fresh_folder(tmp_path: Path) -> None:
    assert running_broker(tmp_path) is None


def test_a_folder_that_is_no_kafka(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"KAFKA_HOME: found .*expected the folder of an Apache Kafka"):
        start_local_broker(tmp_path / "state", tmp_path)


def test_a_kafka_that_is_too_old(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"version 3\.4\.1.*expected Apache Kafka 4\.0 or newer"):
        start_local_broker(tmp_path / "state", kafka_folder(tmp_path, "3.4.1"))


def test_the_version_is_read_from_the_jar(tmp_path: Path) -> None:
    assert KafkaHome(kafka_folder(tmp_path, "4.4.0")).version() == (4, 4, 0)


def test_a_missing_java_is_named(tmp_path: Path) -> None:
    home = kafka_folder(tmp_path, "4.4.0", "exec no-such-java")
    with pytest.raises(BrokerError, match="install openjdk-17-jre-headless"):
        start_local_broker(tmp_path / "state", home)


def test_a_kafka_that_ends_at_start_leaves_its_last_words(tmp_path: Path) -> None:
    home = kafka_folder(tmp_path, "4.4.0", "echo 'ERROR no space left'; [ $1 = format ]")
    with pytest.raises(BrokerError, match=r"ended at start with status 1: ERROR no space left"):
        start_local_broker(tmp_path / "state", home)
    assert running_broker(tmp_path / "state") is None
