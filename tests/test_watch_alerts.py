"""The life of an alert, drawn above each assertion: a window ends every ten minutes; `!` is surprising, `.` calm."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.config import WatchConfig
from streamwatch.records import Alert, Provenance
from streamwatch.watch import Watch
from streamwatch.watch.alerts import AlertBook, Reading, Support
from streamwatch.watch.evidence import Case
from streamwatch.watch.instants import from_us
from streamwatch.watch.monitors import Monitor
from streamwatch.watch.phrases import Background
from streamwatch.watch.samples import Sampled
from tests.sampled_posts import sampled
from tests.scored_rows import START, Row, monitors, scored

HOP_US = 600_000_000
LEVELS = {"!": 4.0, "^": 9.0, "-": 2.0, ".": 0.5}
"""Alerts open at 3: `-` is below it and above half of it, `^` is a worse surge."""
LEVEL = 3.0


def support(end_us: int, posts: list[Sampled] | None = None) -> Support:
    def case(group: str) -> Case:
        now = [sampled(0, id=f"p{end_us}", text=group)] if posts is None else posts
        return Case(group, "volume", now=now, before=[], background=Background())

    def provenance() -> Provenance:
        return Provenance(model_version="m", monitors_hash="0" * 16, watermark=from_us(end_us), source_offsets={})

    return Support(case, lambda group: [], lambda group: {"12h": 1}, provenance)


def live(timeline: str, **settings: str) -> list[tuple[int, Alert]]:
    """Let windows end as drawn, a space standing for one without posts; return what was told, and at which window."""
    monitor = monitors(**settings).monitors[0]
    book, told = AlertBook(monitor), []
    for index, mark in enumerate(timeline, start=1):
        reading = Reading(10.0 * LEVELS.get(mark, 0), 5.0, LEVELS.get(mark, 0), 20, 10) if mark != " " else None
        readings = {"AAPL": reading} if reading else {}
        told += [(index, alert) for alert in book.step(index * HOP_US, readings, LEVEL, support(index * HOP_US))]
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


def test_a_pending_alert_outlives_a_window_that_is_neither_surprising_nor_calm() -> None:
    held = {"holds_for": '"20m"', "keep_firing_for": '"0m"'}
    #        1234567
    assert story("..!-!..", **held) == [(5, "firing"), (6, "resolved")]
    assert story("..!--..", **held) == [], "it fires at a surprising window only"


near_threshold = st.lists(st.tuples(st.floats(1.6, 9.0), st.integers(10, 40)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(near_threshold, st.integers(0, 3))
def test_what_jitters_around_threshold_and_least_volume_is_one_alert(
    windows: list[tuple[float, int]], keep: int
) -> None:
    monitor = monitors(min_count="20", keep_firing_for=f'"{keep}0m"').monitors[0]
    book, alerts = AlertBook(monitor), []
    for index, (surprise, count) in enumerate(windows, start=1):
        reading = Reading(float(count), 5.0, surprise, count, 0)
        alerts += book.step(index * HOP_US, {"AAPL": reading}, LEVEL, support(index * HOP_US))
    fires = any(surprise >= 3 and count >= 20 for surprise, count in windows)
    assert len({alert.fingerprint for alert in alerts}) == fires
    assert {alert.status for alert in alerts} <= {"firing"}
    for index in range(len(windows) + 1, len(windows) + keep + 2):
        alerts += book.step(index * HOP_US, {}, LEVEL, support(index * HOP_US))
    assert [alert.status for alert in alerts].count("resolved") == fires


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
    (alert,) = book.step(HOP_US, {"AAPL": Reading(40.0, 5.0, 9.0, 40, 1)}, LEVEL, support(HOP_US))
    assert alert.annotations == {"summary": "AAPL: 40/5 in 1h"}


def _fields(monitor: Monitor) -> dict[str, object]:
    return {name: getattr(monitor, name) for name in monitor.__struct_fields__}


REPORTS = [
    sampled(lot, text=text, author=f"a{lot}") for lot, text in enumerate(("fires spread", "shops shut", "sales halt"))
]
STORM = [sampled(lot, text="batteries burn, they say", author=f"b{lot}") for lot in range(9)]
DENIED = [
    sampled(20 + lot, text=f"maker denies it, {by}", author=by, negative=0)
    for lot, by in enumerate(("ann", "bo", "cy"))
]


def lives(*steps: tuple[float, list[Sampled]], **settings: str) -> list[tuple[int, str, str]]:
    """Let windows end with these surprises and posts; say at which an alert was told, how severe and what of it."""
    book, alerts = (
        AlertBook(monitors(**({"measure": '"negative_count"', "severity": '"warning"'} | settings)).monitors[0]),
        [],
    )
    for index, (surprise, posts) in enumerate(steps, start=1):
        end_us = index * HOP_US
        alerts += book.step(end_us, {"AAPL": Reading(9.0, 1.0, surprise, 9, 9)}, LEVEL, support(end_us, posts))
    return [
        ((alert.window_end - from_us(0)) // timedelta(minutes=10), alert.severity, alert.corroboration)
        for alert in alerts
    ]


def test_it_escalates_when_independent_voices_corroborate_it() -> None:
    assert lives((7.0, STORM), (6.5, STORM), (6.0, REPORTS)) == [
        (1, "info", "unconfirmed"),
        (3, "critical", "corroborated"),
    ]


def test_it_escalates_when_it_lasts_and_does_not_fall_again() -> None:
    told = lives(*[(3.5, REPORTS)] * 16, (2.0, STORM))
    assert told == [(1, "warning", "corroborated"), (13, "critical", "corroborated")]


def test_a_denial_lowers_it_for_good() -> None:
    assert lives((7.0, REPORTS), (6.0, REPORTS + DENIED), (9.0, REPORTS)) == [
        (1, "critical", "corroborated"),
        (2, "info", "retracted"),
    ]


def test_a_severity_of_ones_own_stays() -> None:
    assert {severity for _, severity, _ in lives((7.0, STORM), (9.0, REPORTS), severity='"page"')} == {"page"}


def test_an_alert_from_posts_carries_evidence_and_provenance() -> None:
    #  four hours of two posts in ten minutes, then a surge whose loudest post was copied
    rules = monitors(measure='"negative_count"', min_count="5")
    rows = [Row(at, sentiment="neutral") for at in range(0, 240, 5)]
    surge = [
        *(Row(241 + i / 10, sentiment="negative", p_negative=0.7 + i / 1000, text=f"down {i}") for i in range(12)),
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
    assert (alert.group, alert.status, alert.seen, alert.negative) == ("AAPL", "firing", 15.0, 15)
    assert alert.expected < 1
    assert alert.onset == alert.window_start == START + timedelta(minutes=190)
    texts = [post.text for post in alert.evidence]
    assert texts[0] == ("AAPL collapses" + "!" * 600)[:500]
    assert texts[1:] == ["down 11", "down 10", "down 9", "down 8"]
    assert [post.id for post in alert.evidence][0] == f"0-{len(rows) + 12}", "of copies, the first"
    assert (alert.evidence[0].copies, alert.evidence[0].cluster) == (3, f"{7:016x}")
    assert alert.volumes == {"12h": 63, "24h": 63, "3d": 63, "7d": 63}
    assert [point.seen for point in alert.curve][-2:] == [0.0, 15.0]
    assert alert.brief.en.startswith("AAPL: 15 negative posts of 25 in the hour to 13:10 UTC on 5 January, against 0")
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
