"""What each person did with alerts, written down, and the order in which that person wants to see them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from streamwatch.desk.access import Principal
from streamwatch.desk.journal import Journal
from streamwatch.desk.ranking import Action, AlertFacts, Interests, Ranked

PASSED_AT_ONCE = 5
"""Of the alerts that stood above one that was opened, so many at most count as passed over."""


class Attended(Struct, frozen=True, kw_only=True):
    """One thing that a person did with an alert, and what was known of the alert then."""

    tenant: str
    by: str
    at: datetime
    action: Action
    alert: AlertFacts


def facts_of(alert: Mapping[str, Any]) -> AlertFacts:
    """Return what the order goes by, of an alert as the desk shows it."""
    return msgspec.convert([alert[name] for name in AlertFacts._fields], AlertFacts)


class Attention:
    """The actions of a state folder, in `desk/alert_actions.jsonl`, and what is learnt from them.

    Interests are never stored: they follow from the actions, so a better way of learning takes effect at once.

    Args:
        state_dir: The state folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self._actions = Journal(state_dir / "desk" / "alert_actions.jsonl", Attended)
        self._lock = threading.Lock()
        self._learnt = 0
        self._interests: dict[tuple[str, str], Interests] = {}
        self._seen: set[tuple[str, str, str]] = set()

    def add(self, who: Principal, action: Action, alert: AlertFacts, now: datetime) -> None:
        """Write down what a person did with an alert."""
        self._actions.append(Attended(tenant=who.tenant, by=who.name, at=now, action=action, alert=alert))

    def open(self, who: Principal, alert: AlertFacts, shown: Sequence[AlertFacts], now: datetime) -> None:
        """Write down that a person opened an alert, and passed over those that stood above it.

        Args:
            who: The person.
            alert: What was opened.
            shown: All that were there to open.
            now: The present.
        """
        order = [ranked.fingerprint for ranked in self.rank(who, shown)]
        above = order[: order.index(alert.fingerprint)] if alert.fingerprint in order else []
        by_name = {each.fingerprint: each for each in shown}
        untouched = [name for name in above if (who.tenant, who.name, name) not in self._seen]
        for name in untouched[:PASSED_AT_ONCE]:
            self.add(who, "pass", by_name[name], now)
        self.add(who, "open", alert, now)

    def rank(self, who: Principal, alerts: Sequence[AlertFacts]) -> list[Ranked]:
        """Return alerts in a person's order, each with the reasons for its place."""
        with self._lock:
            self._learn()
            return self._interests.get((who.tenant, who.name), Interests()).rank(alerts)

    def count(self) -> int:
        """Return how many actions there are; it only ever grows."""
        return len(self._actions.records())

    def _learn(self) -> None:
        """Learn from what was written down since the last time, by whichever process."""
        actions = self._actions.records()
        for one in actions[self._learnt :]:
            self._interests.setdefault((one.tenant, one.by), Interests()).learn(one.alert, one.action)
            self._seen.add((one.tenant, one.by, one.alert.fingerprint))
        self._learnt = len(actions)
