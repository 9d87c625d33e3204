"""`streamwatch ingest`: posts from RSS and Atom feeds, or from standard input, onto the stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from streamwatch.cli.files import STANDARD, open_input
from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import emit_record, note
from streamwatch.cli.stopping import sigterm_interrupts, stop_event
from streamwatch.jsonl import Line, read_lines
from streamwatch.replay import PostReader, describe_dropped

if TYPE_CHECKING:
    from streamwatch.cli.ingest_reports import FeedReports
    from streamwatch.config import Config, MetricsConfig
    from streamwatch.feeds.subscriptions import Subscriptions

EXAMPLE = "Example: streamwatch ingest feeds.toml; tail -f posts.jsonl | streamwatch ingest -"
SOMETHING_BAD = 1
INTERRUPTED = 130


def command(
    source: Annotated[
        Path, typer.Argument(metavar="FEEDS.toml|-", help="A file of feeds; - is JSON Lines posts on stdin.")
    ],
    *,
    once: Annotated[bool, typer.Option("--once", help="Ask each feed once and end, as cron wants it.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, metavar="PORT", help="Serve /metrics, /health and /status here; 0: any."),
    ] = None,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Bring posts from RSS and Atom feeds onto the stream.

    Each feed at its interval until SIGTERM; each post once, also over restarts. With - the posts are lines on
    standard input, each a post.v1; bad ones are told and left out.

    Ends with 1 when a line was bad, or with --once when a feed failed.
    """
    config = read_config(config_file)
    if source == STANDARD:
        _ingest_lines(config, output)
        return
    from streamwatch.feeds.subscriptions import load_subscriptions

    subscriptions = load_subscriptions(source)
    if output is Format.csv and not once:
        message = "csv needs --once; without it there is -o json"
        raise typer.BadParameter(message)
    _ingest_feeds(config, subscriptions, output, metrics_port, once=once)


def _ingest_feeds(
    config: Config, subscriptions: Subscriptions, output: Format, metrics_port: int | None, *, once: bool
) -> None:
    from jobs.ingest import visit_feeds
    from streamwatch.cli.ingest_reports import FeedReports, print_reports
    from streamwatch.ingest.connection import connect

    connection, reports = connect(config), FeedReports()
    with stop_event() as stopping, ExitStack() as stack:
        if metrics_port is not None:
            _serve(msgspec.structs.replace(config.metrics, port=metrics_port), reports, stack)
        for report in visit_feeds(config, connection, subscriptions, stopping, once=once):
            reports.add(report)
            if output is Format.json:
                print_reports([report], output)
        interrupted = stopping.is_set()
    if once and output is not Format.json:
        print_reports(reports.last.values(), output)
    if once and interrupted:
        raise typer.Exit(INTERRUPTED)
    if once and any(report.outcome == "failed" for report in reports.last.values()):
        raise typer.Exit(SOMETHING_BAD)


def _serve(config: MetricsConfig, reports: FeedReports, stack: ExitStack) -> None:
    from jobs.endpoint import Endpoint

    endpoint = Endpoint(config, reports.metrics.registry, reports.status)
    stack.callback(endpoint.close)
    note(f"figures at {endpoint.address}/metrics")


def _ingest_lines(config: Config, output: Format) -> None:
    """Send the posts on standard input until it ends, or until somebody ends us."""
    from jobs.replay import Feed
    from streamwatch.ingest.connection import connect

    interrupted = False
    reader = PostReader(datetime.now(UTC), lambda line: note(f"stdin:{line.number}: {line.reason}"))
    started = time.monotonic()
    with Feed(config, connect(config)) as feed, open_input(STANDARD) as file:
        try:
            with sigterm_interrupts():
                for post in reader.posts(_lines_as_they_come(read_lines(file), reader, config.score.max_future_s)):
                    feed.send(post)
        except KeyboardInterrupt:
            interrupted = True
        feed.flush()
        figures = {"posts": feed.posts, "bad_lines": reader.bad_lines}
    emit_record(figures | {"seconds": round(time.monotonic() - started, 2)}, output)
    if dropped := describe_dropped(reader.dropped):
        note(dropped)
    if interrupted or reader.bad_lines:
        raise typer.Exit(INTERRUPTED if interrupted else SOMETHING_BAD)


def _lines_as_they_come(lines: Iterator[Line], reader: PostReader, max_future_s: float) -> Iterator[Line]:
    """Yield lines, and let the reader's future begin when each comes: standard input may last for days."""
    for line in lines:
        reader.latest = datetime.now(UTC) + timedelta(seconds=max_future_s)
        yield line
