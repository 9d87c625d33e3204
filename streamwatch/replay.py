"""Replay a file of posts as if it happened now: what is sent, in which order, and when. No I/O and no clock."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec

from streamwatch.errors import BadRecord
from streamwatch.jsonl import BadLine, Line, parse_object
from streamwatch.records import Post

BEAT_EVERY_S = 2.0
"""Seconds of real time between heartbeats: they let the watermark pass partitions in which nothing happens."""
ORDER_POSTS = 10_000
"""How many posts are held back to put a file in order whose posts are only nearly so."""

_ENCODER = msgspec.json.Encoder()
_FIELDS = frozenset(Post.__struct_fields__)
_ANY = msgspec.json.Decoder()


class ReplayPost(NamedTuple):
    """A post of a file: its id, its event time, the message it becomes, and the post that it answers."""

    id: str
    published_at: datetime
    value: bytes
    reply_to: str | None = None

    @property
    def key(self) -> str:
        """The message's key: a reply comes into the partition of what it answers, to be read with it."""
        return self.reply_to or self.id


class Send(NamedTuple):
    """Send a post, so many seconds after the replay began."""

    due_s: float
    post: ReplayPost


class Beat(NamedTuple):
    """Say in every partition, so many seconds after the replay began, that no post before `instant` follows."""

    due_s: float
    instant: datetime


Action = Send | Beat


class HoppingWindow(Protocol):
    """A monitor, as far as its windows go."""

    @property
    def window(self) -> timedelta:
        """How long its windows are."""

    @property
    def hop(self) -> timedelta:
        """How far apart they start."""


@dataclass
class PostReader:
    """Read the posts of a file, and count what was left out.

    Beside `post.v1`, a member `ticker` becomes the only one of `tickers`, and members that `post.v1` does not know
    are dropped.

    Args:
        latest: Posts after this instant are bad lines: the stream would refuse them.
        on_bad: Told of each line that is no post.
    """

    latest: datetime
    on_bad: Callable[[BadLine], None]
    bad_lines: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def posts(self, lines: Iterable[Line]) -> Iterator[ReplayPost]:
        """Yield the posts of these lines, in their order."""
        for line in lines:
            try:
                yield self._post(line)
            except BadRecord as error:
                self.bad_lines += 1
                self.on_bad(BadLine(line.number, str(error), line.data))

    def _post(self, line: Line) -> ReplayPost:
        members = _members(line)
        if "ticker" in members and "tickers" not in members:
            ticker = members.pop("ticker")
            members["tickers"] = [ticker] if ticker else []
        unknown = members.keys() - _FIELDS
        try:
            post = msgspec.convert({name: members[name] for name in members.keys() - unknown}, Post)
        except msgspec.ValidationError as error:
            message = f"not post.v1: {error}"
            raise BadRecord(message) from error
        if not datetime(1970, 1, 2, tzinfo=UTC) <= post.published_at <= self.latest:
            message = f"published_at is in the future or before 1970: {post.published_at.isoformat()}"
            raise BadRecord(message)
        self.dropped.update(unknown)
        return replay_post(post)


def replay_post(post: Post) -> ReplayPost:
    """Return a post as the message it becomes."""
    return ReplayPost(post.id, post.published_at, _ENCODER.encode(post), post.reply_to)


def _members(line: Line) -> dict[str, Any]:
    parse_object(line)
    try:
        members: dict[str, Any] = _ANY.decode(line.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"not JSON: {error}"
        raise BadRecord(message) from error
    return members


@dataclass
class EventTimeOrder:
    """Put posts in order of event time, holding back `size` of them; count those that are too far out of order.

    >>> instants = [datetime(2015, 8, 24, hour, tzinfo=UTC) for hour in (9, 11, 10)]
    >>> order = EventTimeOrder(size=2)
    >>> [post.id for post in order.sort(ReplayPost(str(at.hour), at, b"") for at in instants)]
    ['9', '10', '11']
    """

    size: int = ORDER_POSTS
    late: int = 0

    def sort(self, posts: Iterable[ReplayPost]) -> Iterator[ReplayPost]:
        """Yield every post; one that comes more than `size` posts too late is sent late, and counted."""
        held: list[tuple[datetime, int, ReplayPost]] = []
        latest: datetime | None = None
        for number, post in enumerate(posts):
            if latest is not None and post.published_at < latest:
                self.late += 1
                yield post
                continue
            heapq.heappush(held, (post.published_at, number, post))
            if len(held) > self.size:
                latest, _, first = heapq.heappop(held)
                yield first
        while held:
            yield heapq.heappop(held)[2]


def schedule(posts: Iterable[ReplayPost], speed: float, beat_every_s: float = BEAT_EVERY_S) -> Iterator[Action]:
    """Say when each post is sent, with heartbeats between at a steady beat.

    The first post is due at once. At infinite speed every post is, and there are no heartbeats.

    Args:
        posts: In order of event time.
        speed: Seconds of event time that pass in a second of real time; `math.inf`: as fast as it goes.
        beat_every_s: Seconds of real time between heartbeats.

    >>> start = datetime(2015, 8, 24, 13, 30, tzinfo=UTC)
    >>> posts = [ReplayPost("a", start, b""), ReplayPost("b", start + timedelta(minutes=5), b"")]
    >>> [(type(action).__name__, action.due_s) for action in schedule(posts, speed=60, beat_every_s=2.0)]
    [('Send', 0.0), ('Beat', 2.0), ('Beat', 4.0), ('Send', 5.0)]
    """
    start: datetime | None = None
    beats = 0
    due_s = 0.0
    for post in posts:
        start = start or post.published_at
        if not math.isinf(speed):
            due_s = max(due_s, (post.published_at - start).total_seconds() / speed)
            while (beat_s := (beats + 1) * beat_every_s) <= due_s:
                beats += 1
                yield Beat(beat_s, start + timedelta(seconds=beat_s * speed))
        yield Send(due_s, post)


def closing_instant(last: datetime, monitors: Iterable[HoppingWindow], allowed_lateness: timedelta) -> datetime:
    """Return the instant that closes every window with a post up to `last`: the heartbeat after a replay.

    A window that holds `last` ends at most its length later, and a hop more is on the safe side.
    """
    reach = max((monitor.window + monitor.hop for monitor in monitors), default=timedelta(0))
    return last + reach + allowed_lateness


def parse_speed(text: str) -> float:
    """Read a speed: how many times as fast as it was, or `max`.

    Raises:
        ValueError: It is neither.

    >>> parse_speed("60"), parse_speed("60x"), parse_speed("max")
    (60.0, 60.0, inf)
    """
    if text == "max":
        return math.inf
    speed = float(text.removesuffix("x"))
    if not 0 < speed < math.inf:
        message = f"not a speed: {text}"
        raise ValueError(message)
    return speed


def describe_dropped(dropped: Mapping[str, int]) -> str:
    """Return what was dropped as a phrase, or nothing.

    >>> describe_dropped({"likes": 3})
    'members that post.v1 does not know were dropped: likes (3)'
    """
    listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(dropped.items()))
    return f"members that post.v1 does not know were dropped: {listed}" if listed else ""
