"""`streamwatch demo`: a market day through the real chain, on the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import cell, emit_record, note, printable, stderr_console
from streamwatch.cli.replay import INTERRUPTED, read_speed
from streamwatch.cli.stopping import stop_event
from streamwatch.errors import StageError

if TYPE_CHECKING:
    from rich.console import Console

    from streamwatch.cli.demo_outcome import Outcome
    from streamwatch.cli.demo_view import DemoView
    from streamwatch.records import Alert

EXAMPLE = "Example: streamwatch demo --once"
DAY = date(2026, 1, 5)
"""The same day each time: the same number and seed give the same posts."""
PLAIN_EVERY_S = 5.0


class Display(Protocol):
    """Where the demo shows itself."""

    def __call__(self, view: DemoView) -> None:
        """Show the view as it is now."""


def command(
    *,
    once: Annotated[bool, typer.Option("--once", help="End by itself, with a summary.")] = False,
    posts: Annotated[int, typer.Option(min=200, help="How many posts the day has.")] = 3_000,
    speed: Annotated[str, typer.Option(metavar="N|max", help="Times as fast as a real day.")] = "",
    seed: Annotated[int, typer.Option(help="Another number, another day.")] = 7,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Watch a made-up market day, live.

    Broker, model and monitor are the real ones, in a folder of their own; only the posts are made up. With --once it
    ends with 0 if the day's crisis was caught and every post is in the table exactly once.
    """
    factor = read_speed(speed or ("480" if once else "300"))
    config = read_config(config_file)
    from streamwatch.cli.demo_run import Demo, Stopped
    from streamwatch.ingest.marketday import market_day

    day = market_day(DAY, posts=posts, seed=seed)

    with stop_event() as stopping:
        try:
            with display() as show, Demo(config, day, posts=posts, refresh=show, stopping=stopping) as demo:
                demo.run(factor)
                if not once:
                    demo.view.phase = "done, Ctrl-C ends"
                    demo.watch()
                outcome = demo.finish()
        except Stopped:
            note("stopped before the day was over")
            raise typer.Exit(INTERRUPTED) from None
    report(outcome, output)
    if faults := outcome.faults():
        message = f"{'; '.join(faults)}: the monitor's log is {demo.config.state_dir / 'monitor.log'}"
        raise StageError(message)


def report(outcome: Outcome, output: Format) -> None:
    """Print the summary."""
    import msgspec

    from streamwatch.cli.demo_outcome import outcome_lines

    if output is Format.table:
        typer.echo("\n".join(outcome_lines(outcome)))
    else:
        emit_record(msgspec.structs.asdict(outcome), output)


@contextmanager
def display() -> Iterator[Display]:
    """Give the live screen where stderr is a terminal, else plain lines of progress."""
    console = stderr_console()
    if not console.is_terminal:
        yield PlainDisplay()
        return
    with live_display(console) as show:
        yield show


@contextmanager
def live_display(console: Console) -> Iterator[Display]:
    """Give a full screen that goes away at the end, so that the summary stands where the command was typed."""
    from rich.live import Live
    from rich.text import Text

    from streamwatch.cli.demo_screen import draw

    with Live(Text("starting the broker"), console=console, screen=True, auto_refresh=False) as live:
        yield lambda view: live.update(draw(view, *console.size), refresh=True)


class PlainDisplay:
    """Lines of progress every few seconds, and one for every alert that opens or ends."""

    def __init__(self) -> None:
        self._next = 0.0
        self._phase = ""
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, view: DemoView) -> None:
        """Say what is new."""
        with self._lock:
            for alert in list(view.alerts.values()):
                if self._known.get(alert.fingerprint) != alert.status:
                    self._known[alert.fingerprint] = alert.status
                    note(alert_line(alert))
            if view.phase != self._phase or time.monotonic() >= self._next:
                self._phase, self._next = view.phase, time.monotonic() + PLAIN_EVERY_S
                note(progress_line(view))


def progress_line(view: DemoView) -> str:
    """Return the view in one line."""
    counts = view.counts
    lag = sum(stage.lag or 0 for stage in view.stages)
    speed = view.speeds[-1] if view.speeds else 0.0
    ended = "".join(f", {stage.name} {stage.state} after {stage.restarts} restarts" for stage in view.troubled())
    return (
        f"{view.elapsed_s:5.0f} s  {view.phase}: sent {view.sent:,} of {view.total:,}, scored {counts.scored:,}, "
        f"stored {counts.archived:,}; {speed:,.0f} posts/s, lag {lag:,}, watermark {cell(view.watermark)}, "
        f"{counts.windows:,} windows{ended}"
    )


def alert_line(alert: Alert) -> str:
    """Return an alert in one line, with the post that speaks loudest."""
    state = "ALERT" if alert.status == "firing" else "ended"
    until = f" to {cell(alert.ended_at)}" if alert.ended_at else ""
    said = f': "{printable(alert.evidence[0].text)[:100]}"' if alert.evidence else ""
    return (
        f"{state} {alert.severity} {alert.group} ({alert.monitor}) {cell(alert.onset)}{until}, "
        f"{alert.negative} of {alert.count} posts negative{said}"
    )
