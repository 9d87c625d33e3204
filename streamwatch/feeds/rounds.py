"""Whose turn it is: every feed at its interval, and no host asked twice at once or twice in quick succession.

Each host has a thread of its own, so a slow one keeps nobody else waiting.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from streamwatch.feeds.feed_source import FeedSource, Visit

_LOOK_EVERY_S = 0.1


class Rounds:
    """Visit feeds, again and again or once.

    Args:
        sources: The feeds.
        cursors: By name, where each goes on from.
        min_gap: Least time from the end of a request to the next to the same host.
        once: Visit each feed once, and end.
        stopping: Ends everything when it is set; what is being fetched then is not waited for.
    """

    def __init__(
        self,
        sources: Sequence[FeedSource],
        cursors: Mapping[str, str],
        min_gap: timedelta,
        stopping: threading.Event,
        *,
        once: bool,
    ) -> None:
        self._cursors = dict(cursors)
        self._min_gap_s = min_gap.total_seconds()
        self._once = once
        self._stopping = stopping
        self._done: queue.Queue[tuple[FeedSource, Visit] | BaseException | None] = queue.Queue()
        hosts: dict[str, list[FeedSource]] = {}
        for source in sources:
            hosts.setdefault(source.feed.host, []).append(source)
        self._threads = [
            threading.Thread(target=self._host, args=(feeds,), name=f"feeds of {host}", daemon=True)
            for host, feeds in hosts.items()
        ]

    def visits(self) -> Iterator[tuple[FeedSource, Visit]]:
        """Yield each visit once it is over, until all are done or `stopping` is set."""
        for thread in self._threads:
            thread.start()
        running = len(self._threads)
        while running and not self._stopping.is_set():
            try:
                done = self._done.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                continue
            if done is None:
                running -= 1
            elif isinstance(done, BaseException):
                raise done
            else:
                yield done

    def _host(self, feeds: Sequence[FeedSource]) -> None:
        """Visit the feeds of one host, one after the other."""
        try:
            if self._once:
                for number, source in enumerate(feeds):
                    if self._stopping.wait(self._min_gap_s if number else 0.0):
                        return
                    self._visit(source)
            else:
                self._go_round(feeds)
        except BaseException as error:  # handed to visits, which waits for it
            self._done.put(error)
        finally:
            self._done.put(None)

    def _go_round(self, feeds: Sequence[FeedSource]) -> None:
        due = {source.name: source.not_before(self._cursors[source.name]) for source in feeds}
        by_name = {source.name: source for source in feeds}
        free_at = time.monotonic()
        while True:
            name = min(due, key=due.__getitem__)
            wait_s = max((due[name] - datetime.now(UTC)).total_seconds(), free_at - time.monotonic(), 0.0)
            if self._stopping.wait(wait_s):
                return
            due[name] = self._visit(by_name[name]).report.next_at
            free_at = time.monotonic() + self._min_gap_s

    def _visit(self, source: FeedSource) -> Visit:
        cursor = self._cursors[source.name]
        rests = source.not_before(cursor) > datetime.now(UTC)
        visit = source.waiting(cursor) if rests else source.visit(cursor)
        self._cursors[source.name] = visit.polled.cursor
        self._done.put((source, visit))
        return visit
