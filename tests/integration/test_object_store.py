"""The store on a real S3 server: tables, transactions, two archives one after the other, snapshots."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pytest

from streamwatch.codec import SCORED_SCHEMA, encode_batch
from streamwatch.config import StoreConfig
from streamwatch.errors import StoreError
from streamwatch.records import Window
from streamwatch.store.archive import Archive
from streamwatch.store.checkpoints import Checkpoints
from streamwatch.store.tables import Tables

pytestmark = pytest.mark.integration

SERVER = Path(__file__).resolve().parents[2].parent / "shared" / "s3" / "versitygw"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEY, SECRET = "test-key", "test-secret-12345"


class Sent(NamedTuple):
    """A message as a poll gives it."""

    value: bytes
    offset: int
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_it_answers(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("the S3 server did not start")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run the S3 server, and yield the settings that reach it; its bucket is `market`."""
    if not SERVER.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SERVER} is missing")
        pytest.skip(f"no S3 server at {SERVER}")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "market").mkdir()
    port = free_port()
    command = [str(SERVER), "--access", KEY, "--secret", SECRET, "--port", f"127.0.0.1:{port}", "--quiet"]
    with subprocess.Popen([*command, "posix", str(folder)], stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_it_answers(port, server)
            yield {
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_CONDITIONAL_PUT": "etag",
            }
        finally:
            server.terminate()


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"s3://market/{request.node.name.split('[')[0]}"


def posts(offsets: Sequence[int]) -> pa.Table:
    rows = [
        {
            "id": str(offset),
            "source": "wire",
            "published_at": NOON,
            "text": "text",
            "appended_at": NOON,
            "source_partition": 0,
            "source_offset": offset,
            "sentiment_probs": [0.1, 0.2, 0.7],
        }
        for offset in offsets
    ]
    return pa.Table.from_pylist(rows, schema=SCORED_SCHEMA)


def scored(offsets: Sequence[int]) -> Sent:
    return Sent(encode_batch(posts(offsets).combine_chunks().to_batches()[0]), 0)


def window(minute: int, count: int, offset: int) -> Sent:
    start = NOON + timedelta(minutes=minute)
    record = Window(
        monitor="m",
        group="AAPL",
        window_start=start,
        window_end=start + timedelta(minutes=5),
        count=count,
        negative=0,
        measure=0.0,
        expected=None,
        surprise=0.0,
    )
    return Sent(msgspec.json.encode(record), offset)


def test_two_archives_one_after_the_other_leave_every_row_once(url: str, options: dict[str, str]) -> None:
    first = Archive(Tables(url, options), StoreConfig())
    first.add("scored", 0, [scored(range(4))])
    first.add("windows", 0, [window(0, 1, 0), window(1, 1, 1)])
    assert first.flush() == {"posts": 4, "windows": 2}
    second = Archive(Tables(url, options), StoreConfig())
    assert second.applied() == {0: 3}
    second.add("scored", 0, [scored(range(2, 7))])
    second.add("windows", 0, [window(1, 1, 1), window(0, 5, 2)])
    assert second.flush() == {"posts": 3, "windows": 1}
    tables = Tables(url, options)
    assert tables.query("SELECT source_offset FROM posts ORDER BY 1").rows() == [(offset,) for offset in range(7)]
    assert tables.query("SELECT count FROM windows ORDER BY window_start").rows() == [(5,), (1,)]


def test_a_second_writer_is_refused(url: str, options: dict[str, str]) -> None:
    one, other = Tables(url, options), Tables(url, options)
    one.append("posts", posts([0]), {"posts/0": 0})
    other.append("posts", posts([1]), {"posts/0": 1})
    with pytest.raises(StoreError, match="already holds posts/0 up to 1"):
        one.append("posts", posts([1]), {"posts/0": 1})
    assert one.rows("posts") == 2


def test_tidying(url: str, options: dict[str, str]) -> None:
    tables = Tables(url, options)
    for offset in range(5):
        tables.append("posts", posts([offset]), {"posts/0": offset})
    tables.tidy("posts", vacuum_after_h=0)
    assert tables.rows("posts") == 5
    assert tables.transactions("posts")["posts/0"] == 4


def test_snapshots(url: str, options: dict[str, str]) -> None:
    checkpoints = Checkpoints(url, options)
    assert checkpoints.read("watch-1") is None
    assert checkpoints.names() == []
    checkpoints.write("watch-1", b"x" * 12_000_000)
    checkpoints.write("watch-2", b"y")
    assert checkpoints.read("watch-1") == b"x" * 12_000_000
    checkpoints.prune(["watch-2"])
    assert checkpoints.names() == ["watch-2"]
    checkpoints.delete("watch-2")
    checkpoints.delete("watch-2")
    assert checkpoints.names() == []


def test_the_settings_may_come_from_the_environment(url: str, options: dict[str, str]) -> None:
    program = f"""
from streamwatch.store.checkpoints import Checkpoints
from streamwatch.store.tables import Tables
Checkpoints({url!r}).write("watch", b"snapshot")
tables = Tables({url!r})
tables.append("windows", tables.scan("windows").collect().to_arrow(), {{"windows/0": 3}})
assert tables.query("SELECT count(*) FROM windows").item() == 0
"""
    subprocess.run([sys.executable, "-c", program], env={**os.environ, **options}, check=True, timeout=60)
    assert Checkpoints(url, options).read("watch") == b"snapshot"
    assert Tables(url, options).transactions("windows")["windows/0"] == 3


def test_a_wrong_secret_says_so(url: str, options: dict[str, str]) -> None:
    wrong = options | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    with pytest.raises(StoreError, match="(?i)signature"):
        Tables(url, wrong).transactions("posts")
    with pytest.raises(StoreError):
        Checkpoints(url, wrong).read("watch")
