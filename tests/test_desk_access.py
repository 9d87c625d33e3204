"""Tokens, sessions, journals: what is kept, what is not, and what a crash or another process does to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamwatch.desk.access import Tokens
from streamwatch.desk.audit import AuditLog, Deed
from streamwatch.desk.limits import RateLimit
from streamwatch.desk.notes import AlertNote, Notes
from streamwatch.desk.sessions import Sessions
from streamwatch.errors import StoreError

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_a_token_is_known_by_a_hash_alone(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("ann", "labeller", "desk b", NOW)
    found = Tokens(tmp_path).find(token)
    assert found
    assert (found.name, found.role, found.tenant) == ("ann", "labeller", "desk b")
    file = tmp_path / "desk" / "tokens.json"
    assert token.rsplit("_", 1)[1] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert tokens.find(token[:-1] + ("a" if token[-1] != "a" else "b")) is None


def test_changes_of_another_process_are_seen(tmp_path: Path) -> None:
    serving, console = Tokens(tmp_path), Tokens(tmp_path)
    first = console.add("ann", "viewer", "main", NOW)
    second = console.add("bob", "viewer", "main", NOW)
    assert serving.find(first)
    console.revoke("ann", NOW)
    assert serving.find(first) is None
    assert serving.find(second)
    assert [token.revoked_at for token in serving.all()] == [NOW, None]


@pytest.mark.parametrize(
    ("name", "tenant"), [("", "main"), ("a\nb", "main"), ("ann", "x/y"), ("ann\n", "main"), ("a" * 65, "main")]
)
def test_a_name_is_one(tmp_path: Path, name: str, tenant: str) -> None:
    with pytest.raises(StoreError, match="are allowed"):
        Tokens(tmp_path).add(name, "viewer", tenant, NOW)


def test_a_token_that_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.add("ann", "viewer", "main", NOW)
    tokens.revoke("ann", NOW)
    with pytest.raises(StoreError, match="token list"):
        tokens.revoke("ann", NOW)


def test_a_session_ends_by_itself_and_cannot_be_made_up(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    principal = tokens.find(tokens.add("ann", "viewer", "main", NOW))
    assert principal
    sessions = Sessions(tmp_path, tokens, timedelta(hours=1))
    cookie = sessions.begin(principal, NOW)
    assert Sessions(tmp_path, tokens, timedelta(hours=9)).find(cookie, NOW + timedelta(minutes=59)) == principal
    assert sessions.find(cookie, NOW + timedelta(hours=1)) is None
    token_id, end, signature = cookie.split(".")
    for forged in (f"{token_id}.{int(end) + 1}.{signature}", f"{'0' * 12}.{end}.{signature}", "", "a.b.c"):
        assert sessions.find(forged, NOW) is None
    assert (tmp_path / "desk" / "session.key").stat().st_mode & 0o777 == 0o600


def test_a_journal_outlives_a_line_cut_off(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    first, second = (Deed(at=NOW, who=name, what="x", outcome="200") for name in ("ann", "bob"))
    log.append(first)
    with log.path.open("ab") as file:
        file.write(b'{"at":"2026-01-05T09:00:00Z","who":"c')
    assert log.records() == [first]
    AuditLog(tmp_path).append(second)
    assert log.records() == AuditLog(tmp_path).records() == [first, second]
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.append(Deed(at=NOW, who="ann", what="x", outcome="200"))
    log.path.write_text('{"other": 1}\n')
    with pytest.raises(StoreError, match="not as it should be"):
        AuditLog(tmp_path).records()


def test_a_bucket_fills_up_again_but_not_over() -> None:
    limit = RateLimit(per_s=10, burst=5)
    assert [limit.wait_s("a", 0.0) for _ in range(5)] == [0.0] * 5
    assert limit.wait_s("a", 0.05) == pytest.approx(0.05)
    assert limit.wait_s("a", 0.1) == 0.0
    assert [limit.wait_s("a", 100.0) == 0.0 for _ in range(6)] == [True] * 5 + [False]


def test_notes_of_an_alert_add_up_in_their_tenant(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    until = NOW + timedelta(hours=1)
    for tenant, kind, text in [
        ("main", "acknowledge", "mine"),
        ("main", "comment", "one"),
        ("other", "comment", "elsewhere"),
        ("main", "mute", ""),
        ("main", "comment", "two"),
    ]:
        notes.add(
            AlertNote(tenant=tenant, fingerprint="f", kind=kind, by="ann", at=NOW, text=text, until=until)  # type: ignore[arg-type]
        )
    state = Notes(tmp_path).states("main")["f"]
    assert state.acknowledged
    assert (state.acknowledged.by, state.muted_until) == ("ann", until)
    assert [comment.text for comment in state.comments] == ["one", "two"]
    notes.add(AlertNote(tenant="main", fingerprint="f", kind="unacknowledge", by="bob", at=NOW))
    notes.add(AlertNote(tenant="main", fingerprint="f", kind="unmute", by="bob", at=NOW))
    state = notes.states("main")["f"]
    assert (state.acknowledged, state.muted_until, state.muted_by) == (None, None, None)
    assert notes.count() == 7
