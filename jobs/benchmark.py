"""Measurements of the whole program, as ratios to what a user would pick instead.

    python -m jobs.benchmark chain            speed, latency and memory of the chain
    python -m jobs.benchmark crash            100 kills, and what was lost or counted twice
    python -m jobs.benchmark desk             answers to 50 users and alerts to 500 subscribers over 10M posts
    python -m jobs.benchmark score FILE       speed of the scorer alone
    python -m jobs.benchmark surges           surges found, how early, at equal false alarms
    python -m jobs.benchmark taxonomy FILE    a desk's own labels, by number of examples
    python -m jobs.benchmark windows          mentions/s and pane closes on one core, at first and after weeks

Absolute figures depend on the machine, so each is taken beside its counterpart, in turns.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jobs.chain_benchmark import Figure, measure_chain
from jobs.crash import differences, run_posts
from streamwatch.cli.options import Format, Output
from streamwatch.cli.output import emit
from streamwatch.ingest.marketday import market_day
from streamwatch.learn.examples import read_examples

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
progress = Console(stderr=True)

Posts = Annotated[int, typer.Option(help="Posts of the generated market day.", min=100)]


@app.command()
def chain(
    posts: Posts = 4_000,
    rounds: Annotated[int, typer.Option(help="Paired rounds; medians are printed.", min=1)] = 3,
    output: Output = Format.table,
) -> None:
    """Measure posts/s of the bare scorer, of the whole chain and of a plain loop; latency at half load; memory.

    Example: python -m jobs.benchmark chain --posts 2000 --rounds 1
    """
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        figures = measure_chain(Path(folder), posts, rounds, say)
    _print("chain", figures.rows(), output)


@app.command()
def crash(
    kills: Annotated[int, typer.Option(help="SIGKILLs, spread over every part.", min=1)] = 100,
    posts: Posts = 6_000,
    seed: Annotated[int, typer.Option(help="Of the moments and the parts.")] = 1,
    output: Output = Format.table,
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
        Figure("posts", calm.posts.height),
        Figure("windows", calm.windows.height),
        Figure("alerts", calm.alerts.height),
        Figure("seconds, undisturbed", round(calm.seconds, 1)),
        Figure("seconds, with kills", round(crashed.seconds, 1)),
        *(Figure(f"kills of {part}", times) for part, times in sorted(crashed.kills.items())),
        Figure("differences", len(found), "; ".join(found)),
    ]
    _print("crash", rows, output)
    raise typer.Exit(1 if found else 0)


@app.command()
def desk(
    posts: Annotated[int, typer.Option(help="Stored posts.", min=1_000)] = 10_000_000,
    users: Annotated[int, typer.Option(help="Who ask about a question a second each.", min=1)] = 50,
    subscribers: Annotated[int, typer.Option(help="Who listen to alerts.", min=1)] = 500,
    seconds: Annotated[float, typer.Option(help="How long.", min=1)] = 30,
    output: Output = Format.table,
) -> None:
    """Measure the desk over many posts: how fast it answers, and whether every subscriber gets every alert.

    Takes about 130 bytes of disk and 300 of memory a post. With KAFKA_HOME set the alerts come over Apache Kafka.

    Example: python -m jobs.benchmark desk --posts 1000000
    """
    from jobs.desk_benchmark import Load, measure_desk

    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        figures = measure_desk(Path(folder), Load(posts, users, subscribers, seconds), say)
    _print("desk", figures, output)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="JSON Lines with a member `text`: what is scored.")],
    texts: Annotated[int, typer.Option(help="Texts of each round.", min=64)] = 512,
    rounds: Annotated[int, typer.Option(help="Paired rounds; medians are printed.", min=1)] = 5,
    labelled: Annotated[
        Path | None, typer.Option(help="JSON Lines with `text` and `sentiment`: macro-F1 on its validation part.")
    ] = None,
    output: Output = Format.table,
) -> None:
    """Measure posts/s of the scorer beside a transformers pipeline and FastEmbed on the same encoder.

    Needs the extra `bench`.

    Example: python -m jobs.benchmark score tweets.jsonl --labelled sentiment.jsonl
    """
    from jobs.score_benchmark import measure_score

    found = [str(json.loads(line)["text"]) for line in file.read_bytes().splitlines()[: texts * rounds]]
    kept = [example for example in read_examples([labelled]) if example.part == "validation"] if labelled else []
    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        figures = measure_score(found, kept, rounds, Path(folder), say)
    _print("score", figures, output)


@app.command("surges")
def find_surges(
    days: Annotated[int, typer.Option(help="Length of the streams; the first four days are for warm-up.", min=6)] = 14,
    keys: Annotated[int, typer.Option(help="Streams.", min=10)] = 2_000,
    surges: Annotated[int, typer.Option(help="Surges, at most one a stream.", min=1)] = 300,
    false_alarms: Annotated[float, typer.Option(help="False alarms a key-day that a detector may give.")] = 0.01,
    seed: Annotated[int, typer.Option(help="Of the streams.")] = 2,
    output: Output = Format.table,
) -> None:
    """Measure surge detectors on made-up streams: detection, delay in panes of five minutes, precision.

    Needs the extra `bench`.

    Example: python -m jobs.benchmark surges --keys 500 --surges 100 --days 8
    """
    from jobs.surge_benchmark import Row, measure_surges
    from jobs.surge_streams import make_streams

    rows = measure_surges(make_streams(days, keys, surges, seed), false_alarms, say)
    emit([row._asdict() for row in rows], Row._fields, output)


@app.command()
def windows(
    keys: Annotated[int, typer.Option(help="Groups.", min=100)] = 100_000,
    days: Annotated[int, typer.Option(help="Simulated days between first and last measurement.", min=1)] = 30,
    rounds: Annotated[int, typer.Option(help="Paired rounds of the speed; medians are printed.", min=1)] = 3,
    output: Output = Format.table,
) -> None:
    """Measure mentions/s through the windows and the time of a pane close, on one core.

    Example: python -m jobs.benchmark windows --keys 10000 --days 2 --rounds 1
    """
    from jobs.windows_benchmark import measure_windows

    _print("windows", measure_windows(keys, days, rounds, say), output)


@app.command()
def taxonomy(
    file: Annotated[Path, typer.Argument(help="JSON Lines with `text` and `intent`, any number of classes.")],
    draws: Annotated[int, typer.Option(help="How often examples are drawn anew.", min=2)] = 5,
    cache: Annotated[
        Path | None, typer.Option(help="Keep the texts' vectors here, for the next run. [default: thrown away]")
    ] = None,
    output: Output = Format.table,
) -> None:
    """Measure a desk's own labels by number of examples, beside logistic regression and nearest centroid.

    Needs the extra `bench`.

    Example: python -m jobs.benchmark taxonomy banking_intent.train.jsonl --cache vectors/
    """
    from jobs.taxonomy_benchmark import measure_taxonomy

    with tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        figures = measure_taxonomy(file, draws, cache or Path(folder), say)
    _print("taxonomy", figures, output)


def say(text: str) -> None:
    """Show on stderr what is being done."""
    progress.print(f"{datetime.now(UTC):%H:%M:%S} {text}", highlight=False)


def _print(benchmark: str, figures: list[Figure], output: Format) -> None:
    machine = f"{os.cpu_count()} cores, {_memory_gib():.0f} GiB, Python {sys.version.split()[0]}"
    rows = [Figure("benchmark", benchmark, machine), *figures]
    emit([row._asdict() for row in rows], Figure._fields, output)


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


if __name__ == "__main__":
    app()
