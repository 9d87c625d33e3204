"""`/metrics`, `/health` and `/status` of a running monitor, over HTTP on loopback."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streamwatch.config import MetricsConfig
from streamwatch.errors import ConfigError

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """A page: HTTP status, content type and body."""

    status: int
    content_type: str
    body: bytes


class Endpoint:
    """A small HTTP server in a thread of its own.

    Args:
        config: Host and port; port 0 takes a free one.
        registry: What `/metrics` shows.
        status: Returns what `/status` shows; its `healthy` decides between 200 and 503 of `/health`.

    Raises:
        ConfigError: The port is taken.
    """

    def __init__(
        self, config: MetricsConfig, registry: CollectorRegistry, status: Callable[[], dict[str, Any]]
    ) -> None:
        self._registry = registry
        self._status = status
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = answer(self.path)
                self.send_response(page.status)
                self.send_header("Content-Type", page.content_type)
                self.send_header("Content-Length", str(len(page.body)))
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, format: str, *args: object) -> None:
                log.debug("request", extra={"request": format % args})

        try:
            self._server = ThreadingHTTPServer((config.host, config.port), Handler)
        except OSError as error:
            expected = "a free port; is another streamwatch running? 0 takes any"
            place = f"http://{config.host}:{config.port}"
            raise ConfigError(place, "metrics.port", error.strerror, expected) from error
        self.address = f"http://{config.host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)
        self._thread.start()

    def answer(self, path: str) -> Answer:
        """Return the page at a path."""
        if path == "/metrics":
            return Answer(200, CONTENT_TYPE_LATEST, generate_latest(self._registry))
        if path in ("/health", "/status"):
            status = self._status()
            code = 503 if path == "/health" and not status["healthy"] else 200
            return Answer(code, "application/json", json.dumps(status).encode())
        return Answer(404, "text/plain", b"/metrics, /health and /status are here\n")

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
