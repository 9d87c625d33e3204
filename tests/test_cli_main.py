from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from streamwatch import __version__
from streamwatch.cli.main import COMMANDS, build_app, run_command

HEAVY = (
    "ray",
    "torch",
    "polars",
    "kafka",
    "pyarrow",
    "numpy",
    "rich",
    "httpx",
    "transformers",
    "deltalake",
    "matplotlib",
)
GROUPS = {
    "dead-letters": ("list", "replay"),
    "models": ("list", "show", "pull", "export"),
    "labels": ("import", "export", "queue", "agreement"),
}
EVERY_COMMAND = [[name] for name in COMMANDS] + [[group, name] for group, names in GROUPS.items() for name in names]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMWATCH_METRICS__PORT", "1")
    return tmp_path


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Example:" in shown
    assert f"streamwatch {' '.join(command)}" in shown.split("Example:")[1].replace("--config streamwatch.toml ", "")
    assert ("--config" in shown) == (command != ["spikes"]), "whose detector has no settings"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"streamwatch {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from streamwatch.cli.main import run_command
assert run_command(["score", "--help"]) == 0
sys.exit(", ".join(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("args", [["--config", "none.toml", "windows"], ["windows", "--config", "none.toml"]])
def test_a_wrong_configuration_is_one_line_and_ends_with_two(
    args: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: none.toml: (file)")
    assert err.count("\n") == 1


def test_the_commands_own_config_wins_over_the_one_before_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "bad.toml").write_text("[kafka]\ncolour = 1\n", encoding="utf-8")
    (home / "good.toml").write_text("", encoding="utf-8")
    assert run_command(["--config", "bad.toml", "windows", "--config", "good.toml"]) == 0
    assert run_command(["--config", "bad.toml", "windows"]) == 2
    assert "kafka.colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["replay", "posts.jsonl"], "streamwatch broker"),
        (["dead-letters", "list"], "streamwatch broker"),
        (["query", "DROP TABLE posts"], "only SELECT"),
        (["query", "SELECT colour FROM posts"], "sentiment"),
        (["alerts", "--show", "abc"], "streamwatch alerts"),
        (["score", "none.jsonl", "out.jsonl"], "none.jsonl: No such file"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(
    args: list[str], hint: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(args) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert hint in err


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["windows", "--from", "yesterday"], "2015-08-20"),
        (["windows", "-o", "xml"], "csv"),
        (["replay", "posts.jsonl", "--speed", "fast"], "max"),
        (["wondows"], "windows"),
    ],
)
def test_a_wrong_option_says_what_is_right(
    args: list[str], hint: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(args) == 2
    assert hint in capsys.readouterr().err


def test_status_without_a_monitor_says_so_and_ends_with_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["status"]) == 1
    assert "no monitor runs at http://127.0.0.1:1: start one with `streamwatch run`" in capsys.readouterr().err
    assert run_command(["status", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_what_nobody_foresaw_is_one_line_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "tables" / "windows" / "_delta_log").mkdir(parents=True)
    (home / "tables" / "windows" / "_delta_log" / f"{0:020}.json").write_text("{", encoding="utf-8")
    (home / "streamwatch.toml").write_text('store.url = "tables"\n', encoding="utf-8")
    assert run_command(["windows"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_the_program_is_built_anew_each_time() -> None:
    assert isinstance(build_app(), typer.Typer)
    assert build_app() is not build_app()
