"""Fetching from a real server on loopback that behaves as badly as it can."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streamwatch.errors import FeedError
from streamwatch.feeds.addresses import PublicTransport, is_public
from streamwatch.feeds.fetching import Fetched, fetch, retry_after_s
from streamwatch.feeds.subscriptions import FetchRules
from tests.feed_server import RULES, Answer, FeedServer, feed_server


@pytest.fixture(scope="module")
def server() -> Iterator[FeedServer]:
    with feed_server() as found:
        yield found


def get(server: FeedServer, path: str, rules: FetchRules = RULES, **known: str) -> Fetched:
    return fetch(server.url(path), rules, private=True, **known)


def refused(server: FeedServer, path: str, rules: FetchRules = RULES) -> FeedError:
    with pytest.raises(FeedError) as caught:
        get(server, path, rules)
    assert caught.value.advice
    return caught.value


def test_a_feed_comes_with_what_names_its_version(server: FeedServer) -> None:
    headers = {"ETag": '"v1"', "Last-Modified": "Mon, 05 Jan 2026 09:30:00 GMT", "Content-Type": "text/xml"}
    server.pages["/good"] = Answer(200, b"<rss/>", headers)
    assert get(server, "/good") == Fetched(200, b"<rss/>", "text/xml", '"v1"', headers["Last-Modified"])


def test_we_say_who_we_are_and_what_we_have(server: FeedServer) -> None:
    server.pages["/named"] = Answer(304)
    rules = FetchRules(contact="mailto:desk@example.com")
    assert get(server, "/named", rules, etag='"v1"', last_modified="yesterday") == Fetched(304)
    sent = server.requests[-1].headers
    assert sent["User-Agent"].startswith("streamwatch/")
    assert "mailto:desk@example.com" in sent["User-Agent"]
    assert (sent["If-None-Match"], sent["If-Modified-Since"]) == ('"v1"', "yesterday")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_body_is_unpacked(server: FeedServer, pack: type[bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"
    server.pages["/packed"] = Answer(200, pack(b"<rss/>" * 99), {"Content-Encoding": encoding})
    assert get(server, "/packed").body == b"<rss/>" * 99


@pytest.mark.parametrize(
    ("body", "encoding", "found"),
    [
        (gzip.compress(b"x" * 999)[:-9], "gzip", "ends too early"),
        (b"no gzip", "gzip", "broken gzip body"),
        (b"x", "br", "packed as 'br'"),
    ],
)
def test_a_broken_packing_is_told(server: FeedServer, body: bytes, encoding: str, found: str) -> None:
    server.pages["/broken"] = Answer(200, body, {"Content-Encoding": encoding})
    assert found in refused(server, "/broken").found


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_of_50_mb_is_not_taken(server: FeedServer, packed: bool) -> None:
    body = b"x" * 50_000_000
    headers = {"Content-Encoding": "gzip"} if packed else {}
    server.pages["/large"] = Answer(200, gzip.compress(body, 1) if packed else body, headers)
    assert "more than 5,000,000 bytes" in refused(server, "/large").found


def test_a_body_without_an_end_is_given_up(server: FeedServer) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(100):
            yield b"<!-- wait -->"
            time.sleep(0.1)

    server.pages["/endless"] = Answer(200, pieces=drip)
    rules = FetchRules(timeout=timedelta(seconds=1))
    started = time.monotonic()
    assert "no whole answer within 1 s" in refused(server, "/endless", rules).found
    assert time.monotonic() - started < 8


def test_a_permanent_redirect_says_where_the_feed_is(server: FeedServer) -> None:
    server.pages["/old"] = Answer(301, headers={"Location": "/newer"})
    server.pages["/newer"] = Answer(308, headers={"Location": "/now"})
    server.pages["/now"] = Answer(302, headers={"Location": "/mirror"})
    server.pages["/mirror"] = Answer(200, b"<rss/>")
    found = get(server, "/old")
    assert (found.body, found.moved_to) == (b"<rss/>", server.url("/now"))
    assert get(server, "/now").moved_to == ""


def test_redirects_in_a_circle_end(server: FeedServer) -> None:
    server.pages["/circle"] = Answer(302, headers={"Location": "/circle"})
    before = len(server.requests)
    assert "redirected more than 5 times" in refused(server, "/circle").found
    assert len(server.requests) - before == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/feed", "gopher://x", "http://[", "data:,x"])
def test_only_web_addresses_are_followed(server: FeedServer, target: str) -> None:
    server.pages["/away"] = Answer(302, headers={"Location": target})
    refused(server, "/away")


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500, 503, 204])
def test_a_status_comes_with_advice(server: FeedServer, status: int) -> None:
    server.pages["/status"] = Answer(status, headers={"Retry-After": "90"})
    error = refused(server, "/status")
    assert (error.status, error.found, error.retry_after_s) == (status, f"HTTP {status}", 90)


def test_nobody_there_is_told() -> None:
    with pytest.raises(FeedError, match="no HTTP answer"):
        fetch("http://127.0.0.1:1/", RULES, private=True)
    with pytest.raises(FeedError, match="cannot be looked up"):
        fetch("http://nobody.invalid/", RULES)


def test_own_network_is_out_of_bounds_unless_allowed(server: FeedServer) -> None:
    server.pages["/inside"] = Answer(200, b"secret")
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1"):
        with pytest.raises(FeedError, match="no public address") as caught:
            fetch(server.url("/inside", host), RULES)
        assert "private = true" in caught.value.advice


def test_a_redirect_cannot_lead_where_the_first_address_may_not(server: FeedServer) -> None:
    """The server's own address counts as public here, 127.0.0.2 does not."""
    server.pages["/lure"] = Answer(302, headers={"Location": server.url("/inside", "127.0.0.2")})
    server.pages["/inside"] = Answer(200, b"secret")

    async def follow() -> httpx.Response:
        transport = PublicTransport(lambda address: address == "127.0.0.1")
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            assert (await client.get(server.url("/inside", "localhost"))).text == "secret"
            return await client.get(server.url("/lure", "localhost"))

    with pytest.raises(FeedError, match=r"127\.0\.0\.2 is at 127\.0\.0\.2, which is no public address"):
        asyncio.run(follow())
    assert server.requests[-1].headers["Host"].startswith("localhost:")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of `localhost`: `server.pem` with its key, `trusted.pem` without."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    hidden = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(hidden + certificate.public_bytes(pem))
    (folder / "trusted.pem").write_bytes(certificate.public_bytes(pem))
    return folder


def test_the_certificate_must_be_the_name_s_not_the_address_s(secure: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure / "trusted.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(secure / "server.pem")

    async def ask(host: str) -> int:
        transport = PublicTransport(lambda address: address == "127.0.0.1")
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get(over_tls.url("/good", host).replace("http:", "https:"))).status_code

    with feed_server(context) as over_tls:
        over_tls.pages["/good"] = Answer(200, b"<rss/>")
        assert asyncio.run(ask("localhost")) == 200
        with pytest.raises(httpx.ConnectError, match="certificate"):
            asyncio.run(ask("127.0.0.1"))


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "100.64.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1"]
    + ["fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "::"],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


def test_retry_after_may_be_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    seconds = retry_after_s(httpx.Headers({"Retry-After": format_datetime(soon, usegmt=True)}))
    assert seconds is not None
    assert 590 < seconds <= 600
    for text in ("", "soon", "-5", "٣"):
        assert retry_after_s(httpx.Headers({b"Retry-After": text.encode()})) is None
