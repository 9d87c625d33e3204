"""The desk as a Ray Serve application, beside the scorer, behind Serve's HTTP proxy."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import pyarrow as pa
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from serve.api import create_app
from serve.scorer import APPLICATION as SCORER
from serve.scorer import QUIET
from streamwatch.config import Config, DeskConfig
from streamwatch.desk.access import Tokens
from streamwatch.desk.desk import Desk
from streamwatch.errors import ConfigError, ModelError
from streamwatch.ingest.connection import connect
from streamwatch.logs import configure_logging

APPLICATION = "streamwatch-desk"
ONGOING = 4_000
"""A live subscriber is a request that goes on."""


class DeskReplica:
    """The one replica of the desk; Serve takes its app once it is made."""

    def __init__(self, config: Config) -> None:
        configure_logging()
        self._scorer = serve.get_app_handle(SCORER)
        self._desk = Desk(config, connect(config), self._score)

    async def _score(self, asked: pa.RecordBatch) -> pa.RecordBatch:
        try:
            answer = await self._scorer.score.remote(asked)
        except (RayError, RayServeException) as error:
            message = f"the scorer does not answer: {type(error).__name__}"
            raise ModelError(message) from error
        columns: pa.RecordBatch = answer.columns
        return columns

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the app that Serve runs."""
        return create_app(self._desk)


def is_wanted(config: Config) -> bool:
    """Say whether the desk is to be served: whether a token is in force. Without one nobody could use it."""
    return any(token.revoked_at is None for token in Tokens(config.state_dir).all())


def start_proxy(desk: DeskConfig) -> None:
    """Start Serve with an HTTP proxy where the desk is to be; before anything else is deployed.

    Raises:
        ConfigError: The port is taken.
    """
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((desk.host, desk.port))
        except OSError as error:
            place, expected = f"http://{desk.host}:{desk.port}", "a free port; is another streamwatch running?"
            raise ConfigError(place, "desk.port", error.strerror, expected) from error
    options = {"host": desk.host, "port": desk.port}
    serve.start(proxy_location="HeadOnly", http_options=options, logging_config=QUIET)


def deploy_desk(config: Config) -> str:
    """Start the desk and wait until it answers; return its address."""
    config = msgspec.structs.replace(config, state_dir=config.state_dir.resolve())
    deployment: Any = serve.deployment(
        num_replicas=1,
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": 0},
        logging_config=QUIET,
    )(serve.ingress()(DeskReplica))
    serve.run(deployment.bind(config), name=APPLICATION, route_prefix="/")
    return f"http://{config.desk.host}:{config.desk.port}"


def retire_desk() -> None:
    """Take the desk off a cluster that goes on without us."""
    serve.delete(APPLICATION)
