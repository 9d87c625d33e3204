"""`streamwatch backtest`: what a changed monitors file would have told, beside the one in force."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from streamwatch.cli.options import ConfigFile, Format, From, Output, To, parse_instant, read_config
from streamwatch.cli.output import progress_bar
from streamwatch.cli.stopping import sigterm_interrupts

EXAMPLE = "Example: streamwatch backtest changed.toml --from 2015-08-01 --to 2015-09-01"


def command(
    monitors: Annotated[Path, typer.Argument(metavar="MONITORS.toml", help="The monitors file to try.")],
    *,
    from_time: From = "",
    to_time: To = "",
    against: Annotated[
        Path | None, typer.Option(metavar="CURRENT.toml", help="Compare with this file. [default: the one in force]")
    ] = None,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Try a monitors file on stored posts, and say which alerts change.

    Both files see the same posts, and before --from as many as their baselines need: four half-lives, or all
    there is. An alert is new, gone, told earlier or later, of another severity, or the same.
    """
    from streamwatch.cli.backtest_view import show
    from streamwatch.store.tables import Tables
    from streamwatch.store.trial import try_monitors
    from streamwatch.watch.monitors import load_monitors

    config, now = read_config(config_file), datetime.now(UTC)
    changed, current = load_monitors(monitors), load_monitors(against or config.monitors.file)
    start, end = parse_instant(from_time, now), parse_instant(to_time, now)
    if start and end and start >= end:
        message = f"--from {from_time} is not before --to {to_time}"
        raise typer.BadParameter(message)
    with sigterm_interrupts(), progress_bar("{task.completed:,} of {task.total:,} posts") as bar:
        task = bar.add_task("Watching", total=0)
        trial = try_monitors(
            Tables(config.store_url()),
            changed,
            current,
            config.watch,
            start=start,
            end=end,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    show(trial, output)
