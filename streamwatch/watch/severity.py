"""Severity: how much an alert matters, and why, in plain sentences.

An alert begins at the severity of its monitor. On the ladder *info*, *warning*, *critical* it stands

- one step higher, once it is corroborated, and either its surprise is twice that at which it opened (in powers of
  ten) or it has lasted two windows;
- one step lower, while the copies of one story are most of its posts, or when it is retracted.

It rises while the alert is open and does not fall, save for a retraction. A severity that is not on the ladder, such
as `page`, stays as it is.
"""

from __future__ import annotations

from typing import NamedTuple

from streamwatch.records import Corroboration, Spread
from streamwatch.watch.corroboration import is_storm

LADDER = ("info", "warning", "critical")
GREAT_SURPRISE = 2.0
LONG_WINDOWS = 2


class Facts(NamedTuple):
    """What the severity of an alert follows from.

    Attributes:
        surprise: Of the window.
        threshold: The surprise at which the alert opened.
        lasted_windows: How long the alert is open, in lengths of its window.
        corroboration: What is said of it.
        spread: Who says it.
    """

    surprise: float
    threshold: float
    lasted_windows: float
    corroboration: Corroboration
    spread: Spread


class Severity(NamedTuple):
    """A severity and the reasons for it."""

    level: str
    reasons: list[str]


def judge(base: str, facts: Facts, before: str | None = None) -> Severity:
    """Return the severity of an alert.

    >>> storm = Spread(sampled=60, stories=2, largest_story=58, sources=1, voices=1)
    >>> judge("warning", Facts(12.0, 5.0, 0.0, "unconfirmed", storm)).level
    'info'
    >>> many = Spread(sampled=60, stories=55, largest_story=3, sources=9, voices=50)
    >>> judge("warning", Facts(12.0, 5.0, 0.0, "corroborated", many)).reasons
    ['50 independent voices report it.', 'The surprise of 12.0 is at least twice the 5.0 that opens an alert.']

    Args:
        base: The monitor's severity.
        facts: What it follows from.
        before: The severity so far, if the alert was told.
    """
    step, reasons = _step(facts)
    if base not in LADDER:
        return Severity(base, reasons)
    level = min(max(LADDER.index(base) + step, 0), len(LADDER) - 1)
    if before in LADDER and facts.corroboration != "retracted":
        level = max(level, LADDER.index(before))
    return Severity(LADDER[level], reasons)


def is_above(level: str, other: str) -> bool:
    """Say whether a severity stands above another on the ladder.

    >>> is_above("critical", "warning"), is_above("page", "warning")
    (True, False)
    """
    return level in LADDER and other in LADDER and LADDER.index(level) > LADDER.index(other)


def _step(facts: Facts) -> tuple[int, list[str]]:
    """Return how far up an alert stands, and why."""
    spread, reasons = facts.spread, []
    if facts.corroboration == "retracted":
        return -1, [f"{_voices(spread.denials)} {'denies' if spread.denials == 1 else 'deny'} it."]
    if facts.corroboration == "corroborated":
        reasons.append(f"{_voices(spread.voices)} report it.")
    elif is_storm(spread):
        return -1, [f"Copies of one story are {spread.largest_story} of {spread.sampled} posts."]
    elif spread.sampled:
        return 0, [f"Only {_voices(spread.voices)} {'reports' if spread.voices == 1 else 'report'} it so far."]
    great = facts.surprise >= GREAT_SURPRISE * facts.threshold
    long = facts.lasted_windows >= LONG_WINDOWS
    if great:
        reasons.append(
            f"The surprise of {facts.surprise:.1f} is at least twice the {facts.threshold:.1f} that opens an alert."
        )
    if long:
        reasons.append(f"It has lasted {facts.lasted_windows:.1f} windows.")
    return int((great or long) and facts.corroboration == "corroborated"), reasons


def _voices(number: int) -> str:
    return f"{number or 'no'} independent voice{'' if number == 1 else 's'}"
