"""A trial: a changed monitors file beside the one in force, over the stored posts."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
from msgspec import Struct

from streamwatch.config import WatchConfig
from streamwatch.errors import StoreError
from streamwatch.store.posts import OrderedPosts, Progress
from streamwatch.store.tables import Tables
from streamwatch.watch.backtest import backtest, warm_up
from streamwatch.watch.episodes import Change, compare_episodes, episodes
from streamwatch.watch.monitors import Monitors


class Trial(Struct, frozen=True):
    """What a trial found.

    Attributes:
        changed: The monitors that were tried.
        current: The monitors that they were compared with.
        start: Alerts that fired from here on count; None: from the first post.
        end: Alerts that fired before count.
        posts: How many posts were watched.
        first_post: Where the warm-up of the baselines began.
        warm_up: How much the baselines need before `start`.
        changes: Every alert of either file, by when it fired.
    """

    changed: Monitors
    current: Monitors
    start: datetime | None
    end: datetime
    posts: int
    first_post: datetime
    warm_up: timedelta
    changes: list[Change]

    @property
    def is_warm(self) -> bool:
        """Whether the store holds as much before `start` as the baselines need."""
        return self.start is not None and self.first_post <= self.start - 0.95 * self.warm_up


def try_monitors(
    tables: Tables,
    changed: Monitors,
    current: Monitors,
    config: WatchConfig,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = lambda done, total: None,
) -> Trial:
    """Run two monitors files over the posts of some time, and those before that warm their baselines up.

    Args:
        tables: The store.
        changed: The monitors to try.
        current: The monitors to compare with.
        config: The allowed lateness.
        start: Alerts that fire from here on count.
        end: Posts before this count; None: all.
        progress: Called with the posts watched so far, and how many there are.

    Raises:
        StoreError: There are no posts in this time.
    """
    needed = warm_up([changed, current])
    rows = tables.scan("posts")
    rows = rows if start is None else rows.filter(pl.col("published_at") >= start - needed)
    posts = OrderedPosts(rows if end is None else rows.filter(pl.col("published_at") < end))
    first, until = posts.first_at, end or posts.last_at
    if first is None or until is None or (start and until <= start):
        message = f"no posts in this time in {tables.url}/posts: `streamwatch query` shows from when to when there are"
        raise StoreError(message)
    told = backtest(posts.told(progress), [changed, current], config, partitions=posts.partitions, until=until)
    after, before = map(episodes, told)
    changes = [change for change in compare_episodes(before, after) if change.fired_in(start, until)]
    return Trial(changed, current, start, until, posts.rows, first, needed, changes)
