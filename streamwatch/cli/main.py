"""The command line of streamwatch: its commands, and what it says when one fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from streamwatch import __version__
from streamwatch.cli import (
    alerts,
    backtest,
    broker,
    deadletters,
    demo,
    desk,
    explain,
    ingest,
    labels,
    models,
    prove,
    query,
    replay,
    run,
    score,
    spikes,
    status,
    windows,
)
from streamwatch.cli import eval as evaluating
from streamwatch.cli.output import printable
from streamwatch.errors import ConfigError, StreamwatchError
from streamwatch.logs import configure_logging, remove_logging

COMMANDS = {
    "demo": demo,
    "run": run,
    "replay": replay,
    "ingest": ingest,
    "score": score,
    "eval": evaluating,
    "explain": explain,
    "query": query,
    "alerts": alerts,
    "windows": windows,
    "spikes": spikes,
    "prove": prove,
    "backtest": backtest,
    "status": status,
    "broker": broker,
}

SERVICES = ("run", "broker", "ingest")
"""These run for long, and log what they do."""

log = logging.getLogger(__name__)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"streamwatch {__version__}")
        raise typer.Exit


def options(
    ctx: typer.Context,
    *,
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Configuration; see README, Configuration.")
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log more, and tracebacks.")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", envvar="STREAMWATCH_LOG_JSON", help="Log JSON objects, one a line.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Watch what is written about companies and markets: scores, windows, alerts."""
    quiet = logging.INFO if ctx.invoked_subcommand in SERVICES else logging.WARNING
    configure_logging(sys.stderr, log_json, level=logging.DEBUG if verbose else quiet)


def build_app() -> typer.Typer:
    """Return the program with all its commands."""
    app = typer.Typer(
        name="streamwatch",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(options)
    for name, module in COMMANDS.items():
        app.command(name, epilog=module.EXAMPLE)(module.command)
    app.add_typer(deadletters.build_app(), name="dead-letters")
    app.add_typer(models.build_app(), name="models")
    app.add_typer(labels.build_app(), name="labels")
    app.add_typer(desk.build_app(), name="desk")
    return app


def run_command(args: Sequence[str]) -> int:
    """Run one command line and return its exit status; whatever fails is one line on stderr."""
    try:
        build_app()(list(args), prog_name="streamwatch")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except ConfigError as error:
        return _fail(error, status=2)
    except StreamwatchError as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else error)
    except Exception as error:
        return _fail(f"unexpected {type(error).__name__}: {error}; `streamwatch -v ...` shows where")
    finally:
        remove_logging()
    return 0


def _fail(error: object, *, status: int = 1) -> int:
    text = printable(" ".join(str(error).split()))
    colour = sys.stderr.isatty()
    sys.stderr.write(f"\033[31merror: {text}\033[0m\n" if colour else f"error: {text}\n")
    log.debug("failed", exc_info=True)
    return status


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
