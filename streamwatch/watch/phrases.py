"""Phrases that grew: what a group's posts speak of now, and did not before."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from streamwatch.records import Phrase
from streamwatch.watch.terms import IS_HAN, is_within, terms_of, words_of

MOST_PHRASES = 6
MOST_CANDIDATES = 120
MOST_TERMS = 10_000
LARGEST_UNIT = 1e9
LEAST_KEPT = 1e-12
PRIOR_TERMS = 2_000.0
"""The background counts as so many terms of a group's past."""
LEAST_PRIOR = 0.5
"""What a term counts in the prior that the background does not know."""
LEAST_Z = 1.0
LEAST_WEIGHT = 1.9
"""A phrase of one story alone did not grow: two stories, or one with some copies."""
SAME = 0.75
"""A phrase inside a longer one is left out when so many of its posts have the longer one."""
LONGEST_WORDS = 5
LONGEST_HAN = 12


class Told(NamedTuple):
    """A text, and what it counts."""

    text: str
    weight: float


class Background(Struct):
    """How often terms stand in the posts of a grouping: decayed counts of a sample, the same for all its groups.

    Memory is bounded: the rarest terms are dropped beyond `MOST_TERMS`. What is old does not shrink, what is new
    weighs more: `unit` is the weight of a term now, so that fading costs nothing.

    >>> background = Background()
    >>> background.learn(["rates rise"], keep=1.0)
    >>> background.learn(["rates fall"], keep=0.5)
    >>> background.count("rates"), background.count("rise"), background.count("gold")
    (1.5, 0.5, 0.0)
    """

    counts: dict[str, float] = field(default_factory=dict)
    total: float = 0.0
    unit: float = 1.0

    def learn(self, texts: Sequence[str], keep: float) -> None:
        """Let what is known fade to a part, and add texts."""
        self.unit /= max(keep, LEAST_KEPT)
        fresh = Counter(term for words in words_of(texts) for term in terms_of(words))
        for term, count in sorted(fresh.items()):
            self.counts[term] = self.counts.get(term, 0.0) + self.unit * count
        self.total += self.unit * fresh.total()
        if len(self.counts) > MOST_TERMS:
            often = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[: MOST_TERMS * 3 // 4]
            self.counts = dict(often)
        if self.unit > LARGEST_UNIT:
            self.counts = {term: count / self.unit for term, count in self.counts.items()}
            self.total, self.unit = self.total / self.unit, 1.0

    def count(self, term: str) -> float:
        """Return how often a term was there, decayed."""
        return self.counts.get(term, 0.0) / self.unit

    def prior(self, term: str) -> float:
        """Return the pseudo-count of a term."""
        return max(PRIOR_TERMS * self.counts.get(term, 0.0) / self.total, LEAST_PRIOR) if self.total else LEAST_PRIOR


class Growth(NamedTuple):
    """A term that grew: what it counts now, what was to be expected, and how sure that is."""

    term: str
    weight: float
    expected: float
    z: float


def grown(now: Sequence[Told], before: Sequence[Told], background: Background, names: Collection[str]) -> list[Phrase]:
    """Return the phrases that grew most, surest first.

    The log-odds of a term in the texts of now and of before are compared, with an informative Dirichlet prior from
    the background (Monroe, Colaresi and Quinn 2008, "Fightin' Words", eq. 16 to 22). Terms that share a name with
    the group are left out: everybody speaks of it. Of phrases within phrases the longer ones stay.

    Args:
        now: The texts of the window.
        before: Those of the group before the window.
        background: What is usual in all groups.
        names: What the group is called, in any spelling.
    """
    words = words_of([told.text for told in (*now, *before)] + list(names))
    terms = [terms_of(text) for text in words]
    counts = _count(terms[: len(now)], now)
    total = math.fsum(counts.values())
    often = {term: count for term, count in counts.items() if count >= LEAST_WEIGHT}
    past = terms[len(now) : len(now) + len(before)]
    total_before = math.fsum(len(found) * told.weight for found, told in zip(past, before, strict=True))
    past_counts = _count([found & often.keys() for found in past], before)
    named = set().union(*terms[len(now) + len(before) :])
    fresh = {term: count for term, count in often.items() if term not in named}
    growths = _compare(Counted(fresh, total), Counted(past_counts, total_before), background)
    return [_phrase(growth, words[: len(now)]) for growth in _longest(growths[:MOST_CANDIDATES], words[: len(now)])]


class Counted(NamedTuple):
    """What some terms count in texts, and what all their terms count together."""

    counts: Mapping[str, float]
    total: float


def _count(terms: Iterable[set[str]], told: Iterable[Told]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for found, one in zip(terms, told, strict=True):
        for term in found:
            counts[term] = counts.get(term, 0.0) + one.weight
    return counts


def _compare(now: Counted, before: Counted, background: Background) -> list[Growth]:
    growths = []
    for term, count in now.counts.items():
        prior = background.prior(term)
        here, there = count + prior, before.counts.get(term, 0.0) + prior
        log_odds = math.log(_odds(here, now.total) / _odds(there, before.total))
        z = log_odds / math.sqrt(1.0 / here + 1.0 / there)
        if z >= LEAST_Z:
            growths.append(Growth(term, count, now.total * there / (before.total + PRIOR_TERMS), z))
    return sorted(growths, key=lambda growth: (-growth.z, -len(growth.term), growth.term))


def _odds(count: float, total: float) -> float:
    return count / max(total + PRIOR_TERMS - count, LEAST_PRIOR)


def _longest(growths: Sequence[Growth], words: Sequence[str]) -> list[Growth]:
    """Return the growths with chains such as `battery fires`, `fires spread` made one, and no part of another."""
    whole = [growth for growth in growths if not any(_covers(other, growth) for other in growths)]
    chosen: list[Growth] = []
    for growth in whole:
        longer = _extended(growth, whole, words)
        if not any(is_within(longer.term, one.term) or is_within(one.term, longer.term) for one in chosen):
            chosen.append(longer)
        if len(chosen) == MOST_PHRASES:
            break
    return chosen


def _covers(other: Growth, growth: Growth) -> bool:
    longer = len(other.term) > len(growth.term) and other.weight >= SAME * growth.weight
    return longer and is_within(growth.term, other.term)


def _extended(growth: Growth, others: Sequence[Growth], words: Sequence[str]) -> Growth:
    """Return a growth made longer by those that overlap with it, as long as most of its posts have the longer one."""
    least = SAME * _posts_with(growth.term, words)
    extending = True
    while extending:
        extending = False
        for other in others:
            longer = _joined(growth.term, other.term) or _joined(other.term, growth.term)
            if longer and _posts_with(longer, words) >= least:
                growth = growth._replace(term=longer, expected=min(growth.expected, other.expected))
                extending = True
                break
    return growth


def _joined(left: str, right: str) -> str | None:
    """Return two terms as one if the left ends as the right begins, and neither holds the other.

    >>> _joined("battery fires", "fires spread"), _joined("电池起火", "起火暂停"), _joined("fires", "rates fall")
    ('battery fires spread', '电池起火暂停', None)
    """
    if left in right or right in left:
        return None
    if IS_HAN.search(left) and IS_HAN.search(right):
        for size in range(min(len(left), len(right)) - 1, 0, -1):
            if left.endswith(right[:size]):
                longer = left + right[size:]
                return longer if len(longer) <= LONGEST_HAN else None
        return None
    first, second = left.split(), right.split()
    if first[-1] != second[0] or len(first) + len(second) > LONGEST_WORDS + 1:
        return None
    return " ".join([*first, *second[1:]])


def _posts_with(term: str, words: Sequence[str]) -> int:
    return sum(is_within(term, text) for text in words)


def _phrase(growth: Growth, words: Sequence[str]) -> Phrase:
    return Phrase(
        phrase=growth.term,
        posts=_posts_with(growth.term, words),
        expected=round(growth.expected, 3),
        z=round(growth.z, 3),
    )
