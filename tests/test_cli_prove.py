"""`streamwatch prove` over a small store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable

from streamwatch.cli.main import run_command
from tests.stored_posts import Chain, stored_day

TABLES = Path(".streamwatch", "tables")


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return stored_day(tmp_path_factory.mktemp("store"))


@pytest.fixture
def fingerprint(unchanged: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one alert of a store in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(unchanged.tables.url, TABLES)
    return unchanged.alerts[0].fingerprint


def tamper() -> None:
    updates = {"sentiment": "'positive'", "entities": "NULL"}
    DeltaTable(TABLES / "posts").update(updates=updates, predicate="text = 'negative at 245.0'")


def test_the_same_comes_out(fingerprint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["prove", fingerprint[:5]]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("SAME AAPL: test (told ")
    assert "the same comes out each time" in out
    assert fingerprint in out
    assert "replayed" in out
    assert err == ""


def test_a_tampered_post_is_told_with_both_sides(fingerprint: str, capsys: pytest.CaptureFixture[str]) -> None:
    tamper()
    assert run_command(["prove", fingerprint]) == 1
    out = capsys.readouterr().out
    assert out.startswith("DIFFERENT AAPL")
    rows = [line.split()[2:] for line in out.splitlines()]
    counts = [(int(row[2]), int(row[3])) for row in rows if row[:2] == ["firing", "negative"]]
    assert counts
    assert all(stored == replayed + 1 for stored, replayed in counts)


def test_programs_read_json_and_csv(fingerprint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["prove", fingerprint, "-o", "json", "--from-start"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert (proof["same"], proof["fingerprint"], proof["replays"][0]["from_time"]) == (True, fingerprint, None)
    assert {tuple(telling) for telling in proof["tellings"]} == {("updated_at", "status", "differences")}
    tamper()
    assert run_command(["prove", fingerprint, "-o", "csv"]) == 1
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "told_at,status,field,stored,replayed"
    assert rows


@pytest.mark.parametrize(
    ("where", "args", "hint"),
    [
        ("", ["0000"], "`streamwatch alerts` lists them"),
        ("_history", [], "was not kept in _history"),
        ("posts", [], "is not in the table posts"),
    ],
)
def test_what_cannot_be_proved_says_why_and_ends_with_two(
    fingerprint: str, where: str, args: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if where:
        shutil.rmtree(TABLES / where)
    assert run_command(["prove", *(args or [fingerprint])]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("cannot be proved: ")
    assert hint in err
    assert err.count("\n") == 1
