"""The local broker as a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from kafka import TopicPartition

from streamwatch.config import Config, KafkaConfig
from streamwatch.errors import BrokerError, BrokerUnreachable
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import LocalBroker, running_broker, start_local_broker
from streamwatch.ingest.connection import connect
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader

pytestmark = pytest.mark.integration


def test_noida_keeps_port_and_data_from_one_start_to_the_next(tmp_path: Path) -> None:
    config = Config(state_dir=tmp_path)
    with start_local_broker(tmp_path, None) as first:
        assert first.kind == "noida-db"
        assert running_broker(tmp_path) == first.bootstrap_servers
        connection = connect(config)
        assert len(ensure_streams(connection)) == 6
        with Sink(connection) as sink:
            sink.send("streamwatch.posts", b"kept", partition=0)
            sink.flush()
    assert not first.alive()
    assert running_broker(tmp_path) is None
    with pytest.raises(BrokerUnreachable, match="none runs in"):
        connect(config)
    with start_local_broker(tmp_path, None) as second:
        assert second.bootstrap_servers == first.bootstrap_servers
        with StreamReader(connect(config), ["streamwatch.posts"], "reader") as reader:
            assert reader.end_offsets()[TopicPartition("streamwatch.posts", 0)] == 1


def test_a_folder_has_one_broker(tmp_path: Path) -> None:
    with start_local_broker(tmp_path, None), pytest.raises(BrokerError, match="runs already"):
        start_local_broker(tmp_path, None)


def test_a_taken_port_is_refused(noida: LocalBroker, tmp_path: Path) -> None:
    port = int(noida.bootstrap_servers.rpartition(":")[2])
    with pytest.raises(BrokerError, match=f"port {port} is taken"):
        start_local_broker(tmp_path / "other", None, port=port)


def test_the_terminals_interrupt_does_not_reach_it(noida: LocalBroker) -> None:
    assert os.getsid(noida.pid) != os.getsid(0)


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys; from streamwatch.ingest.broker import start_local_broker;"
        "print(start_local_broker(pathlib.Path(sys.argv[1]), None).pid, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([broker], timeout=10)[1] == []
    assert running_broker(tmp_path) is None


def test_kafka_killed_under_load_loses_and_doubles_nothing(kafka_home: Path, tmp_path: Path) -> None:
    """Two kills, the second while the first one's log is just recovered; the client never sees an error."""
    broker = start_local_broker(tmp_path, kafka_home)
    try:
        connection = connect(Config(state_dir=tmp_path))
        ensure_streams(connection)
        with Sink(connection, buffer_bytes=2 * 1024 * 1024) as sink:
            stop = threading.Event()
            sent = [0]

            def load() -> None:
                while not stop.is_set():
                    sink.send("streamwatch.posts", str(sent[0]).encode(), partition=sent[0] % 4)
                    sent[0] += 1

            sender = threading.Thread(target=load)
            sender.start()
            for _ in range(2):
                wait_for_more_than(sent, sent[0] + 3_000)
                broker.kill()
                servers = broker.bootstrap_servers
                broker = start_local_broker(tmp_path, kafka_home)
                assert broker.bootstrap_servers == servers
            wait_for_more_than(sent, sent[0] + 3_000)
            stop.set()
            sender.join()
            sink.flush()
        with StreamReader(connection, ["streamwatch.posts"], "reader") as reader:
            reader.seek({})
            found: dict[int, list[int]] = {part: [] for part in range(4)}
            while any(offset < reader.end_offsets()[tp] for tp, offset in reader.positions().items()):
                for partition, records in reader.poll(5, 5_000).items():
                    found[partition.partition] += [int(record.value) for record in records]
        assert found == {part: list(range(part, sent[0], 4)) for part in range(4)}
    finally:
        broker.stop()


def wait_for_more_than(counter: list[int], goal: int) -> None:
    deadline = time.monotonic() + 60
    while counter[0] <= goal:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_noida_that_is_killed_is_started_again_on_its_port(tmp_path: Path) -> None:
    """It may lose what it acknowledged last: README says so."""
    with start_local_broker(tmp_path, None) as broker:
        os.kill(broker.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(broker.pid)] if psutil.pid_exists(broker.pid) else [], timeout=10)
        with start_local_broker(tmp_path, None) as again:
            assert again.bootstrap_servers == broker.bootstrap_servers
            connect(Config(kafka=KafkaConfig(bootstrap_servers=again.bootstrap_servers)))
