"""A web server on loopback that serves feeds, good and hostile, and remembers who asked."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from streamwatch.feeds.feed_source import FeedSource
from streamwatch.feeds.subscriptions import FetchRules, Subscription

RULES = FetchRules(min_gap=timedelta(0), timeout=timedelta(seconds=20))


class Answer(NamedTuple):
    """What the server says to a request: its body whole, or piece by piece without an end that is known."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    pieces: Callable[[], Iterator[bytes]] | None = None


@dataclass
class Request:
    """A request that came: its path, its headers, when it began and when its answer was out."""

    path: str
    headers: Message
    began: float
    ended: float = 0.0


class FeedServer:
    """The server: `pages` by path, each an answer or what makes one of the request's headers."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.pages: dict[str, Answer | Callable[[Message], Answer]] = {}
        self.requests: list[Request] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                request = Request(self.path, self.headers, time.monotonic())
                server.requests.append(request)
                page = server.pages.get(self.path, Answer(404))
                answer = page(self.headers) if callable(page) else page
                try:
                    self._send(answer)
                except OSError:
                    self.close_connection = True
                request.ended = time.monotonic()

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.pieces is None:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                for piece in answer.pieces() if answer.pieces else ():
                    self.wfile.write(piece)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a page."""
        return f"http://{host}:{self._server.server_address[1]}{path}"

    def subscription(self, path: str, **settings: object) -> Subscription:
        """Return a subscription to a page."""
        given = {"name": path.strip("/"), "url": self.url(path), "private": True, "max_age": timedelta(days=36_500)}
        return Subscription(**given | settings)  # type: ignore[arg-type]

    def source(self, path: str, rules: FetchRules = RULES, **settings: object) -> FeedSource:
        """Return a page as a source."""
        return FeedSource(self.subscription(path, **settings), rules)

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def feed_server(tls: ssl.SSLContext | None = None) -> Iterator[FeedServer]:
    """Serve while the block runs, over TLS if there is a context for it."""
    server = FeedServer(tls)
    try:
        yield server
    finally:
        server.close()


def item(number: int, title: str | None = None, *, date: str = "Mon, 05 Jan 2026 09:30:00 GMT", more: str = "") -> str:
    """Return an RSS item."""
    text = f"Headline number {number}" if title is None else title
    return f"<item><guid>entry-{number}</guid><title>{text}</title><pubDate>{date}</pubDate>{more}</item>"


def rss(*items: str, encoding: str = "utf-8", language: str = "en") -> str:
    """Return an RSS document."""
    head = f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel><title>News</title>'
    return f"{head}<language>{language}</language>{''.join(items)}</channel></rss>"
