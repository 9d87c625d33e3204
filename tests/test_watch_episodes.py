"""What changes between two lists of alerts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from streamwatch.records import Alert
from streamwatch.watch.episodes import Episode, compare_episodes, episodes
from tests.scored_rows import START
from tests.stored_posts import stored_day


def episode(fired: float, end: float | None = None, group: str = "AAPL", severity: str = "warning") -> Episode:
    """Return an episode that began an hour before it fired; times in hours."""
    ended_at = None if end is None else START + timedelta(hours=end)
    return Episode(
        fingerprint=f"{fired:016.0f}",
        monitor="test",
        group=group,
        severity=severity,
        onset=START + timedelta(hours=fired - 1),
        fired_at=START + timedelta(hours=fired),
        ended_at=ended_at,
        seen=5.0,
        expected=1.0,
        surprise=4.0,
    )


def kinds(before: list[Episode], after: list[Episode]) -> list[tuple[str, float]]:
    return [(change.kind, change.minutes) for change in compare_episodes(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([episode(5, 7)], [episode(5, 8)], ("same", 0)),
        ([episode(5, 7)], [episode(4.5, 7)], ("earlier", -30)),
        ([episode(5, 7)], [episode(6, 7)], ("later", 60)),
        ([episode(5, None)], [episode(90, None)], ("later", 85 * 60)),
        ([episode(5, 7)], [episode(5, 7, severity="critical")], ("severity", 0)),
        ([], [episode(5, 7)], ("new", 0)),
        ([episode(5, 7)], [], ("gone", 0)),
    ],
)
def test_one_alert(before: list[Episode], after: list[Episode], expected: tuple[str, float]) -> None:
    assert kinds(before, after) == [expected]


def test_alerts_that_do_not_overlap_or_are_of_other_groups_are_others() -> None:
    assert kinds([episode(5, 6)], [episode(7, 9)]) == [("gone", 0), ("new", 0)]
    assert kinds([episode(5, 6)], [episode(5, 6, "IBM")]) == [("gone", 0), ("new", 0)]


def test_an_alert_that_becomes_two_is_the_first_of_them() -> None:
    assert kinds([episode(5, 12)], [episode(5, 7), episode(9, 12)]) == [("same", 0), ("new", 0)]
    assert kinds([episode(5, 7), episode(9, 12)], [episode(5, 12)]) == [("same", 0), ("gone", 0)]


def test_an_alert_counts_where_it_fired_under_either_file() -> None:
    (change,) = compare_episodes([episode(5, 9)], [episode(7, 9)])
    hours = [START + timedelta(hours=hour) for hour in range(10)]
    assert change.fired_in(hours[6], hours[8])
    assert change.fired_in(hours[4], hours[6])
    assert not change.fired_in(hours[6], hours[7])
    assert change.fired_in(None, None)


def test_all_tellings_of_an_alert_are_one_episode(tmp_path: Path) -> None:
    told: list[Alert] = stored_day(tmp_path).alerts
    (found,) = episodes(told)
    assert len(told) >= 3
    assert (found.fired_at, found.ended_at) == (told[0].updated_at, told[-1].ended_at)
    assert found.seen == max(alert.seen for alert in told)
