"""`streamwatch desk token`: what is printed once, what is kept, what is written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamwatch.cli.main import run_command
from streamwatch.desk.access import Tokens
from streamwatch.desk.audit import AuditLog


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".streamwatch"


def test_a_token_is_made_listed_and_revoked(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["desk", "token", "add", "ann", "--role", "labeller", "--tenant", "rates"]) == 0
    token = capsys.readouterr().out.strip()
    principal = Tokens(state).find(token)
    assert principal
    assert (principal.name, principal.role, principal.tenant) == ("ann", "labeller", "rates")
    assert run_command(["desk", "token", "list", "-o", "json"]) == 0
    printed = capsys.readouterr().out
    assert token.rsplit("_", 1)[1] not in printed
    (row,) = json.loads(printed)
    assert (row["id"], row["role"], row["revoked_at"]) == (principal.token_id, "labeller", None)
    assert run_command(["desk", "token", "revoke", principal.token_id]) == 0
    assert Tokens(state).find(token) is None
    deeds = [deed.what for deed in AuditLog(state).records()]
    assert deeds == ["token add ann --role labeller --tenant rates", f"token revoke {principal.token_id}"]


def test_a_role_is_one_of_three(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["desk", "token", "add", "ann", "--role", "king"]) == 2
    assert "viewer, labeller, operator" in " ".join(capsys.readouterr().err.split())
    assert run_command(["desk", "token", "revoke", "ann"]) == 1
    assert "no token in force" in capsys.readouterr().err
