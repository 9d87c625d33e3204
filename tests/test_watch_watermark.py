from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.watch.instants import NEVER
from streamwatch.watch.watermark import Watermarks

times = st.lists(st.integers(0, 1_000), min_size=1, max_size=30)


@given(times, st.integers(1, 29))
def test_the_watermark_before_a_row_does_not_depend_on_the_cut(all_times: list[int], cut: int) -> None:
    whole, parts = Watermarks(10), Watermarks(10)
    expected = whole.before_rows(0, np.array(all_times)).tolist()
    found = [
        mark for part in (all_times[:cut], all_times[cut:]) if part for mark in parts.before_rows(0, np.array(part))
    ]
    assert found == expected
    assert expected == [max([NEVER, *(before - 10 for before in all_times[:index])]) for index in range(len(all_times))]


def test_the_stage_follows_the_slowest_partition_that_is_not_idle() -> None:
    marks = Watermarks(10)
    marks.assign([0, 1])
    marks.before_rows(0, np.array([100]))
    assert marks.advance() is None
    marks.before_rows(1, np.array([50]))
    assert marks.advance() == 40
    assert marks.advance(idle=[1]) == 90
    assert marks.advance() == 90, "it never goes back"


def test_all_idle() -> None:
    marks = Watermarks(10)
    marks.before_rows(0, np.array([100]))
    marks.before_rows(1, np.array([70]))
    assert marks.advance(idle=[0, 1]) == 90
    assert marks.advance(idle=[0, 1], idle_time_us=500) == 490


def test_idle_partitions_that_never_gave_anything_tell_nothing() -> None:
    marks = Watermarks(10)
    marks.assign([0, 1])
    assert marks.advance(idle=[0, 1]) is None
    assert marks.advance(idle=[0, 1], idle_time_us=500) == 490


def test_a_heartbeat_needs_no_lateness_and_never_goes_back() -> None:
    marks = Watermarks(10)
    marks.heartbeat(0, 100)
    marks.heartbeat(0, 80)
    assert marks.advance() == 100
