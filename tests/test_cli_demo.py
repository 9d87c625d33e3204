from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from jobs.memory import MemoryMeter, tree_bytes
from jobs.monitor_process import MonitorProcess, to_toml
from streamwatch.cli.demo import PlainDisplay
from streamwatch.cli.demo_run import demo_config, fresh_folder
from streamwatch.cli.demo_view import Counts, DemoView
from streamwatch.config import Config, KafkaConfig, MetricsConfig, ModelConfig, MonitorsConfig, StoreConfig, load_config
from streamwatch.errors import StageError
from streamwatch.records import Alert, Provenance

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_a_configuration_survives_its_way_through_a_file(tmp_path: Path) -> None:
    config = Config(
        state_dir=tmp_path / 'a "quoted" 文件夹',
        model=ModelConfig(runtime="onnx-fp32", threads=1),
        monitors=MonitorsConfig(file=tmp_path / "monitors.toml"),
    )
    file = tmp_path / "streamwatch.toml"
    file.write_text(to_toml(config), encoding="utf-8")
    assert load_config(file, {}) == config


def test_the_demo_touches_neither_the_users_kafka_nor_the_tables(tmp_path: Path) -> None:
    mine = Config(
        state_dir=tmp_path,
        kafka=KafkaConfig(bootstrap_servers="prod:9092"),
        store=StoreConfig(url="s3://prod"),
        model=ModelConfig(threads=1),
    )
    demo = demo_config(mine)
    assert demo.state_dir == tmp_path / "demo"
    assert demo.kafka == KafkaConfig()
    assert demo.store_url() == str(tmp_path / "demo" / "tables")
    assert demo.model == mine.model
    assert demo.metrics.port not in (0, mine.metrics.port)


def test_the_demo_begins_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "keep").touch()
    (tmp_path / "demo" / "tables").mkdir(parents=True)
    fresh_folder(tmp_path / "demo")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["demo", "keep"]


@pytest.mark.integration
def test_a_monitor_that_cannot_start_says_why(tmp_path: Path) -> None:
    config = Config(
        state_dir=tmp_path, monitors=MonitorsConfig(file=tmp_path / "none.toml"), metrics=MetricsConfig(port=1)
    )
    with (
        MonitorProcess(config, os.environ) as monitor,
        pytest.raises(StageError, match=r"ended with status 2: error: .*none\.toml"),
    ):
        monitor.wait_until_up(threading.Event(), lambda: None)


def test_memory_counts_children() -> None:
    assert tree_bytes(os.getpid()) > 2**20
    assert tree_bytes(2**30) == 0
    with MemoryMeter(os.getpid()) as meter:
        deadline = time.monotonic() + 30
        while not meter.peak_bytes and time.monotonic() < deadline:
            time.sleep(0.05)
    assert meter.peak_bytes >= meter.now_bytes > 0


def alert(status: str = "firing") -> Alert:
    return Alert(
        fingerprint="a" * 16,
        monitor="entity-negative-surge",
        group="TSLA",
        group_by="entity",
        severity="critical",
        status="firing" if status == "firing" else "resolved",
        onset=NOON,
        window_start=NOON,
        window_end=NOON + timedelta(minutes=30),
        updated_at=NOON,
        ended_at=None if status == "firing" else NOON + timedelta(hours=1),
        measure="negative_count",
        seen=9,
        expected=1,
        surprise=8,
        count=20,
        negative=9,
        evidence=[],
        annotations={},
        provenance=Provenance(model_version="m", monitors_hash="h", watermark=NOON, source_offsets={}),
    )


def test_without_a_terminal_every_alert_is_a_line_when_it_opens_and_when_it_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = DemoView(title="demo", total=10, phase="streaming", sent=7, counts=Counts(scored=5, archived=3))
    display = PlainDisplay()
    for status in ("firing", "firing", "resolved"):
        view.take_alert(msgspec.structs.replace(alert(status)))
        display(view)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines if "TSLA" in line] == ["ALERT", "ended"]
    assert sum("sent 7 of 10, scored 5, stored 3" in line for line in lines) == 1
