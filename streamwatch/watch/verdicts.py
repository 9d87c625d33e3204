"""Verdicts compared: what was told of an alert, and what a replay tells of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from streamwatch.records import Alert

RELATIVE_TOLERANCE = 1e-6
"""Sums of floats may differ so much between machines."""


class Difference(Struct, frozen=True):
    """One value of an alert that does not come out the same; None where one side has none."""

    field: str
    stored: object
    replayed: object


class Telling(Struct, frozen=True):
    """One telling of an alert, and what differs."""

    updated_at: datetime
    status: str
    differences: list[Difference]


def compare_tellings(stored: Sequence[Alert], replayed: Sequence[Alert]) -> list[Telling]:
    """Compare what was told of one alert, telling by telling, by time.

    Args:
        stored: As the table has them.
        replayed: Up to the last of those.
    """
    before = {alert.updated_at: alert for alert in stored}
    after = {alert.updated_at: alert for alert in replayed}
    tellings = []
    for at, alert in sorted((after | before).items()):
        if at not in after:
            differences = [Difference("alert", "told", "not told")]
        elif at not in before:
            differences = [Difference("alert", "not told", "told")]
        else:
            left, right = (msgspec.to_builtins(found[at], builtin_types=(datetime,)) for found in (before, after))
            differences = list(_differences(left, right, ""))
        tellings.append(Telling(at, alert.status, differences))
    return tellings


def _differences(stored: object, replayed: object, place: str) -> Iterator[Difference]:
    if isinstance(stored, dict) and isinstance(replayed, dict):
        for name in [*stored, *(name for name in replayed if name not in stored)]:
            yield from _differences(stored.get(name), replayed.get(name), f"{place}.{name}".lstrip("."))
    elif isinstance(stored, list) and isinstance(replayed, list):
        for index in range(max(len(stored), len(replayed))):
            left, right = (found[index] if index < len(found) else None for found in (stored, replayed))
            yield from _differences(left, right, f"{place}[{index}]")
    elif isinstance(stored, float) and isinstance(replayed, float):
        if not math.isclose(stored, replayed, rel_tol=RELATIVE_TOLERANCE, abs_tol=RELATIVE_TOLERANCE):
            yield Difference(place, stored, replayed)
    elif stored != replayed:
        yield Difference(place, stored, replayed)
