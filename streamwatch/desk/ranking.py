"""The order in which a subscriber sees alerts, learnt from what that person opens, acknowledges, mutes or passes over.

One logistic model a person, over features that people can read. Each weight has a mean and a precision and is updated
with every action (Bayesian logistic regression, Laplace approximation with a diagonal covariance: Chapelle and Li
2011). Before anything was learnt the order is that of severity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from streamwatch.watch.severity import LADDER

Action = Literal["open", "acknowledge", "comment", "mute", "pass"]
SAYS: dict[Action, tuple[float, float]] = {
    "open": (1.0, 0.5),
    "acknowledge": (1.0, 1.0),
    "comment": (1.0, 1.0),
    "mute": (0.0, 1.0),
    "pass": (0.0, 0.2),
}
"""What an action says: whether the alert was wanted, and how surely. `pass`: it was shown, and others were opened."""

SEVERITY_STEP = 1.5
"""What one step of severity is worth, in log-odds, before anything is learnt."""
PRIOR_PRECISION = 1.0
FORGET = 0.995
"""What is left of a precision at each update: interests change."""
MAX_FEATURES = 500
"""Those that are known least are forgotten beyond."""
HOURS = 4
"""Length of the parts of the day."""
SURPRISE_SCALE = 10.0
LEAST_REASON = 0.1
REASONS = 3


class AlertFacts(NamedTuple):
    """What the order goes by."""

    fingerprint: str
    severity: str
    monitor: str
    group: str
    corroboration: str
    surprise: float
    onset: datetime


class Ranked(NamedTuple):
    """An alert's place: how probably this person wants it, and why in words, what counts most first."""

    fingerprint: str
    wanted: float
    reasons: tuple[str, ...]


class Weight(msgspec.Struct, array_like=True):
    """What is known of a feature."""

    mean: float
    precision: float


class Interests(msgspec.Struct):
    """What one person wants to see. It is its own state: small, and plain JSON through msgspec.

    >>> mine = Interests()
    >>> at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> apple = AlertFacts("a", "warning", "surge", "AAPL", "unconfirmed", 5.0, at)
    >>> tesla = AlertFacts("b", "critical", "surge", "TSLA", "unconfirmed", 5.0, at)
    >>> [ranked.fingerprint for ranked in mine.rank([apple, tesla])]
    ['b', 'a']
    >>> for _ in range(10):
    ...     mine.learn(apple, "acknowledge")
    ...     mine.learn(tesla, "mute")
    >>> [ranked.fingerprint for ranked in mine.rank([apple, tesla])]
    ['a', 'b']
    >>> mine.rank([apple])[0].reasons[0]
    'you act on group AAPL'
    """

    weights: dict[str, Weight] = {}
    actions: int = 0

    def learn(self, alert: AlertFacts, action: Action) -> None:
        """Let an action count."""
        wanted, sureness = SAYS[action]
        features = _features(alert)
        expected = self._wanted(features)
        for name, value in features.items():
            weight = self.weights.setdefault(name, Weight(_prior(name), PRIOR_PRECISION))
            kept = max(PRIOR_PRECISION, FORGET * weight.precision)
            weight.precision = kept + sureness * value * value * expected * (1.0 - expected)
            weight.mean += sureness * (wanted - expected) * value / weight.precision
        self.actions += 1
        self._bound()

    def rank(self, alerts: Iterable[AlertFacts]) -> list[Ranked]:
        """Return alerts in the order in which this person wants them; equal ones the newest first."""
        newest_first = sorted(alerts, key=lambda alert: (-alert.onset.timestamp(), alert.fingerprint))
        found = [self._ranked(alert) for alert in newest_first]
        return sorted(found, key=lambda ranked: -ranked.wanted)

    def _ranked(self, alert: AlertFacts) -> Ranked:
        features = _features(alert)
        parts = {name: self._mean(name) * value for name, value in features.items() if name != "always"}
        telling = sorted(parts, key=lambda name: (-abs(parts[name]), name))[:REASONS]
        said = tuple(
            _words(name, parts[name], self._learnt(name)) for name in telling if abs(parts[name]) >= LEAST_REASON
        )
        return Ranked(alert.fingerprint, self._wanted(features), said)

    def _wanted(self, features: Mapping[str, float]) -> float:
        total = sum(self._mean(name) * value for name, value in features.items())
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))

    def _mean(self, name: str) -> float:
        return self.weights[name].mean if name in self.weights else _prior(name)

    def _learnt(self, name: str) -> bool:
        """Say whether what a feature counts comes from actions rather than from where everyone begins."""
        return abs(self._mean(name) - _prior(name)) > abs(_prior(name)) / 2

    def _bound(self) -> None:
        if len(self.weights) > MAX_FEATURES:
            known = sorted(self.weights, key=lambda name: (self.weights[name].precision, name))
            for name in known[: len(self.weights) - MAX_FEATURES]:
                del self.weights[name]


def _features(alert: AlertFacts) -> dict[str, float]:
    hour = alert.onset.astimezone(UTC).hour // HOURS * HOURS
    return {
        "always": 1.0,
        f"severity {alert.severity}": 1.0,
        f"monitor {alert.monitor}": 1.0,
        f"group {alert.group}": 1.0,
        f"corroboration {alert.corroboration}": 1.0,
        f"hours {hour:02}-{hour + HOURS:02} UTC": 1.0,
        "surprise": min(max(alert.surprise, 0.0), 2 * SURPRISE_SCALE) / SURPRISE_SCALE,
    }


def _prior(name: str) -> float:
    """Return where a weight begins; a severity that is not on the ladder, such as `page`, is above it."""
    kind, _, value = name.partition(" ")
    if kind != "severity":
        return 0.0
    return SEVERITY_STEP * ((LADDER.index(value) if value in LADDER else len(LADDER)) - 1)


def _words(name: str, part: float, learnt: bool) -> str:
    if not learnt:
        return name
    return f"you act on {name}" if part > 0 else f"you pass over {name}"
