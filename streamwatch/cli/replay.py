"""`streamwatch replay`: a file of posts, sent at the pace at which they were written, or faster."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamwatch.cli.files import open_input, size_of
from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import note, progress_bar
from streamwatch.cli.stopping import stop_event
from streamwatch.errors import BadRecord
from streamwatch.jsonl import BadLine, Line, read_lines
from streamwatch.replay import EventTimeOrder, PostReader, closing_instant, describe_dropped, parse_speed, schedule

if TYPE_CHECKING:
    from jobs.replay import Feed
    from streamwatch.cli.replay_report import ReplaySummary, Span
    from streamwatch.config import Config

EXAMPLE = "Example: streamwatch replay posts.jsonl --speed 600"
BAD_LINES_SHOWN = 10
INTERRUPTED = 130


def read_speed(text: str) -> float:
    """Read the option `--speed`."""
    try:
        return parse_speed(text)
    except ValueError as error:
        message = f"{text!r} is neither a number, such as 60, nor max"
        raise typer.BadParameter(message) from error


def command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines with the members of post.v1; - is stdin.")],
    *,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="How many times as fast as it was; max: all at once.")
    ] = "60",
    wait: Annotated[bool, typer.Option(help="Wait until the monitor has scored, watched and stored them.")] = True,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Longest wait without progress.")] = 300,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Send a file of posts to the stream.

    They go in event time; heartbeats then close their last windows; and it says what alerted meanwhile.
    A line needs `id`, `source`, `published_at` and `text`; `ticker` is read as the only one of `tickers`.
    """
    factor = read_speed(speed)
    replay = Replay(read_config(config_file), source, strict=strict)
    with stop_event() as stopping:
        replay.feed(factor, stopping)
        archived = wait and not stopping.is_set() and replay.wait(timeout, stopping)
    from streamwatch.cli.replay_report import print_summary

    print_summary(replay.summary(archived=archived), output)
    if stopping.is_set():
        note("stopped: the posts so far are in the stream, and their last windows stay open")
        raise typer.Exit(INTERRUPTED)


class Replay:
    """One replay of a file: send, wait, sum up.

    Raises:
        BrokerError: Kafka cannot be reached or does not take the posts.
        ConfigError: The monitors file is wrong.
    """

    def __init__(self, config: Config, source: Path, *, strict: bool) -> None:
        from streamwatch.ingest.connection import connect
        from streamwatch.store.tables import Tables
        from streamwatch.watch.monitors import load_monitors

        self._config = config
        self._source = source
        self._strict = strict
        self._monitors = load_monitors(config.monitors.file).monitors
        self._tables = Tables(config.store_url())
        self._connection = connect(config)
        self._reader = PostReader(datetime.now(UTC) + timedelta(seconds=config.score.max_future_s), self._on_bad)
        self._order = EventTimeOrder()
        self._started = time.monotonic()
        self._sending_s = 0.0
        self._posts = 0
        self._span: Span | None = None

    def feed(self, speed: float, stopping: threading.Event) -> None:
        """Send every post, then the heartbeats that close the last windows; interrupted, only the posts so far."""
        from jobs.replay import Feed
        from streamwatch.cli.replay_report import last_closed_window

        passed = last_closed_window(self._tables)
        with Feed(self._config, self._connection) as feed:
            self._send(feed, speed, stopping)
            self._posts, self._span = feed.posts, self._span_of(feed)
            if self._span and not stopping.is_set():
                feed.beat(self._span.windows_to)
        self._sending_s = time.monotonic() - self._started
        if passed and self._span and self._span.first < passed:
            note(
                f"the monitor had closed windows up to {passed:%Y-%m-%d %H:%M} before: posts older than that are "
                "scored and stored, but count in no window; with another kafka.prefix and store.url they would"
            )

    def _send(self, feed: Feed, speed: float, stopping: threading.Event) -> None:
        with (
            open_input(self._source) as file,
            progress_bar("{task.fields[posts]:,} posts", "{task.fields[at]}") as bar,
        ):
            task = bar.add_task("Sending", total=size_of(self._source), posts=0, at="")

            def advancing() -> Iterator[Line]:
                for line in read_lines(file):
                    bar.advance(task, len(line.data) + 1)
                    yield line

            def sent() -> None:
                at = "" if math.isinf(speed) else f"{feed.last:%Y-%m-%d %H:%M}"
                bar.update(task, posts=feed.posts, at=at)

            feed.run(schedule(self._order.sort(self._reader.posts(advancing())), speed), stopping, sent)

    def _span_of(self, feed: Feed) -> Span | None:
        from streamwatch.cli.replay_report import Span

        if feed.first is None or feed.last is None:
            return None
        longest = max(monitor.window for monitor in self._monitors)
        lateness = timedelta(seconds=self._config.watch.allowed_lateness_s)
        closed = closing_instant(feed.last, self._monitors, lateness)
        return Span(feed.first, feed.last, feed.first - longest, closed)

    def wait(self, timeout_s: float, stopping: threading.Event) -> bool:
        """Wait until the monitor has stored everything; False when `stopping` was set before."""
        from jobs.monitor_process import fetch_status
        from streamwatch.cli.status import not_running
        from streamwatch.cli.waiting import wait_for_archive

        if fetch_status(self._config.metrics) is None:
            note(f"{not_running(self._config.metrics)}; the posts wait in the stream for one")
        return wait_for_archive(self._connection, timeout_s, stopping)

    def summary(self, *, archived: bool) -> ReplaySummary:
        """Return what was sent and, when it was archived, what came of it."""
        from streamwatch.cli.replay_report import ReplaySummary, count_windows, opened_alerts

        if dropped := describe_dropped(self._reader.dropped):
            note(dropped)
        if self._order.late:
            note(f"{self._order.late:,} posts were far out of order in the file; their windows may have closed before")
        seconds = time.monotonic() - self._started
        known = self._span if archived else None
        return ReplaySummary(
            posts=self._posts,
            bad_lines=self._reader.bad_lines,
            out_of_order=self._order.late,
            first=self._span.first if self._span else None,
            last=self._span.last if self._span else None,
            seconds_sending=round(self._sending_s, 2),
            seconds=round(seconds, 2),
            posts_per_s=round(self._posts / max(seconds, 1e-9), 1),
            windows=count_windows(self._tables, known) if known else None,
            alerts=opened_alerts(self._tables, known) if known else None,
        )

    def _on_bad(self, line: BadLine) -> None:
        text = f"{self._source}:{line.number}: {line.reason}"
        if self._strict:
            raise BadRecord(text + "; mend the line, or run without --strict")
        if self._reader.bad_lines <= BAD_LINES_SHOWN:
            note(text)
        elif self._reader.bad_lines == BAD_LINES_SHOWN + 1:
            note("more bad lines are only counted")
