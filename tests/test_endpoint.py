from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from jobs.endpoint import Endpoint
from streamwatch.config import MetricsConfig
from streamwatch.errors import ConfigError

status: dict[str, Any] = {"healthy": True}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(2)
    found = Endpoint(MetricsConfig(port=0), registry, lambda: status)
    yield found
    found.close()


def test_serves_metrics_status_and_health(endpoint: Endpoint) -> None:
    assert "things_total 2.0" in httpx.get(f"{endpoint.address}/metrics").text
    assert httpx.get(f"{endpoint.address}/status").json() == {"healthy": True}
    assert httpx.get(f"{endpoint.address}/health").status_code == 200
    assert httpx.get(f"{endpoint.address}/else").status_code == 404


def test_health_is_503_when_a_stage_is_down(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(status, "healthy", False)
    assert httpx.get(f"{endpoint.address}/health").status_code == 503
    assert httpx.get(f"{endpoint.address}/status").status_code == 200


def test_a_taken_port_stops_the_start(endpoint: Endpoint) -> None:
    port = int(endpoint.address.rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match=r"metrics\.port.*free port"):
        Endpoint(MetricsConfig(port=port), CollectorRegistry(), lambda: status)
