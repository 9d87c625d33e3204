"""`streamwatch broker`: the local Kafka-protocol broker, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from streamwatch.cli.options import ConfigFile, read_config
from streamwatch.cli.output import note
from streamwatch.cli.stopping import stop_event
from streamwatch.errors import BrokerError

EXAMPLE = "Example: KAFKA_HOME=/opt/kafka streamwatch broker --port 9092"
LOOK_EVERY_S = 0.5


def command(
    *,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on loopback; 0 takes a free one.")] = 0,
    config_file: ConfigFile = None,
) -> None:
    """Start a Kafka broker on this machine.

    `run`, `replay` and the others find it, until Ctrl-C or SIGTERM. With KAFKA_HOME set it is that Apache Kafka,
    else the small one of the extra `local`, which is for trying out.
    """
    from streamwatch.ingest.broker import running_broker, start_local_broker

    config = read_config(config_file)
    if address := running_broker(config.state_dir):
        message = f"a broker of {config.state_dir} is already running at {address}: use it, or stop it first"
        raise BrokerError(message)
    if config.kafka.bootstrap_servers:
        note(f"kafka.bootstrap_servers is {config.kafka.bootstrap_servers}: the other commands will use that, not this")
    home = os.environ.get("KAFKA_HOME")
    with (
        stop_event() as stopped,
        start_local_broker(config.state_dir, Path(home) if home else None, port=port) as broker,
    ):
        typer.echo(
            f"{broker.kind} is up at {broker.bootstrap_servers}, data in {config.state_dir}. Stop it with Ctrl-C."
        )
        while not stopped.wait(LOOK_EVERY_S):
            if not broker.alive():
                message = f"{broker.kind} ended by itself: see its log in {config.state_dir}"
                raise BrokerError(message)
