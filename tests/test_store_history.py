"""What WATCH writes down for proofs, when, and what stays of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from streamwatch.errors import StoreError
from streamwatch.store import history as history_module
from streamwatch.store.history import History
from streamwatch.watch.history import StartingPoint
from tests.scored_rows import START, Row, monitors, scored
from tests.stored_posts import RULES, Chain

OTHER = monitors(hop='"20m"')


def point(hours: float | None, monitors_hash: str = "a" * 16, applied: dict[int, int] | None = None) -> StartingPoint:
    at = None if hours is None else START + timedelta(hours=hours)
    return StartingPoint("0.1", monitors_hash, 60.0, at, applied or {}, b"")


def written(history: History) -> list[tuple[float | None, str]]:
    return [
        (None if point.event_time is None else (point.event_time - START) / timedelta(hours=1), point.monitors_hash)
        for point in history.points()
    ]


def test_a_first_start_and_each_day_are_starting_points(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    for hour in range(0, 60, 6):
        chain.take(scored([Row(60 * hour)], first_offset=7 + hour))
        chain.commit()
    assert written(chain.history) == [(None, RULES.hash), (0, RULES.hash), (24, RULES.hash), (48, RULES.hash)]
    first, *_, last = (chain.history.read(found) for found in chain.history.points())
    assert first.applied == {0: 6}, "the first post of this stream stands at 7"
    assert last.applied == {0: 7 + 48}
    assert last.resume(RULES).event_time == START + timedelta(hours=48)


def test_a_restart_is_a_starting_point_only_with_other_monitors(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.take(scored([Row(0)]))
    chain.commit()
    chain.restart()
    assert len(chain.history.points()) == 2
    chain.restart(OTHER)
    assert written(chain.history)[2:] == [(0, OTHER.hash)]
    assert chain.history.monitors(RULES.hash) == RULES
    assert chain.history.monitors(OTHER.hash) == OTHER


def test_nothing_is_written_before_a_commit(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.take(scored([Row(0)]))
    assert chain.history.points() == []


def test_another_prefix_has_its_own_history(tmp_path: Path) -> None:
    ours, theirs = History(str(tmp_path), "a"), History(str(tmp_path), "a-b")
    theirs.add(point(1))
    assert ours.points() == []
    assert len(theirs.points()) == 1


def test_old_starting_points_are_forgotten_but_those_of_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "POINTS_KEPT", 3)
    history = History(str(tmp_path), "p")
    for hours, name in [(None, "a"), (1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "b"), (6, "b"), (7, "b")]:
        history.add(point(hours, name * 16))
    assert [hours for hours, _ in written(history)] == [None, 3, 5, 6, 7]


@pytest.mark.parametrize(
    ("onset", "monitors_hash", "first", "expected"),
    [
        (1.5, "a", False, 1),
        (1.5, "a", True, None),
        (2.0, "a", False, 2),
        (4.5, "b", False, 4),
        (4.5, "b", True, 3),
        (1.5, "b", False, 3),  # the monitors changed while the alert was open
        (4.5, "a", False, "none"),
    ],
)
def test_a_replay_begins_before_the_onset(
    tmp_path: Path, onset: float, monitors_hash: str, expected: object, *, first: bool
) -> None:
    #  none ─ a ─ 1 ─ a ─ 2 ─ (the file changes) 3 ─ b ─ 4
    history = History(str(tmp_path), "p")
    for hours, name in [(None, "a"), (1, "a"), (2, "a"), (3, "b"), (4, "b")]:
        history.add(point(hours, name * 16))
    found = history.start(monitors_hash * 16, START + timedelta(hours=onset), {0: 5}, first=first)
    at = "none" if found is None else found.event_time and (found.event_time - START) / timedelta(hours=1)
    assert at == expected


def test_a_start_with_nothing_serves_only_the_posts_after_it(tmp_path: Path) -> None:
    history = History(str(tmp_path), "p")
    for found in (point(None, applied={0: -1}), point(1), point(None, applied={0: 99})):
        history.add(found)
    old = history.start("a" * 16, START + timedelta(hours=9), {0: 50}, first=False)
    assert old is not None
    assert old.event_time == START + timedelta(hours=1)
    new = history.start("a" * 16, START + timedelta(hours=9), {0: 150}, first=False)
    assert new is not None
    assert new.applied == {0: 99}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    history = History(str(tmp_path), "p")
    history.add(point(1))
    (file,) = (tmp_path / "_history").iterdir()
    file.write_bytes(b"\x00")
    with pytest.raises(StoreError, match=f"_history/{file.name} cannot be read"):
        history.read(history.points()[0])
