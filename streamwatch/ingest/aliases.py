"""What companies are also called, in English and Chinese: the project's own list, without the index members."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def aliases() -> Mapping[str, frozenset[str]]:
    """Return the names of each company of `companies.csv` by ticker.

    >>> sorted(aliases()["TSLA"])
    ['Tesla', 'tesla', '特斯拉']
    """
    text = resources.files(__package__).joinpath("companies.csv").read_text(encoding="utf-8")
    return {
        row["ticker"]: frozenset({row["name"], *(part for part in row["aliases"].split("|") if part)})
        for row in csv.DictReader(text.splitlines())
        if row["ticker"]
    }
