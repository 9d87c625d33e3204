"""The promised number of false alarms over all keys together, on quiet streams with the rhythm of days."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from streamwatch.records import Alert, Provenance
from streamwatch.watch.alerts import Support
from streamwatch.watch.detector import COUNT, NEGATIVE
from streamwatch.watch.evidence import Case
from streamwatch.watch.groups import SUMS
from streamwatch.watch.instants import DAY_US, from_us, to_us
from streamwatch.watch.keys import Codes, Keys
from streamwatch.watch.phrases import Background
from streamwatch.watch.tracks import Track
from streamwatch.watch.windows import ClosedPanes, Pane
from tests.scored_rows import START, monitors

KEYS, HOPS_A_DAY = 500, 96
HOP_US = DAY_US // HOPS_A_DAY
WARM_UP, DAYS = 4, 10
SURGES = {3: 5.2, 91: 6.5, 222: 8.1, 350: 10.9, 499: 12.4}
"""By key, the day on which its posts are five times as many for three hours."""


def live(measure: str, seed: int, surges: dict[int, float]) -> list[tuple[float, int]]:
    """Return day and key of every alert that opens after the warm-up."""
    random = np.random.default_rng(seed)
    rules = monitors(measure=f'"{measure}"', window='"30m"', hop='"15m"', false_alarms='"2 a day"').monitors[0]
    track, keys, panes = Track(rules), Keys(), ClosedPanes()
    codes = Codes([f"{key:03}" for key in range(KEYS)])
    usual, peak = np.geomspace(0.2, 40.0, KEYS)[random.permutation(KEYS)], random.normal(14.0, 3.0, KEYS)
    for key in surges:
        usual[key] = 12.0
    told: dict[str, Alert] = {}
    for hop in range((WARM_UP + DAYS) * HOPS_A_DAY):
        day = hop / HOPS_A_DAY
        rate = usual * (1.0 + 0.8 * np.cos(2 * np.pi * (day - peak / 24))) * random.gamma(8.0, 1 / 8.0, KEYS)
        for key, since in surges.items():
            rate[key] *= 5.0 if since <= day < since + 0.125 else 1.0
        sums = np.zeros((len(SUMS), KEYS), np.int64)
        sums[COUNT] = random.poisson(rate)
        sums[NEGATIVE] = random.binomial(sums[COUNT], 0.2)
        (came,) = np.nonzero(sums[COUNT])
        start_us = to_us(START) // DAY_US * DAY_US + hop * HOP_US
        panes.add(Pane(start_us, keys.number(came, codes, start_us), sums[:, came]))
        for alert in track.step(start_us + HOP_US, keys, panes, _nothing_to_tell).alerts:
            told.setdefault(alert.fingerprint, alert)
    begin = from_us(to_us(START) // DAY_US * DAY_US)
    found = [((alert.updated_at - begin).total_seconds() / 86_400, int(alert.group)) for alert in told.values()]
    return [(day, key) for day, key in found if day >= WARM_UP]


def _nothing_to_tell(groups: Collection[str]) -> Support:
    def case(group: str) -> Case:
        return Case(group, "volume", now=[], before=[], background=Background())

    provenance = Provenance(model_version="m", monitors_hash="0" * 16, watermark=START, source_offsets={})
    return Support(case, lambda group: [], lambda group: {}, lambda: provenance)


def test_quiet_streams_raise_about_as_many_false_alarms_as_the_monitor_says() -> None:
    false = live("volume", 1, {})
    assert 0.3 * 2 * DAYS < len(false) < 1.7 * 2 * DAYS


def test_surges_are_found_beside_them() -> None:
    found = live("volume", 2, SURGES)
    for key, since in SURGES.items():
        assert any(other == key and since <= day < since + 0.125 for day, other in found), key
    assert len([key for _, key in found if key not in SURGES]) < 1.7 * 2 * DAYS
