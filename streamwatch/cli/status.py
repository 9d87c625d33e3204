"""`streamwatch status`: how the monitor is, and how far each stage is behind."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import cell, emit, emit_json, note
from streamwatch.errors import BrokerError

if TYPE_CHECKING:
    from streamwatch.config import Config, MetricsConfig
    from streamwatch.ingest.connection import Connection

EXAMPLE = "Example: streamwatch status -o json"
COLUMNS = ("stage", "state", "stream", "lag", "committed", "end", "restarts", "watermark", "last_error")
UNHEALTHY = 1


def command(*, output: Output = Format.table, config_file: ConfigFile = None) -> None:
    """Show how each stage is, and its lag.

    Restarts, watermark, throughput, dead letters, open alerts and what the watchdog says as well.

    Ends with 1 when no monitor runs or a stage is not up.
    """
    config = read_config(config_file)
    from jobs.monitor_process import fetch_status

    monitor = fetch_status(config.metrics)
    broker = _broker_view(config)
    if monitor is None and output is not Format.json:
        note(not_running(config.metrics))
    if output is Format.json:
        emit_json({"running": monitor is not None, "monitor": monitor, **broker})
    else:
        rows = stage_rows(monitor or {}, broker["lag"])
        emit(rows, COLUMNS, output)
        if output is Format.table and monitor is not None:
            for line in (_summary_line(monitor, broker), *watch_lines(monitor)):
                note(line)
        if broker["broker_error"]:
            raise BrokerError(broker["broker_error"])
    if monitor is None or not monitor.get("healthy", True):
        raise typer.Exit(UNHEALTHY)


def stage_rows(monitor: dict[str, Any], lag: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each stage and stream: how the stage is, beside how far it is behind there.

    >>> lag = [{"stage": "score", "stream": "streamwatch.posts", "committed": 7, "end": 9, "lag": 2}]
    >>> rows = stage_rows({"stages": {"SCORE-0": {"state": "up"}, "WATCH": {"state": "up"}}}, lag)
    >>> [(row["stage"], row["state"], row.get("lag")) for row in rows]
    [('SCORE-0', 'up', 2), ('WATCH', 'up', None)]
    """
    stages: dict[str, dict[str, Any]] = dict(monitor.get("stages", {}))
    behind = {stage: [at for at in lag if _same_stage(at["stage"], stage)] for stage in stages}
    absent = [at for at in lag if not any(_same_stage(at["stage"], stage) for stage in stages)]
    rows: list[dict[str, Any]] = []
    for stage, figures in stages.items():
        known = {"state": "unknown", **figures, "watermark": _instant(figures.get("watermark"))}
        first, *rest = behind[stage] or [{}]
        rows += [{**first, **known, "stage": stage}, *({**at, "stage": stage} for at in rest)]
    return rows + [{**at, "state": "absent"} for at in absent]


def _same_stage(name: str, stage: str) -> bool:
    return stage.lower() == name.lower() or stage.lower().startswith(f"{name.lower()}-")


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _broker_view(config: Config) -> dict[str, Any]:
    """Return what the broker alone can tell: the lag of each stage, and how many dead letters lie there."""
    from streamwatch.ingest.connection import connect
    from streamwatch.ingest.progress import Progress

    try:
        connection = connect(config)
        with Progress(connection) as progress:
            lag = [dict(at._asdict()) for at in progress.stages()]
        return {"lag": lag, "dead_letters": count_dead_letters(config, connection), "broker_error": None}
    except BrokerError as error:
        return {"lag": [], "dead_letters": None, "broker_error": str(error)}


def count_dead_letters(config: Config, connection: Connection) -> int:
    """Return how many messages lie on the stream of dead letters; one may lie there twice after a crash."""
    from contextlib import closing

    from kafka.structs import TopicPartition

    from streamwatch.ingest.admin import stream_partitions
    from streamwatch.streams import stream_name

    stream = stream_name("dead-letters", config.kafka.prefix)
    places = [TopicPartition(stream, number) for number in range(stream_partitions(connection, [stream])[stream])]
    with closing(connection.consumer(enable_auto_commit=False)) as consumer:
        ends, beginnings = consumer.end_offsets(places), consumer.beginning_offsets(places)
    return sum(ends[place] - beginnings[place] for place in places)


def _summary_line(monitor: dict[str, Any], broker: dict[str, Any]) -> str:
    health = "healthy" if monitor.get("healthy", True) else "NOT HEALTHY"
    speed = monitor.get("throughput_posts_s", 0.0)
    return (
        f"{health}, {speed:,.1f} posts/s, {broker['dead_letters'] or 0:,} dead letters, pid {monitor.get('pid', '-')}"
    )


def watch_lines(monitor: dict[str, Any]) -> list[str]:
    """Return what WATCH and the watchdog say: open alerts, late posts, and what is wrong with the monitor itself.

    >>> wrong = {"alert": "StreamwatchSourceSilent", "group": "wire", "since": "2026-01-05T09:00:00+00:00"}
    >>> stages = {"WATCH": {"open_alerts": 2, "late_posts": 1_250}}
    >>> watch_lines({"stages": stages, "watchdog": [wrong | {"reason": "wire has brought nothing."}]})
    ['2 alerts open, 1,250 posts late', 'watchdog since 2026-01-05 09:00: wire has brought nothing.']
    """
    watch = monitor.get("stages", {}).get("WATCH", {})
    known = watch.get("open_alerts") is not None
    lines = [f"{watch['open_alerts']:,} alerts open, {watch.get('late_posts', 0):,} posts late"] if known else []
    return lines + [
        f"watchdog since {cell(_instant(wrong['since']))}: {wrong['reason']}" for wrong in monitor.get("watchdog", [])
    ]


def not_running(metrics: MetricsConfig) -> str:
    """Return what to say when no monitor answers."""
    return f"no monitor runs at http://{metrics.host}:{metrics.port}: start one with `streamwatch run`"
