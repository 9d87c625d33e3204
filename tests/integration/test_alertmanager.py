"""Alerts on a real Alertmanager, with a real receiver behind it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import msgspec
import pytest

from streamwatch.config import AlertmanagerConfig
from streamwatch.errors import ConfigError
from streamwatch.records import Alert, EvidencePost, Provenance
from streamwatch.watch.alertmanager import Alertmanager

pytestmark = pytest.mark.integration
BINARY = "prometheus-alertmanager"
SETTINGS = """
route: {{receiver: hook, group_by: ['...'], group_wait: 100ms, group_interval: 300ms, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: 'http://127.0.0.1:{port}/', send_resolved: true}}]
"""
ONSET = datetime(2015, 8, 24, 13, 0, tzinfo=UTC)


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
    """Return what a condition gives once it is true."""
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {timeout_s} s in vain: {what}"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Receiver:
    """A webhook receiver: what Alertmanager notified, in order."""

    def __init__(self) -> None:
        self.notified: list[dict[str, Any]] = []
        notified = self.notified

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name that http.server looks for
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                notified.extend(body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, alert: Alert, status: str) -> list[dict[str, Any]]:
        return [
            item
            for item in self.notified
            if item["labels"]["fingerprint"] == alert.fingerprint and item["status"] == status
        ]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Server:
    """An Alertmanager that can be stopped and started on the same port, with nothing kept."""

    def __init__(self, folder: Path, webhook_port: int) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "am.yml").write_text(SETTINGS.format(port=webhook_port))

    def start(self) -> None:
        command = [
            BINARY,
            f"--config.file={self._folder / 'am.yml'}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        with (self._folder / "am.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._ready, "Alertmanager is ready")

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready").is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def alerts(self) -> dict[str, dict[str, Any]]:
        found = httpx.get(f"{self.url}/api/v2/alerts").json()
        return {alert["labels"]["fingerprint"]: alert for alert in found}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[Server]:
    if shutil.which(BINARY) is None:
        reason = f"no {BINARY}: apt-get install --no-install-recommends {BINARY}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    found = Server(tmp_path, receiver.port)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def poster(server: Server) -> Iterator[Alertmanager]:
    found = Alertmanager(AlertmanagerConfig(url=server.url, repost_every_s=1.0, timeout_s=2.0))
    yield found
    found.close()


def alert(number: int = 1) -> Alert:
    at = ONSET + timedelta(minutes=30)
    return Alert(
        fingerprint=f"{number:016x}",
        monitor="entity-negative-surge",
        group="AAPL",
        group_by="entity",
        severity="critical",
        status="firing",
        onset=ONSET,
        window_start=ONSET,
        window_end=at,
        updated_at=at,
        ended_at=None,
        measure="negative_count",
        seen=40.0,
        expected=3.2,
        surprise=12.0,
        count=55,
        negative=40,
        evidence=[
            EvidencePost(
                id="1", source="wire", published_at=ONSET, text="苹果 plunges", sentiment="negative", negative_prob=0.97
            )
        ],
        annotations={"summary": "AAPL: 40 negative posts in 30m, 3.2 expected"},
        provenance=Provenance(model_version="m1", monitors_hash="0" * 16, watermark=at, source_offsets={"0": 7}),
    )


def resolved(firing: Alert) -> Alert:
    end = firing.updated_at + timedelta(hours=1)
    return msgspec.structs.replace(firing, status="resolved", updated_at=end, ended_at=end)


def test_an_alert_of_the_past_is_posted_kept_alive_and_resolved(
    poster: Alertmanager, server: Server, receiver: Receiver
) -> None:
    #  put ──▶ notified firing ──▶ posted again, endsAt moves on ──▶ resolved ──▶ notified resolved, once
    one = alert()
    poster.put(one)
    notified = wait_for(lambda: receiver.of(one, "firing"), "the receiver hears of it")[0]
    assert notified["labels"] == {
        "alertname": "entity-negative-surge",
        "group": "AAPL",
        "group_by": "entity",
        "severity": "critical",
        "fingerprint": one.fingerprint,
    }
    assert notified["annotations"]["summary"] == "AAPL: 40 negative posts in 30m, 3.2 expected"
    assert "苹果 plunges" in notified["annotations"]["evidence"]
    assert notified["startsAt"].startswith("2015-08-24T13:00:00")

    first = server.alerts()[one.fingerprint]["endsAt"]
    wait_for(lambda: server.alerts()[one.fingerprint]["endsAt"] > first, "it is kept alive")
    assert not receiver.of(one, "resolved")

    poster.put(resolved(one))
    wait_for(lambda: receiver.of(one, "resolved"), "the receiver hears of its end")
    wait_for(lambda: poster.waiting == 0, "the end is acknowledged")
    assert len(receiver.of(one, "resolved")) == 1
    assert one.fingerprint not in server.alerts()


def test_a_raised_severity_ends_the_alert_of_the_old_label(
    poster: Alertmanager, server: Server, receiver: Receiver
) -> None:
    #  warning ──▶ critical: the receiver hears of the critical one and of the end of the warning
    low = msgspec.structs.replace(alert(), severity="warning", incident="AAPL")
    poster.put(low)
    notified = wait_for(lambda: receiver.of(low, "firing"), "it fires")[0]
    assert notified["labels"]["incident"] == "AAPL"
    poster.put(msgspec.structs.replace(low, severity="critical"))

    def severities(status: str) -> list[str]:
        return [item["labels"]["severity"] for item in receiver.of(low, status)]

    wait_for(lambda: severities("firing") == ["warning", "critical"], "the higher one fires")
    wait_for(lambda: severities("resolved") == ["warning"], "the lower one ends")
    assert server.alerts()[low.fingerprint]["labels"]["severity"] == "critical"


def test_a_muted_alert_is_not_posted_and_one_that_is_muted_later_ends(
    poster: Alertmanager, server: Server, receiver: Receiver
) -> None:
    quiet = msgspec.structs.replace(alert(1), muted_by="night")
    loud = alert(2)
    poster.put(quiet)
    poster.put(loud)
    wait_for(lambda: receiver.of(loud, "firing") and poster.waiting == 0, "the other fires, and nothing waits")
    poster.put(msgspec.structs.replace(loud, muted_by="night"))
    wait_for(lambda: receiver.of(loud, "resolved"), "it ends as its mute begins")
    poster.put(loud)
    wait_for(lambda: len(receiver.of(loud, "firing")) == 2, "it comes back as its mute ends")
    assert not receiver.of(quiet, "firing")


def test_it_outlives_a_restart_of_alertmanager(
    poster: Alertmanager, server: Server, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    #  put 1 ── down: put 2, end of 1 ── up: 2 fires, 1 is not raised again
    one, two = alert(1), alert(2)
    poster.put(one)
    wait_for(lambda: receiver.of(one, "firing"), "the first fires")
    server.stop()
    poster.put(two)
    poster.put(resolved(one))
    wait_for(lambda: "trying again" in caplog.text, "the outage is logged")
    assert poster.waiting == 2

    server.start()
    wait_for(lambda: receiver.of(two, "firing"), "the second fires after the restart")
    wait_for(lambda: poster.waiting == 0, "everything is acknowledged")
    assert two.fingerprint in server.alerts()
    assert one.fingerprint not in server.alerts()
    assert len([record for record in caplog.records if "trying again" in record.message]) == 1


def test_an_open_alert_comes_back_after_a_restart(poster: Alertmanager, server: Server, receiver: Receiver) -> None:
    one = alert()
    poster.put(one)
    wait_for(lambda: receiver.of(one, "firing"), "it fires")
    server.stop()
    server.start()
    wait_for(lambda: one.fingerprint in server.alerts(), "it is posted again")


def test_put_does_not_wait_for_a_server_that_is_down() -> None:
    poster = Alertmanager(AlertmanagerConfig(url=f"http://127.0.0.1:{free_port()}", timeout_s=1.0))
    for number in range(100):
        poster.put(alert(number))
    assert poster.waiting == 100
    poster.close(timeout_s=0.5)
    assert poster.waiting == 100


def test_close_posts_what_waits(server: Server) -> None:
    poster = Alertmanager(AlertmanagerConfig(url=server.url))
    poster.put(alert())
    poster.close()
    assert poster.waiting == 0
    assert alert().fingerprint in server.alerts()


def test_without_an_address_nothing_is_posted() -> None:
    poster = Alertmanager(AlertmanagerConfig())
    poster.put(alert())
    assert poster.waiting == 0
    poster.close()


def test_an_address_that_is_no_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="alertmanager.url"):
        Alertmanager(AlertmanagerConfig(url="localhost:9093"))
