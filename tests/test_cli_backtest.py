"""`streamwatch backtest` over a small store."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from streamwatch.cli.main import run_command
from tests.stored_posts import stored_day

CURRENT = """
[[monitor]]
name = "test"
group_by = "entity"
window = "60m"
hop = "10m"
measure = "negative_count"
false_alarms = "1 an hour"
min_count = 50
keep_firing_for = "20m"
"""
CHANGED = CURRENT.replace("min_count = 50", "min_count = 5") + CURRENT.replace('"test"', '"more"')


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a store, a monitors file in force and a changed one."""
    home = tmp_path_factory.mktemp("home")
    stored_day(home / ".streamwatch" / "tables")
    (home / "current.toml").write_text(CURRENT, encoding="utf-8")
    (home / "changed.toml").write_text(CHANGED, encoding="utf-8")
    (home / "streamwatch.toml").write_text('[monitors]\nfile = "current.toml"\n', encoding="utf-8")
    return home


@pytest.fixture(autouse=True)
def _home(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store)


def test_the_changes_the_counts_and_a_summary_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["backtest", "changed.toml", "--from", "2026-01-05T12:00"]) == 0
    out, err = capsys.readouterr()
    assert "1 alerts before, 2 after: 1 new, 0 gone, 1 earlier, 0 later, 0 of another severity, 0 the same" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["earlier", "test", "AAPL"] in [row[:3] for row in rows]
    assert ["new", "more", "AAPL"] in [row[:3] for row in rows]
    assert ["more", "-", "1"] in [row[:3] for row in rows], "a monitor that the file in force lacks"
    assert "the baselines would need 28 days before --from, and have 0.1" in err


def test_programs_read_json_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["backtest", "changed.toml", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["summary"] == {
        "before": 1, "after": 2, "new": 1, "gone": 0, "earlier": 1, "later": 0, "severity": 0, "same": 0,
    }  # fmt: skip
    assert [row["monitor"] for row in found["monitors"]] == ["test", "more"]
    assert run_command(["backtest", "changed.toml", "-o", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert sorted(row["change"] for row in rows) == ["earlier", "new"]


def test_another_file_can_be_compared_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["backtest", "changed.toml", "--against", "changed.toml"]) == 0
    assert "2 the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["bad.toml"], "bad.toml: monitor[0].hop: found 'often', expected a duration"),
        (["none.toml"], "none.toml: (file)"),
        (["changed.toml", "--against", "bad.toml"], "bad.toml: monitor[0].hop"),
        (["changed.toml", "--from", "2026-01-06", "--to", "2026-01-05"], "is not before --to"),
    ],
)
def test_bad_files_and_times_end_with_two(
    args: list[str], hint: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "bad.toml").write_text(CURRENT.replace('"10m"', '"often"'), encoding="utf-8")
    assert run_command(["backtest", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err


def test_a_time_without_posts_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["backtest", "changed.toml", "--from", "2027-01-01"]) == 1
    assert "no posts in this time" in capsys.readouterr().err
