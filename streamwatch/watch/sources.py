"""Sources: how much each usually brings at which hour, and which are silent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct, field

from streamwatch.codec import INSTANT

HOUR_S = 3_600.0
HALF_LIFE_S = 7 * 86_400.0
FORGOTTEN_AFTER_S = 7 * 86_400.0
MOST_SOURCES = 500
KNOWN_S = 600.0
"""An hour of the day is known once it was watched for so long; before that the mean of all hours stands for it."""
MISSED_POSTS = 20.0
"""A source is silent only when so many posts were to be expected and none came."""
USUAL_TIMES = 2.0
"""And only when it lately never missed half as many and came back."""
USUAL_HALF_LIFE_S = 86_400.0


class Silence(NamedTuple):
    """A source that brings nothing: for how long, and how many posts it would have brought."""

    source: str
    seconds: float
    missed: float


class Source(Struct):
    """What is known of one source; instants are seconds since 1970.

    Attributes:
        last_s: Its last post.
        usual: The most posts that were missed between two of its posts, decayed; of a silence, half of them.
        posts: By hour of the day (UTC), decayed.
        seconds: For how long each hour was watched, decayed.
    """

    last_s: float
    usual: float = 0.0
    posts: list[float] = field(default_factory=lambda: [0.0] * 24)
    seconds: list[float] = field(default_factory=lambda: [0.0] * 24)

    def missed(self, until_s: float) -> float:
        """Return how many posts were to be expected since the last one."""
        total = sum(self.seconds)
        if not total:
            return 0.0
        mean = sum(self.posts) / total
        rates = [
            posts / seconds if seconds >= KNOWN_S else mean
            for posts, seconds in zip(self.posts, self.seconds, strict=True)
        ]
        return sum(rates[hour] * seconds for hour, seconds in _by_hour(self.last_s, until_s))

    def is_silent(self, at_s: float, least_s: float) -> bool:
        """Say whether so many posts are missed as never before it came back."""
        return at_s - self.last_s >= least_s and self.missed(at_s) >= max(MISSED_POSTS, USUAL_TIMES * self.usual)

    def note(self, posts: int, at_s: float, least_s: float) -> None:
        """Learn posts, and the time without any before them."""
        at_s = max(at_s, self.last_s)
        missed = self.missed(at_s) * (0.5 if self.is_silent(at_s, least_s) else 1.0)
        self.usual = max(self.usual * 0.5 ** ((at_s - self.last_s) / USUAL_HALF_LIFE_S), missed)
        keep = 0.5 ** ((at_s - self.last_s) / HALF_LIFE_S)
        self.posts = [count * keep for count in self.posts]
        self.seconds = [seconds * keep for seconds in self.seconds]
        for hour, seconds in _by_hour(self.last_s, at_s):
            self.seconds[hour] += seconds
        self.posts[int(at_s // HOUR_S) % 24] += posts
        self.last_s = at_s


class Sources(Struct):
    """The sources that are known, in processing time: what they bring is judged against what they usually bring.

    The first quiet night of a source may be taken for silence: better than an outage on its first day that is not.
    """

    known: dict[str, Source] = field(default_factory=dict)

    def note(self, posts: Mapping[str, int], at: datetime, least_s: float) -> None:
        """Learn what arrived.

        Args:
            posts: By source.
            at: Now.
            least_s: As for `silent`.
        """
        at_s = at.timestamp()
        for source, count in posts.items():
            if source not in self.known:
                self._make_room()
                self.known[source] = Source(at_s)
            self.known[source].note(count, at_s, least_s)

    def silent(self, at: datetime, least_s: float) -> list[Silence]:
        """Return the sources that are silent at an instant, by name; one that is for a week is forgotten.

        Args:
            at: Now.
            least_s: A shorter silence is none.
        """
        at_s = at.timestamp()
        for source in [name for name, one in self.known.items() if at_s - one.last_s > FORGOTTEN_AFTER_S]:
            del self.known[source]
        return [
            Silence(source, at_s - one.last_s, one.missed(at_s))
            for source, one in sorted(self.known.items())
            if one.is_silent(at_s, least_s)
        ]

    def _make_room(self) -> None:
        """Forget the source that brought least if there are too many."""
        if len(self.known) >= MOST_SOURCES:
            del self.known[min(self.known, key=lambda known: (sum(self.known[known].posts), known))]


def live_posts(batch: pa.RecordBatch, since: datetime) -> dict[str, int]:
    """Return how many rows of each source were published since an instant."""
    live = pc.greater_equal(batch.column("published_at"), pa.scalar(since, INSTANT))
    counts = batch.column("source").filter(live).value_counts().to_pylist()
    return {count["values"]: count["counts"] for count in counts}


def _by_hour(start_s: float, end_s: float) -> list[tuple[int, float]]:
    """Return the seconds of a span by hour of the day, in order.

    >>> _by_hour(3_000.0, 4_000.0)
    [(0, 600.0), (1, 400.0)]
    """
    parts = []
    while start_s < end_s:
        until = min(end_s, (start_s // HOUR_S + 1.0) * HOUR_S)
        parts.append((int(start_s // HOUR_S) % 24, until - start_s))
        start_s = until
    return parts
