from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.desk.ranking import MAX_FEATURES, Action, AlertFacts, Interests
from streamwatch.watch.severity import LADDER

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


def alert(fingerprint: str, **more: Any) -> AlertFacts:
    facts = AlertFacts(fingerprint, "warning", "surge", "AAPL", "unconfirmed", 5.0, NINE)
    return facts._replace(**more)


def order(interests: Interests, *alerts: AlertFacts) -> list[str]:
    return [ranked.fingerprint for ranked in interests.rank(alerts)]


def test_at_first_the_order_is_that_of_severity_then_of_time() -> None:
    alerts = [
        alert("old", onset=NINE - timedelta(hours=1)),
        alert("info", severity="info", surprise=20.0),
        alert("new"),
        alert("critical", severity="critical", surprise=0.0),
        alert("page", severity="page"),
    ]
    assert order(Interests(), *alerts) == ["page", "critical", "new", "old", "info"]
    assert Interests().rank([alerts[3]])[0].reasons == ("severity critical",)


def test_what_a_person_acts_on_comes_first_and_says_so() -> None:
    mine = Interests()
    for hour in range(8):
        mine.learn(alert("a", group="TSLA", onset=NINE + timedelta(hours=hour)), "acknowledge")
        mine.learn(alert("b", group="AAPL", onset=NINE + timedelta(hours=hour)), "mute")
    apple, tesla = alert("apple", group="AAPL", severity="critical"), alert("tesla", group="TSLA")
    first, last = mine.rank([apple, tesla])
    assert (first.fingerprint, last.fingerprint) == ("tesla", "apple")
    assert "you act on group TSLA" in first.reasons
    assert "you pass over group AAPL" in last.reasons


def test_one_mute_does_not_turn_the_order_over() -> None:
    mine = Interests()
    mine.learn(alert("x", group="AAPL", severity="critical"), "mute")
    assert order(mine, alert("warning", group="TSLA"), alert("critical", severity="critical"))[0] == "critical"


def test_interests_can_change() -> None:
    mine = Interests()
    for _ in range(30):
        mine.learn(alert("a"), "acknowledge")
    for _ in range(60):
        mine.learn(alert("a"), "mute")
    assert mine.rank([alert("a")])[0].wanted < 0.3


def test_an_acknowledgement_says_more_than_a_look_and_a_mute_more_than_passing_over() -> None:
    wanted = {}
    for action in get_args(Action):
        mine = Interests()
        mine.learn(alert("a"), action)
        wanted[action] = mine.rank([alert("a")])[0].wanted
    assert wanted["acknowledge"] == wanted["comment"] > wanted["open"] > 0.5 > wanted["pass"] > wanted["mute"]


def test_it_learns_what_a_person_wants_from_what_that_person_does() -> None:
    rng = np.random.default_rng(4)

    def any_alert(number: int) -> AlertFacts:
        return alert(
            f"{number}",
            group=str(rng.choice(["AAPL", "TSLA", "BP", "SAP"])),
            monitor=str(rng.choice(["surge", "volume"])),
            severity=str(rng.choice(LADDER)),
            surprise=float(rng.uniform(3, 15)),
        )

    def wants(one: AlertFacts) -> bool:
        return (one.group in ("BP", "SAP")) != (rng.random() < 0.1)

    mine = Interests()
    for number in range(150):
        one = any_alert(number)
        mine.learn(one, "acknowledge" if wants(one) else "pass")
    found = [any_alert(number) for number in range(200)]
    top = mine.rank(found)[:50]
    groups = {one.fingerprint: one.group for one in found}
    assert np.mean([groups[ranked.fingerprint] in ("BP", "SAP") for ranked in top]) > 0.95


def test_the_state_is_small_json_and_comes_back() -> None:
    mine = Interests()
    for number in range(2 * MAX_FEATURES):
        mine.learn(alert("a", group=f"G{number}"), "open")
    data = msgspec.json.encode(mine)
    assert len(data) < 60_000
    assert len(mine.weights) == MAX_FEATURES
    assert mine.actions == 2 * MAX_FEATURES
    again = msgspec.json.decode(data, type=Interests)
    assert again.rank([alert("a")]) == mine.rank([alert("a")])


def test_two_people_do_not_share_what_they_learn() -> None:
    mine, yours = Interests(), Interests()
    mine.learn(alert("a"), "mute")
    assert yours.weights == {}


FACTS = st.builds(
    AlertFacts,
    fingerprint=st.sampled_from("abcdef"),
    severity=st.sampled_from([*LADDER, "page"]),
    monitor=st.text(max_size=5),
    group=st.text(max_size=5),
    corroboration=st.sampled_from(["unconfirmed", "corroborated", "retracted"]),
    surprise=st.floats(allow_nan=False),
    onset=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FACTS, st.sampled_from(get_args(Action))), max_size=60), st.lists(FACTS, max_size=8))
def test_whatever_was_done_every_alert_has_a_place(
    done: list[tuple[AlertFacts, Action]], alerts: list[AlertFacts]
) -> None:
    mine = Interests()
    for one, action in done:
        mine.learn(one, action)
    ranked = mine.rank(alerts)
    assert sorted(one.fingerprint for one in ranked) == sorted(one.fingerprint for one in alerts)
    assert all(0.0 <= one.wanted <= 1.0 and math.isfinite(one.wanted) for one in ranked)
    assert [one.wanted for one in ranked] == sorted((one.wanted for one in ranked), reverse=True)
    assert pytest.approx([one.wanted for one in mine.rank(alerts[::-1])]) == [one.wanted for one in ranked]
