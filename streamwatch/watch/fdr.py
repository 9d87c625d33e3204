"""False alarms over all keys together: which alerts may open at an instant."""

from __future__ import annotations

import numpy as np

from streamwatch.watch.baseline import Floats
from streamwatch.watch.instants import DAY_US

LARGEST_PART = 0.1
"""What has a chance of more than one in ten is never worth an alert, whatever the budget."""


class AlarmBudget:
    """Spend a number of false alarms a day over all keys of a monitor, whatever their number.

    Every instant gets the same part of the day's budget. At an instant it is spent by Benjamini and Hochberg (1995)
    over the keys: with k keys and a part b, the n most surprising open if each of them has less than n b / k of a
    chance. One key alone must be as surprising as Bonferroni's correction asks; when many surge at once, each needs
    less. Batches of tests at successive instants with a level each control the false discovery rate over time as
    well (Zrnic, Jiang, Ramdas and Jordan 2020, Batch-BH). While nothing is going on, false alarms come at about the
    budget's rate.

    It has no state: the budget of an instant does not depend on what happened before, so that a restart, or a
    replay from any point, decides alike.

    >>> budget, keys = AlarmBudget(alarms_a_day=1.0, window_us=3_600_000_000), 60
    >>> [round(budget.level(np.array(surprise), keys), 2) for surprise in ([3.0, 3.4, 0.4], [3.0, 0.4, 0.4])]
    [2.86, 3.16]

    Args:
        alarms_a_day: How many false alarms a day are bearable, over all keys.
        window_us: Length of a window: those that overlap show the same, and are no chances of their own.
    """

    def __init__(self, alarms_a_day: float, window_us: int) -> None:
        self._part = min(alarms_a_day * window_us / DAY_US, LARGEST_PART)

    def alone(self, keys: int) -> float:
        """Return the surprise at which the alert of one key may open when no other is surprising."""
        return float(np.log10(max(keys, 1) / self._part))

    def level(self, surprise: Floats, keys: int) -> float:
        """Return the surprise from which on alerts may open at an instant.

        Args:
            surprise: -log10 of the probability of what was seen or more, of the windows that may open an alert.
            keys: How many keys there are, with those that were silent.
        """
        alone = self.alone(keys)
        if not surprise.size:
            return alone
        high = np.sort(surprise[surprise >= alone - np.log10(len(surprise))])[::-1]
        need = alone - np.log10(np.arange(1, len(high) + 1))
        (enough,) = np.nonzero(high >= need)
        return float(need[enough[-1]]) if enough.size else alone
