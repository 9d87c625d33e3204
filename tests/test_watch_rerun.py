"""Stored posts through a watch once more tell what the stream told, however they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.records import Alert
from streamwatch.watch import Watch, rerun
from streamwatch.watch.history import Floor, Floors
from streamwatch.watch.rerun import Rerun
from tests.scored_rows import START, Row, monitors, scored
from tests.test_watch_properties import CONFIG, FAR, MONITORS, Plan, Rows, partitions, plans, run, together

LATENESS = timedelta(seconds=CONFIG.allowed_lateness_s)
quick = settings(max_examples=20, deadline=None)
steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(1, 9),
        st.sampled_from([(), (), (0,), (1,), (0, 1)]),
        st.none() | st.integers(0, 400),
    ),
    max_size=14,
)
Steps = Sequence[tuple[int, int, tuple[int, ...], int | None]]


def again(rows: Rows, plan: Plan, floors: Sequence[Floor] = ()) -> list[Alert]:
    """Rerun both partitions, cut and interleaved as planned."""
    rerun, at, alerts = Rerun(Watch(MONITORS, CONFIG), [0, 1], floors), [0, 0], []
    for partition, count, _ in [*plan, (0, 10_000, True), (1, 10_000, True)]:
        if taken := rows[partition][at[partition] : at[partition] + count]:
            alerts += rerun.add(scored(taken, partition, at[partition]))
        at[partition] += len(taken)
    return alerts + rerun.end(FAR)


def live(rows: Rows, steps: Steps) -> tuple[list[Alert], Floors]:
    """Feed both partitions as a stream would, with idle partitions and heartbeats; return what was told and noted."""
    watch, floors, at = Watch(MONITORS, CONFIG), Floors(), [0, 0]
    watch.assign([0, 1])
    alerts = []
    for partition, count, idle, promised in [*steps, (0, 10_000, (), None), (1, 10_000, (), None)]:
        if taken := rows[partition][at[partition] : at[partition] + count]:
            batch = scored(taken, partition, at[partition])
            floors.note(batch, watch.watermark, LATENESS)
            watch.apply(batch)
        at[partition] += len(taken)
        if promised is not None:
            instant = START + timedelta(minutes=promised)
            floors.promise(partition, instant)
            watch.heartbeat(partition, instant)
        alerts += watch.close(idle).alerts
    for partition in (0, 1):
        watch.heartbeat(partition, FAR)
    return alerts + watch.close().alerts, floors


@quick
@given(partitions, plans, plans)
def test_the_cuts_do_not_show(rows: Rows, one: Plan, other: Plan) -> None:
    _, told = together(run(rows, one)[0])
    assert again(rows, other) == told


@quick
@given(partitions, steps, plans)
def test_what_idle_partitions_and_heartbeats_made_late_is_late_again(rows: Rows, steps: Steps, plan: Plan) -> None:
    told, floors = live(rows, steps)
    assert again(rows, plan, floors.found) == told


def test_a_partition_that_is_silent_for_long_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerun, "HELD_POSTS", 50)
    watch = Watch(monitors(), CONFIG)
    once_more = Rerun(watch, [0, 1])
    once_more.add(scored([Row(0)], partition=1))
    once_more.add(scored([Row(minute) for minute in range(49)]))
    assert watch.watermark == START - timedelta(minutes=5)
    once_more.add(scored([Row(60)], first_offset=49))
    assert watch.watermark == START + timedelta(minutes=55)
