"""Floors: noted when rows are late that their partition alone does not make late, and else not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streamwatch.errors import StoreError
from streamwatch.watch.history import Floor, Floors, read_monitors, write_monitors
from streamwatch.watch.monitors import load_monitors
from tests.scored_rows import START, Row, scored

MINUTE = timedelta(minutes=1)


def test_a_late_row_of_a_partition_alone_is_no_floor() -> None:
    floors = Floors()
    assert not floors.note(scored([Row(0), Row(30)]), None, MINUTE)
    assert not floors.note(scored([Row(5)], first_offset=2), START + 29 * MINUTE, MINUTE)
    assert floors.found == []


def test_a_row_below_a_promise_is_noted_once() -> None:
    floors = Floors()
    floors.promise(0, START + 20 * MINUTE)
    floors.promise(0, START + 10 * MINUTE)
    assert floors.note(scored([Row(25), Row(19)], first_offset=7), None, MINUTE)
    assert not floors.note(scored([Row(18)], first_offset=9), None, MINUTE)
    assert floors.found == [Floor(0, 7, START + 20 * MINUTE)]


def test_only_the_newest_floors_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamwatch.watch.history.MOST_FLOORS", 3)
    floors = Floors()
    for offset in range(9):
        floors.note(scored([Row(0)], first_offset=offset), START + (offset + 1) * MINUTE, MINUTE)
    assert [floor.offset for floor in floors.found] == [6, 7, 8]


def test_monitors_come_back_as_they_were() -> None:
    monitors = load_monitors(None)
    assert read_monitors(write_monitors(monitors), monitors.hash) == monitors


@pytest.mark.parametrize("data", [b"", b"[]", b'{"monitors": [{"name": "a"}]}'])
def test_bytes_that_are_no_monitors_are_refused(data: bytes) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        read_monitors(data, "0" * 16)
