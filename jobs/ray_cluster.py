"""The Ray cluster that the monitor runs on: one of its own, or the one around it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from streamwatch.config import Config

OBJECT_STORE_BYTES = 256 * 1024 * 1024
"""Micro-batches of texts pass through it, a few at a time."""


@contextmanager
def ray_cluster(config: Config) -> Iterator[None]:
    """Connect to Ray, and leave it again at the end.

    With `ray.address` "local" a cluster of one node is started, on loopback, and stopped again.
    """
    # Nothing is told to others unasked, logs are plain text, and CPU-only actors keep quiet about accelerators.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if config.ray.address == "local":
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, config.serve.replicas + 1),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            logging_level=logging.WARNING,
        )
    else:
        ray.init(address=config.ray.address, logging_level=logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()
