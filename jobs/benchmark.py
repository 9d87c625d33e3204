"""Measurements of the whole program, as ratios to what a user would pick instead.

    python -m jobs.benchmark chain            speed, latency and memory of the chain
    python -m jobs.benchmark crash            100 kills, and what was lost or counted twice

Absolute figures depend on the machine, so each is taken beside its counterpart, in turns.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from jobs.chain_benchmark import measure_chain
from jobs.crash import differences, run_posts
from streamwatch.ingest.marketday import market_day

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
progress = Console(stderr=True)

Posts = Annotated[int, typer.Option(help="Posts of the generated market day.", min=100)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]


@app.command()
def chain(
    posts: Posts = 4_000,
    rounds: Annotated[int, typer.Option(help="Paired rounds; medians are printed.", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Measure posts/s of the bare scorer, of the whole chain and of a plain loop; latency at half load; memory.

    Example: python -m jobs.benchmark chain --posts 2000 --rounds 1
    """
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        figures = measure_chain(Path(folder), posts, rounds, say)
    _print("chain", figures.rows(), as_json)


@app.command()
def crash(
    kills: Annotated[int, typer.Option(help="SIGKILLs, spread over every part.", min=1)] = 100,
    posts: Posts = 6_000,
    seed: Annotated[int, typer.Option(help="Of the moments and the parts.")] = 1,
    as_json: Json = False,
) -> None:
    """Kill parts of a loaded monitor at random; compare its tables with an undisturbed run's, row for row.

    With KAFKA_HOME set the broker is killed too: Apache Kafka keeps what it acknowledged.

    Example: KAFKA_HOME=~/kafka python -m jobs.benchmark crash --kills 20
    """
    # Some days ago, so that the heartbeat that closes its windows is not in the future.
    day = (datetime.now(UTC) - timedelta(days=4)).date()
    sent = list(market_day(day, posts=posts, seed=seed).posts)
    home = Path(os.environ["KAFKA_HOME"]) if os.environ.get("KAFKA_HOME") else None
    with tempfile.TemporaryDirectory(prefix="streamwatch-crash-") as folder:
        say("an undisturbed run")
        calm = run_posts(Path(folder) / "calm", sent, kafka_home=home)
        say(f"{kills} kills")
        hurt = Path(folder) / "crashed"
        crashed = run_posts(
            hurt, sent, kills=kills, seed=seed, kafka_home=home, on_kill=lambda part: say(f"killed {part}")
        )
    found = differences(calm, crashed)
    rows = [
        ("posts", calm.posts.height, ""),
        ("windows", calm.windows.height, ""),
        ("alerts", calm.alerts.height, ""),
        ("seconds, undisturbed", round(calm.seconds, 1), ""),
        ("seconds, with kills", round(crashed.seconds, 1), ""),
        *((f"kills of {part}", times, "") for part, times in sorted(crashed.kills.items())),
        ("differences", len(found), "; ".join(found)),
    ]
    _print("crash", rows, as_json)
    raise typer.Exit(1 if found else 0)


def say(text: str) -> None:
    """Show on stderr what is being done."""
    progress.print(f"{datetime.now(UTC):%H:%M:%S} {text}", highlight=False)


def _print(title: str, rows: list[tuple[str, Any, str]], as_json: bool) -> None:
    machine = f"{os.cpu_count()} cores, {_memory_gib():.0f} GiB, Python {sys.version.split()[0]}"
    if as_json:
        print(json.dumps({"benchmark": title, "machine": machine} | {name: value for name, value, _ in rows}, indent=2))
        return
    table = Table(title=f"{title} ({machine})", title_justify="left")
    for column in ("figure", "value", "remark"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for name, value, remark in rows:
        table.add_row(name, f"{value:,}", remark)
    Console().print(table)


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


if __name__ == "__main__":
    app()
