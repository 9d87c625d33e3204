"""The API, asked what nobody would ask: requests that schemathesis makes from the app's own /openapi.json.

Each answer must be one that the document declares, of that type and shape, and none may be a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema
from starlette.types import Receive, Scope, Send

from serve.api import create_app
from streamwatch.config import Config, DeskConfig, KafkaConfig, MetricsConfig
from streamwatch.desk.access import Role
from streamwatch.desk.desk import Desk
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import start_local_broker
from streamwatch.ingest.connection import connect
from tests.stored_posts import stored_day
from tests.test_desk_on_demand import Scorer

NOW = datetime(2026, 1, 5, 18, tzinfo=UTC)
ENDLESS = ("/v1/live/{channel}",)
"""Not asked: an event stream ends when its client goes. (The WebSocket beside it is not in the document.)"""
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
)
"""Not `positive_data_acceptance`: that a word is TOML, SQL or a time is more than the document can say."""
EXAMPLES: dict[Role, int] = {"operator": 6, "viewer": 2}
COSTLY = {"/v1/monitors/backtest": 3}
"""What starts a process each time is asked less often."""
MONITORS = '[[monitor]]\nname = "all"\ngroup_by = "entity"\nwindow = "30m"\nhop = "5m"\nmeasure = "negative_count"\n'
KNOWN: dict[str, list[Any]] = {
    "from": ["24h", "2026-01-05T09:00Z", "2026-01-05T12:01:02+01:00", "1970-01-01T00:00Z", "9000-01-01"],
    "to": ["1m", "2026-01-05T18:00Z", "9000-12-31T23:59:59.999999Z"],
    "window": ["5m", "1h", "7d", "366d"],
    "group_by": ["entity", "topic,entity", "source,lang,intent", ""],
    "entity": ["AAPL", "IBM", "nobody"],
    "group": ["AAPL", "IBM"],
    "monitor": ["test"],
    "topic": ["earnings", "no topic"],
    "q": ["negative", "neutral at", '"'],
    "post_id": ["0-0", "1-7"],
    "sql": [
        "SELECT * FROM posts LIMIT 3",
        "SELECT count(*) AS n, sentiment FROM posts GROUP BY sentiment",
        "SELECT 1/0 AS x, * FROM alerts",
    ],
    "text": [MONITORS, "[[mute]]\n"],
    "number": [1],
    "until": ["2999-01-01T00:00:00Z"],
    "task": ["sentiment"],
    "gold_label": ["negative"],
}
"""Words that mean something here, so that requests get further than the first refusal."""


class Target(NamedTuple):
    """The app, what it declares, and who asks it."""

    schema: BaseSchema
    headers: dict[Role, dict[str, str]]


class Served:
    """An app without its begin and end: what is stored does not change here, so nothing need be kept up to date."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            message = "there is none"
            raise NotImplementedError(message)
        await self._app(scope, receive, send)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A desk over a stored day, with a broker of its own to send to, and something that scores."""
    folder = tmp_path_factory.mktemp("desk")
    chain = stored_day(folder / "tables")
    with start_local_broker(folder / "broker", None) as broker:
        config = Config(
            state_dir=folder,
            kafka=KafkaConfig(bootstrap_servers=broker.bootstrap_servers),
            desk=DeskConfig(requests_per_s=1e6, burst=1_000_000),
            metrics=MetricsConfig(port=1),
        )
        connection = connect(config)
        ensure_streams(connection)
        desk = Desk(config, connection, Scorer())
        desk.refresh()
        roles: tuple[Role, ...] = ("viewer", "operator")
        headers = {role: {"Authorization": f"Bearer {desk.tokens.add(role, role, 'main', NOW)}"} for role in roles}
        known = KNOWN | {"fingerprint": [chain.alerts[0].fingerprint]}
        load_all_checks()
        yield Target(
            openapi.from_asgi(
                "/openapi.json", Served(create_app(desk)), headers=headers["viewer"], config=_config(known)
            ),
            headers,
        )
        desk.close()


def _config(known: dict[str, list[Any]]) -> SchemathesisConfig:
    bound = {name: {"dictionary": name, "probability": 0.6} for name in known}
    return SchemathesisConfig.from_dict(
        {
            "generation": {"with-security-parameters": False},
            "dictionaries": {name: {"values": values} for name, values in known.items()},
            "parameters": bound | {f"body.{name}": found for name, found in bound.items()},
        }
    )


@pytest.mark.parametrize("role", EXAMPLES)
def test_nothing_that_is_asked_is_a_fault_and_all_is_as_declared(target: Target, role: Role) -> None:
    asked = [found.ok() for found in target.schema.get_all_operations() if isinstance(found, Ok)]
    statuses = {
        operation.label: _ask(operation, target.headers[role], EXAMPLES[role])
        for operation in asked
        if operation.path not in ENDLESS
    }
    assert len(statuses) > 30
    if role == "operator":
        reached = [label for label, found in statuses.items() if any(status < 300 for status in found)]
        assert len(reached) > 0.8 * len(statuses), f"most is refused at the door: only {reached} were got through"


def _ask(operation: APIOperation[Any, Any, Any, Any], headers: dict[str, str], examples: int) -> set[int]:
    """Ask one operation as the document says, and otherwise; return how it answered."""
    found: set[int] = set()

    def ask(case: Case[Any]) -> None:
        checks: Any = CHECKS.get_by_names(CHECKED)
        found.add(case.call_and_validate(headers=headers, checks=checks).status_code)

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.POSITIVE or operation.body or operation.query or operation.path_parameters:
            _derandomized(min(examples, COSTLY.get(operation.path, examples)))(
                given(operation.as_strategy(mode))(ask)
            )()
    return found


def _derandomized(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
