"""What was sent from a source, through every kind of interruption."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import SourceError
from streamwatch.ingest.ledger import MAX_SENT, Ledger, Ledgers
from streamwatch.ingest.post_source import Polled
from streamwatch.records import Post


def post(number: int) -> Post:
    return Post(id=f"p{number}", source="x", published_at=datetime(2026, 1, 5, tzinfo=UTC), text="t")


def send(ledger: Ledger, numbers: Sequence[int], cursor: str = "") -> list[str]:
    posts = [post(number) for number in numbers]
    new = ledger.new(posts)
    ledger.begin(Polled(posts, cursor), new, {0: 7})
    ledger.settle()
    return [found.id for found in new]


def test_a_ledger_outlives_its_process(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    assert send(Ledger(file), [1, 2], "after 2") == ["p1", "p2"]
    again = Ledger(file)
    assert (again.cursor, again.waiting) == ("after 2", [])
    assert send(again, [2, 3, 3], "after 3") == ["p3"]


def test_what_was_begun_and_not_settled_waits(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    ledger = Ledger(file)
    ledger.begin(Polled([post(1)], "after 1"), [post(1)], {0: 7, 3: 9})
    again = Ledger(file)
    assert (again.cursor, again.waiting, again.ends) == ("after 1", [post(1)], {0: 7, 3: 9})
    assert again.new([post(1)]) == []
    again.settle()
    assert Ledger(file).waiting == []


def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "x.json")
    send(ledger, [1], "a")
    (tmp_path / "x.json").unlink()
    send(ledger, [1], "a")
    assert not (tmp_path / "x.json").exists()


def test_the_ids_that_are_remembered_are_bounded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "x.json")
    send(ledger, range(MAX_SENT))
    assert send(ledger, [0]) == []  # seen again, so remembered for longer than the others
    assert len(send(ledger, range(MAX_SENT, MAX_SENT + 10))) == 10
    assert ledger.new([post(0), post(1)]) == [post(1)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.integers(0, 20), max_size=8), max_size=8))
def test_every_id_is_new_once(tmp_path_factory: pytest.TempPathFactory, polls: list[list[int]]) -> None:
    file = tmp_path_factory.mktemp("ledger") / "x.json"
    sent = [found for numbers in polls for found in send(Ledger(file), numbers)]
    assert sent == list(dict.fromkeys(f"p{number}" for numbers in polls for number in numbers))


def test_a_damaged_ledger_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"sent": 3')
    with pytest.raises(SourceError, match="delete it"):
        Ledger(tmp_path / "x.json")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Ledgers(tmp_path / "ingest") as ledgers:
        with pytest.raises(SourceError, match="another `streamwatch ingest`"):
            Ledgers(tmp_path / "ingest")
        with pytest.raises(SourceError, match="no name for a source"):
            ledgers.open("../x")
    with Ledgers(tmp_path / "ingest") as ledgers:
        assert ledgers.open("x").cursor == ""
