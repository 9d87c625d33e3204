"""Alerts of one incident name each other, and nothing of it depends on when windows were closed."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from streamwatch.config import WatchConfig
from streamwatch.records import Alert
from streamwatch.schema_files import EXAMPLES
from streamwatch.watch import Monitors, Watch
from streamwatch.watch.incidents import Incidents
from tests.scored_rows import START, Row, monitors, scored

_example = EXAMPLES["alert.v1"]
assert isinstance(_example, Alert)
EXAMPLE: Alert = _example


def alert(number: int, minute: int, *, incident: str = "AAPL", status: str = "firing", monitor: str = "m") -> Alert:
    return msgspec.structs.replace(
        EXAMPLE,
        fingerprint=f"{number:016x}",
        monitor=monitor,
        incident=incident,
        status=status,
        related=[],
        updated_at=START + timedelta(minutes=minute),
    )


def with_offsets(one: Alert, version: str, **offsets: int) -> Alert:
    provenance = msgspec.structs.replace(
        one.provenance,
        model_version=version,
        watermark=one.updated_at,
        source_offsets={name.removeprefix("p"): offset for name, offset in offsets.items()},
    )
    return msgspec.structs.replace(one, provenance=provenance)


def names(alerts: list[Alert]) -> list[tuple[int, list[int]]]:
    return [(int(one.fingerprint, 16), [int(name, 16) for name in one.related]) for one in alerts]


def test_the_second_names_the_first_which_is_told_again() -> None:
    incidents = Incidents()
    assert names(incidents.relate([alert(1, 0)])) == [(1, [])]
    told = incidents.relate([alert(2, 10, monitor="n"), alert(3, 10, incident="IBM", monitor="o")])
    assert names(told) == [(1, [2]), (2, [1]), (3, [])]
    assert {one.updated_at for one in told} == {START + timedelta(minutes=10)}


def test_what_is_told_again_is_told_with_the_provenance_of_both() -> None:
    incidents = Incidents()
    incidents.relate([with_offsets(alert(1, 0), "m1", p0=7, p2=9)])
    first, second = incidents.relate([with_offsets(alert(2, 10), "m2", p0=8, p10=1)])
    assert first.provenance.watermark == first.updated_at == second.updated_at
    assert first.provenance.source_offsets == {"0": 8, "2": 9, "10": 1}
    assert first.provenance.model_version == "m1,m2"
    assert second.provenance.source_offsets == {"0": 8, "10": 1}


def test_names_stay_and_the_end_of_one_is_not_told_by_the_others() -> None:
    incidents = Incidents()
    incidents.relate([alert(1, 0), alert(2, 0)])
    assert names(incidents.relate([alert(2, 10, status="resolved")])) == [(2, [1])]
    assert names(incidents.relate([alert(1, 20)])) == [(1, [2])]
    assert names(incidents.relate([alert(4, 30)])) == [(1, [2, 4]), (4, [1])]


def test_an_entity_and_its_topic_are_one_incident_whenever_windows_close() -> None:
    of_entity = monitors(name='"entity"', measure='"negative_count"').monitors
    of_topic = monitors(
        name='"topic"', measure='"negative_count"', group_by='["entity", "topic"]', min_count="12"
    ).monitors
    rules = Monitors((*of_entity, *of_topic))
    surge = [Row(240 + i, sentiment="negative", text=f"text {i}") for i in range(40)]
    rows = [*(Row(at) for at in range(0, 240, 5)), *surge]

    def told(each: int) -> list[Alert]:
        watch = Watch(rules, WatchConfig())
        alerts = []
        for first in range(0, len(rows), each):
            watch.apply(scored(rows[first : first + each], first_offset=first))
            alerts += watch.close().alerts
            watch = Watch.restore(watch.snapshot(), rules, WatchConfig())
        watch.heartbeat(0, START + timedelta(minutes=600))
        return alerts + watch.close().alerts

    alerts = told(7)
    assert alerts == told(100)
    last = {alert.monitor: alert for alert in alerts}
    assert {alert.status for alert in last.values()} == {"resolved"}
    assert {alert.incident for alert in last.values()} == {"AAPL"}
    assert last["entity"].related == [last["topic"].fingerprint]
    assert last["topic"].related == [last["entity"].fingerprint]
