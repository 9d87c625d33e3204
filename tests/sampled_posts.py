"""Sampled posts for the tests of what alerts say of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from streamwatch.ingest.novelty import novelty
from streamwatch.watch.samples import Sampled

MINUTE_US = 60_000_000


def sampled(lot: int, **looks: Any) -> Sampled:
    """Return a post; it was published `lot` minutes after 1970 unless `at` says otherwise."""
    text = looks.setdefault("text", f"post {lot}")
    (words,) = novelty(pa.array([text])).to_pylist()
    fields: dict[str, Any] = {
        "pane": 0,
        "group": "AAPL",
        "lot": lot,
        "at": lot * MINUTE_US,
        "negative": 1,
        "p_negative": 900_000,
        "novelty": words,
        "id": f"p{lot}",
        "source": "wire",
        "author": None,
        "lang": "en",
        "intent": "inform",
        "sentiment": "negative",
        "entities": None,
        "names": None,
    }
    return Sampled(**(fields | looks))


def told(*texts: str, **looks: Any) -> list[Sampled]:
    """Return a post for every text, each by an author of its own."""
    return [sampled(lot, text=text, author=f"a{lot}", **looks) for lot, text in enumerate(texts)]
