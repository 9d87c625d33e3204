"""The life of an alert, drawn above each assertion: a window ends every ten minutes; `!` is surprising, `.` calm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streamwatch.config import WatchConfig
from streamwatch.records import Alert, EvidencePost, Provenance
from streamwatch.watch import Watch
from streamwatch.watch.alerts import AlertBook, Reading, Support
from streamwatch.watch.instants import from_us
from streamwatch.watch.monitors import Monitor
from tests.scored_rows import START, Row, monitors, scored

HOP_US = 600_000_000
LEVELS = {"!": 4.0, "^": 9.0, "-": 2.0, ".": 0.5}
"""The threshold is 3: `-` is below it and above half of it, `^` is a worse surge."""


def provenance(end_us: int) -> Provenance:
    return Provenance(model_version="m", monitors_hash="0" * 16, watermark=from_us(end_us), source_offsets={})


def evidence(group: str, end_us: int) -> list[EvidencePost]:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    return [
        EvidencePost(
            id="p", source="wire", published_at=at, text=group, sentiment="negative", negative_prob=end_us / 1e12
        )
    ]


def live(timeline: str, **settings: str) -> list[tuple[int, Alert]]:
    """Let windows end as drawn, a space standing for one without posts; return what was told, and at which window."""
    monitor = monitors(**settings).monitors[0]
    book, told = AlertBook(monitor), []
    for index, mark in enumerate(timeline, start=1):
        reading = Reading(10.0 * LEVELS.get(mark, 0), 5.0, LEVELS.get(mark, 0), 20, 10) if mark != " " else None
        readings = {"AAPL": reading} if reading else {}
        told += [(index, alert) for alert in book.step(index * HOP_US, readings, Support(evidence, provenance))]
    return told


def story(timeline: str, **settings: str) -> list[tuple[int, str]]:
    return [(index, alert.status) for index, alert in live(timeline, **settings)]


def test_it_fires_at_once_and_ends_after_the_calm_held() -> None:
    #        123456789
    assert story("..!!!....", keep_firing_for='"20m"') == [(3, "firing"), (8, "resolved")]


def test_it_is_pending_until_it_held_long_enough() -> None:
    held = {"holds_for": '"20m"', "keep_firing_for": '"0m"'}
    #        12345678901
    assert story("..!!.!!!!..", **held) == [(8, "firing"), (10, "resolved")]
    assert story("..!!.!!...", **held) == []


def test_silence_ends_it() -> None:
    #        1234567
    assert story("..!    ", keep_firing_for='"20m"') == [(3, "firing"), (6, "resolved")]


def test_hysteresis_keeps_it_open() -> None:
    #        1234567890
    assert story("..!-!-.-..", keep_firing_for='"10m"') == [(3, "firing"), (10, "resolved")]


def test_it_is_told_again_only_when_it_grew() -> None:
    #        12345678901
    told = live("..!!^^!^...", keep_firing_for='"10m"')
    assert [index for index, _ in told] == [3, 5, 10]
    assert [alert.seen for _, alert in told] == [40.0, 90.0, 5.0]


def test_all_versions_share_fingerprint_and_onset() -> None:
    told = [alert for _, alert in live("..!!^^!^...", keep_firing_for='"10m"')]
    assert len({alert.fingerprint for alert in told}) == 1
    assert {alert.onset for alert in told} == {from_us(3 * HOP_US) - timedelta(hours=1)}
    assert [alert.ended_at is None for alert in told] == [True, True, False]
    assert told[-1].updated_at == told[-1].ended_at == from_us(10 * HOP_US)
    assert told[-1].evidence == told[-2].evidence, "the end keeps the evidence of the surge"


def test_a_second_surge_is_another_alert() -> None:
    told = live("!...!...", keep_firing_for='"10m"')
    assert len({alert.fingerprint for _, alert in told}) == 2


def test_too_few_posts_never_fire() -> None:
    assert story("!!!!", min_count="21") == []
    assert story("!!!!", min_count="11", measure='"negative_count"') == []
    assert story("!", min_count="10", measure='"negative_count"') == [(1, "firing")]


def test_annotations_are_filled_in() -> None:
    rules = monitors().monitors[0]
    book = AlertBook(
        Monitor(**{**_fields(rules), "annotations": {"summary": "{group}: {seen:.0f}/{expected:.0f} in {window}"}})
    )
    (alert,) = book.step(HOP_US, {"AAPL": Reading(40.0, 5.0, 9.0, 40, 1)}, Support(evidence, provenance))
    assert alert.annotations == {"summary": "AAPL: 40/5 in 1h"}


def _fields(monitor: Monitor) -> dict[str, object]:
    return {name: getattr(monitor, name) for name in monitor.__struct_fields__}


def test_an_alert_from_posts_carries_evidence_and_provenance() -> None:
    #  four hours of two posts in ten minutes, then a surge whose loudest post was copied
    rules = monitors(measure='"negative_count"', min_count="5")
    rows = [Row(at, sentiment="neutral") for at in range(0, 240, 5)]
    surge = [
        *(Row(241 + i / 10, sentiment="negative", p_negative=0.7 + i / 1000, text=f"down {i}") for i in range(20)),
        *(
            Row(245, sentiment="negative", p_negative=0.99, novelty=7, text="AAPL collapses" + "!" * 600)
            for _ in range(3)
        ),
    ]
    watch = Watch(rules, WatchConfig())
    watch.apply(scored(rows))
    watch.apply(scored(surge, first_offset=len(rows)))
    watch.heartbeat(0, START + timedelta(minutes=250))
    (alert,) = watch.close().alerts
    assert (alert.group, alert.status, alert.seen, alert.negative) == ("AAPL", "firing", 23.0, 23)
    assert alert.expected < 1
    assert alert.onset == alert.window_start == START + timedelta(minutes=190)
    texts = [post.text for post in alert.evidence]
    assert texts[0] == ("AAPL collapses" + "!" * 600)[:500]
    assert texts[1:] == ["down 19", "down 18", "down 17", "down 16"]
    assert [post.id for post in alert.evidence][0] == f"0-{len(rows) + 20}", "of copies, the first"
    assert alert.provenance == Provenance(
        model_version="m1",
        monitors_hash=rules.hash,
        watermark=START + timedelta(minutes=250),
        source_offsets={"0": len(rows) + len(surge) - 1},
    )
    watch.heartbeat(0, START + timedelta(minutes=600))
    last = watch.close().alerts[-1]
    assert (last.status, last.fingerprint) == ("resolved", alert.fingerprint)
    assert watch.firing == []
