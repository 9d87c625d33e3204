"""From which score on a post has a desk's label, so that most posts have none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FALSE_SHARE = 0.005
"""So many of the background posts a label may take beside its own."""
OWN_SHARE = 0.02
"""So many at most are presumed to be its own: those that score as its examples do when they are left out."""


def threshold(background: NDArray[np.float32], own: NDArray[np.float64]) -> float:
    """Return a label's threshold.

    Args:
        background: The scores of posts as they come, rising; a few of them may be about the label.
        own: Those of its examples, each as if it had not been learnt.

    >>> crowd = np.append(np.linspace(0, 0.5, 1_000), [0.9] * 10).astype(np.float32)
    >>> round(threshold(crowd, own=np.array([0.8, 0.9])), 3), round(threshold(crowd, own=np.array([2.0])), 3)
    (0.498, 0.9)
    """
    like_own = len(background) - int(np.searchsorted(background, np.median(own))) if len(own) else 0
    rest = len(background) - min(like_own, int(OWN_SHARE * len(background)))
    return float(background[min(int(np.ceil((1.0 - FALSE_SHARE) * rest)), rest - 1)])
