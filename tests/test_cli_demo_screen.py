from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from rich.console import Console

from streamwatch.cli.demo_screen import draw, sparkline
from streamwatch.cli.demo_view import Counts, DemoView
from streamwatch.records import Alert, EvidencePost, Provenance, Window

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def window(group: str, *, count: int, negative: int, minutes: int = 0) -> Window:
    start = NOON + timedelta(minutes=minutes)
    return Window(
        monitor="company-negative-share",
        group=group,
        window_start=start,
        window_end=start + timedelta(minutes=15),
        count=count,
        negative=negative,
        measure=negative / count,
        expected=0.1,
        surprise=1.0,
    )


def alert(group: str, status: str = "firing", text: str = "Accounts of the company are frozen") -> Alert:
    post = EvidencePost(id="p1", source="wire", published_at=NOON, text=text, sentiment="negative", negative_prob=0.97)
    return Alert(
        fingerprint=f"{abs(hash(group)):016x}"[:16],
        monitor="company-negative-share",
        group=group,
        group_by="entity",
        severity="critical",
        status="firing" if status == "firing" else "resolved",
        onset=NOON,
        window_start=NOON,
        window_end=NOON + timedelta(minutes=15),
        updated_at=NOON + timedelta(minutes=16),
        ended_at=None if status == "firing" else NOON + timedelta(hours=1),
        measure="negative_share",
        seen=0.72,
        expected=0.12,
        surprise=11.3,
        count=83,
        negative=60,
        evidence=[post, post],
        annotations={},
        provenance=Provenance(model_version="m", monitors_hash="h", watermark=NOON, source_offsets={"0": 7}),
    )


@pytest.fixture
def view() -> DemoView:
    view = DemoView(title="a market day", total=6_000, phase="streaming", sent=4_100, elapsed_s=71.0)
    view.event_time, view.memory_bytes = NOON + timedelta(minutes=20), 2_900_000_000
    view.counts = Counts(scored=3_900, archived=3_650, windows=811, dead_letters=0)
    figures = {"state": "up", "restarts": 0}
    watermark = (NOON + timedelta(minutes=17)).isoformat()
    lag = [{"stage": "score", "stream": "s", "lag": 200}, {"stage": "watch", "stream": "s", "lag": 3}]
    stages = {"SCORE-0": figures, "WATCH": figures | {"watermark": watermark}, "ARCHIVE": figures | {"restarts": 1}}
    for speed in [*range(0, 200, 8), *[190.0, 180.0, 205.0] * 9]:
        view.take_status({"stages": stages, "lag": lag, "throughput_posts_s": speed})
    for group, count, negative in (("NOVA", 83, 60), ("AAPL", 40, 12), ("腾讯控股", 31, 4), ("SAP", 18, 1)):
        view.take_window(window(group, count=count, negative=negative))
    view.take_alert(alert("NOVA"))
    view.take_alert(alert("Glencore plc", "resolved", text="监管机构对该公司展开调查 \x1b[2J"))
    return view


def rendered(view: DemoView, width: int = 110, height: int = 34) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), record=True, color_system="truecolor")
    console.print(draw(view, width, height))
    return console.export_text()


def test_the_screen_shows_the_chain_the_groups_and_the_alerts_with_evidence(view: DemoView) -> None:
    text = rendered(view)
    for shown in (
        "3,900",
        "3,650",
        "811 windows",
        "2.7 GiB",
        "12:17",
        "NOVA",
        "72%",
        "1 firing, 1 passed",
        "are frozen",
        "SCORE-0",
    ):
        assert shown in text
    assert text.index("NOVA") < text.index("AAPL") < text.index("腾讯控股")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (110, 34), (200, 60)])
def test_the_screen_fits_the_terminal(view: DemoView, width: int, height: int) -> None:
    lines = rendered(view, width, height).splitlines()
    assert len(lines) == height
    assert max(map(len, lines)) <= width


def test_a_post_cannot_steer_the_terminal(view: DemoView) -> None:
    assert "\x1b" not in rendered(view)


def test_before_anything_is_known_the_screen_says_so() -> None:
    text = rendered(DemoView(title="a market day", total=10))
    assert "the monitor is starting" in text
    assert "no window has closed yet" in text
    assert "nothing is unusual" in text


def test_only_recent_windows_with_enough_posts_count_as_most_negative() -> None:
    view = DemoView(title="", total=1)
    view.take_window(window("OLD", count=50, negative=50))
    view.take_window(window("NEW", count=50, negative=5, minutes=60))
    view.take_window(window("FEW", count=2, negative=2, minutes=60))
    assert [shown.group for shown in view.most_negative(9)] == ["NEW"]


def test_an_older_window_does_not_replace_a_newer_one() -> None:
    view = DemoView(title="", total=1)
    view.take_window(window("A", count=9, negative=5, minutes=5))
    view.take_window(window("A", count=4, negative=0))
    assert view.windows["A"].count == 9


def test_the_sparkline_keeps_the_newest_and_scales_to_the_largest() -> None:
    assert sparkline([9, 9, 0, 2, 4], width=3) == " ▄█"
    assert sparkline([], width=3) == ""


def test_an_alert_shows_what_was_seen_when_it_was_most_surprising(view: DemoView) -> None:
    view.take_alert(msgspec.structs.replace(alert("NOVA", "resolved"), surprise=0.1, count=3, negative=0))
    text = rendered(view)
    assert "0 firing, 2 passed" in text
    assert "60 of 83 posts negative" in text
    assert "0 of 3" not in text
