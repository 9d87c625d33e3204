"""What people did with alerts, and what is learnt from it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from streamwatch.desk.access import Principal
from streamwatch.desk.attention import PASSED_AT_ONCE, Attention
from streamwatch.desk.ranking import AlertFacts

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)
ANN, BOB = Principal("1", "ann", "viewer", "main"), Principal("2", "bob", "viewer", "main")


def facts(name: str, group: str, severity: str = "warning") -> AlertFacts:
    return AlertFacts(name, severity, "surge", group, "unconfirmed", 5.0, NINE)


def order(attention: Attention, who: Principal, *alerts: AlertFacts) -> list[str]:
    return [ranked.fingerprint for ranked in attention.rank(who, alerts)]


def test_what_is_learnt_outlives_the_process_and_is_each_persons_own(tmp_path: Path) -> None:
    apple, tesla = facts("a", "AAPL"), facts("b", "TSLA", "critical")
    first = Attention(tmp_path)
    assert order(first, ANN, apple, tesla) == ["b", "a"]
    for _ in range(10):
        first.add(ANN, "acknowledge", apple, NINE)
        first.add(ANN, "mute", tesla, NINE)
    assert order(first, ANN, apple, tesla) == ["a", "b"]
    again = Attention(tmp_path)
    assert again.rank(ANN, [apple, tesla]) == first.rank(ANN, [apple, tesla])
    assert order(again, BOB, apple, tesla) == ["b", "a"]
    assert order(again, Principal("3", "ann", "viewer", "other"), apple, tesla) == ["b", "a"]


def test_what_another_process_writes_down_counts(tmp_path: Path) -> None:
    one, other = Attention(tmp_path), Attention(tmp_path)
    apple, tesla = facts("a", "AAPL"), facts("b", "TSLA", "critical")
    assert order(one, ANN, apple, tesla) == ["b", "a"]
    for _ in range(10):
        other.add(ANN, "acknowledge", apple, NINE)
        other.add(ANN, "mute", tesla, NINE)
    assert order(one, ANN, apple, tesla) == ["a", "b"]


@pytest.mark.parametrize("above", [1, PASSED_AT_ONCE + 3])
def test_opening_one_passes_over_those_above_it_once(tmp_path: Path, above: int) -> None:
    attention = Attention(tmp_path)
    shown = [facts(f"c{number}", f"G{number}", "critical") for number in range(above)]
    opened = facts("a", "AAPL")
    passed = []
    for _ in range(20):
        attention.open(ANN, opened, [*shown, opened], NINE)
        passed.append((tmp_path / "desk" / "alert_actions.jsonl").read_text().count('"pass"'))
    assert passed[0] == min(above, PASSED_AT_ONCE)
    assert passed[-1] <= above
    assert order(attention, ANN, opened, shown[0]) == ["a", "c0"]


def test_what_one_acted_on_is_not_passed_over_later(tmp_path: Path) -> None:
    attention = Attention(tmp_path)
    critical, opened = facts("c", "TSLA", "critical"), facts("a", "AAPL")
    attention.add(ANN, "acknowledge", critical, NINE)
    attention.open(ANN, opened, [critical, opened], NINE)
    assert '"pass"' not in (tmp_path / "desk" / "alert_actions.jsonl").read_text()
