"""Fetch a feed over HTTP, within limits of time, size and redirects."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx

from streamwatch.errors import FeedError
from streamwatch.feeds.addresses import PublicTransport
from streamwatch.feeds.subscriptions import FetchRules

MAX_REDIRECTS = 5
ACCEPT = "application/atom+xml, application/rss+xml, application/rdf+xml, application/xml;q=0.9, */*;q=0.5"
_PERMANENT = (301, 308)
_WINDOW_BITS = 47
"""zlib's: gzip or zlib, whichever it is."""

ADVICE = {
    401: "it wants a login, which streamwatch has none for: take another feed",
    403: "the server refuses us: name yourself in fetch.contact, ask for it less often, or ask its owner",
    404: "check the address: the feed may have moved",
    410: "the feed is gone for good: take it out of the file",
    429: "asked too often: raise its interval or fetch.min_gap",
}
"""What to do about an HTTP status."""


class Fetched(NamedTuple):
    """What a server gave: nothing new (`body` is None), or a body with what names its version.

    Attributes:
        status: The HTTP status.
        body: The feed's bytes, unpacked.
        content_type: What the server says that they are.
        etag: For the next request, as the server wrote it.
        last_modified: For the next request, as the server wrote it.
        moved_to: Where the feed is for good, if that is elsewhere.
    """

    status: int
    body: bytes | None = None
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    moved_to: str = ""


def fetch(url: str, rules: FetchRules, *, private: bool = False, etag: str = "", last_modified: str = "") -> Fetched:
    """Ask for a feed, unless it is still the version that is named.

    Args:
        url: Where it is.
        rules: Limits and manners.
        private: Whether addresses that are not public may be asked.
        etag: Of the last version.
        last_modified: Of the last version.

    Raises:
        FeedError: There is no good answer; it says what was found and what to do.
    """
    headers = {"User-Agent": rules.user_agent, "Accept": ACCEPT, "Accept-Encoding": "gzip"}
    headers |= {"If-None-Match": etag} if etag else {}
    headers |= {"If-Modified-Since": last_modified} if last_modified else {}
    limit_s = rules.timeout.total_seconds()
    try:
        return asyncio.run(asyncio.wait_for(_fetch(url, headers, rules, private), limit_s))
    except (TimeoutError, httpx.TimeoutException) as error:
        found = f"no whole answer within {limit_s:.0f} s"
        raise FeedError(found, "it is tried again; else raise fetch.timeout") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        found = f"redirected to what is no web address ({error})"
        raise FeedError(found, "only http and https are followed: look for the feed's new address") from error
    except (httpx.HTTPError, UnicodeError) as error:
        found = f"no HTTP answer ({error or type(error).__name__})"
        raise FeedError(found, "check the address and the network; it is tried again") from error


async def _fetch(url: str, headers: dict[str, str], rules: FetchRules, private: bool) -> Fetched:
    transport: httpx.AsyncBaseTransport
    if rules.proxy or private:
        transport = httpx.AsyncHTTPTransport(proxy=rules.proxy or None)
    else:
        transport = PublicTransport()
    timeout = rules.timeout.total_seconds()
    async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
        request = client.build_request("GET", url, headers=headers)
        moved_to, permanent = "", True
        for _ in range(MAX_REDIRECTS + 1):
            response = await client.send(request, stream=True)
            try:
                if response.next_request is None:
                    return await _read(response, rules.max_bytes, moved_to)
            finally:
                await response.aclose()
            request = response.next_request
            permanent = permanent and response.status_code in _PERMANENT
            moved_to = str(request.url) if permanent else moved_to
    found = f"redirected more than {MAX_REDIRECTS} times, last to {request.url}"
    raise FeedError(found, "the server leads in a circle: look for the feed's address in a browser")


async def _read(response: httpx.Response, max_bytes: int, moved_to: str) -> Fetched:
    status = response.status_code
    if status == 304:
        return Fetched(304, moved_to=moved_to)
    if status != 200:
        advice = ADVICE.get(status, "it is tried again" if status >= 500 else "check the address")
        found = f"HTTP {status}"
        raise FeedError(found, advice, status=status, retry_after_s=retry_after_s(response.headers))
    body = bytearray()
    async for piece in _unpacked(response, max_bytes):
        body += piece
        if len(body) > max_bytes:
            found = f"more than {max_bytes:,} bytes"
            raise FeedError(found, "no feed is so long; if this one is, raise fetch.max_bytes", status=status)
    headers = response.headers
    return Fetched(
        status,
        bytes(body),
        headers.get("content-type", ""),
        headers.get("etag", ""),
        headers.get("last-modified", ""),
        moved_to,
    )


async def _unpacked(response: httpx.Response, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body, never more than `max_bytes` and a byte at a time, however small it was packed."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding in ("identity", ""):
        async for piece in response.aiter_raw():
            yield piece
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        found = f"packed as {encoding[:40]!r}"
        raise FeedError(found, "only gzip was asked for: tell the feed's owner", status=200)
    unpacker = zlib.decompressobj(_WINDOW_BITS)
    try:
        async for piece in response.aiter_raw():
            yield unpacker.decompress(piece, max_bytes + 1)
    except zlib.error as error:
        found = f"a broken {encoding} body ({error})"
        raise FeedError(found, "it is tried again", status=200) from error
    if not unpacker.eof:
        found = f"a {encoding} body that ends too early"
        raise FeedError(found, "it is tried again", status=200)


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Return for how long a server asks to be left alone; None if it does not, or not in words that are known.

    >>> retry_after_s(httpx.Headers({"Retry-After": "120"}))
    120.0
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return max(0.0, (instant - datetime.now(UTC)).total_seconds())
