"""False alarms over all keys together: which alerts may open at an instant."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamwatch.watch.baseline import Floats, Ints
from streamwatch.watch.instants import DAY_US


class AlarmBudget:
    """Spend a number of false alarms a day over all keys of a monitor, whatever their number.

    Every instant gets the same part of the day's budget. At an instant it is spent by Benjamini and Hochberg (1995)
    over the keys: with k keys and a part b, the n most surprising open if each of them has less than n b / k of a
    chance. One key alone must be as surprising as Bonferroni's correction asks; when many surge at once, each needs
    less. Batches of tests at successive instants with a level each control the false discovery rate over time as
    well (Zrnic, Jiang, Ramdas and Jordan 2020, Batch-BH). While nothing is going on, false alarms come at the
    budget's rate, or more rarely where windows overlap.

    It has no state: the budget of an instant does not depend on what happened before, so that a restart, or a
    replay from any point, decides alike.

    >>> budget = AlarmBudget(alarms_a_day=1.0, hop_us=3_600_000_000)
    >>> surprise, keys = np.array([3.0, 3.4, 0.4]), 60
    >>> budget.may_open(surprise, keys).tolist(), budget.may_open(np.array([3.0, 0.4, 0.4]), keys).tolist()
    ([True, True, False], [False, False, False])

    Args:
        alarms_a_day: How many false alarms a day are bearable, over all keys.
        hop_us: From one instant to the next.
    """

    def __init__(self, alarms_a_day: float, hop_us: int) -> None:
        self._instant = min(alarms_a_day * hop_us / DAY_US, 1.0)

    def threshold(self, keys: int) -> float:
        """Return the surprise at which the alert of one key may open when no other is surprising."""
        return float(np.log10(keys / self._instant)) if keys else np.inf

    def may_open(self, surprise: Floats, keys: int) -> npt.NDArray[np.bool_]:
        """Say which alerts may open.

        Args:
            surprise: -log10 of the probability of what was seen or more; one number for each window that ends now.
            keys: How many keys there are, with those that were silent.
        """
        order: Ints = np.argsort(-surprise, kind="stable")
        need = self.threshold(keys) - np.log10(np.arange(1, len(order) + 1))
        (enough,) = np.nonzero(surprise[order] >= need)
        opens = np.zeros(len(surprise), np.bool_)
        if enough.size:
            opens[order[: enough[-1] + 1]] = True
        return opens
