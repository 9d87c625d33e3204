"""`streamwatch run`: the monitor, in the foreground."""

from __future__ import annotations

import typer

from streamwatch.cli.options import ConfigFile, read_config

EXAMPLE = "Example: streamwatch --config streamwatch.toml run"


def command(*, config_file: ConfigFile = None) -> None:
    """Run the monitor, in the foreground.

    It scores what arrives, watches it and stores it. It prints one line when every stage is up.
    Ctrl-C or SIGTERM drains, commits and ends it with 0.
    """
    config = read_config(config_file)
    from jobs.monitor import run

    raise typer.Exit(run(config))
