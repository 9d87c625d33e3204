"""What every stage counts, in Prometheus's terms.

A stage owns one of these classes, on a registry of its own: nothing is registered by importing. The program that
runs the stages gathers their families and serves them together, each sample with its stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
STEP_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
TOKEN_BUCKETS = (64, 256, 1_024, 4_096, 16_384, 65_536)
ROW_BUCKETS = (1, 4, 16, 64, 256, 1_024)


class StageMetrics:
    """The registry of one stage and what it gathers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def families(self) -> list[Metric]:
        """Return every family with its present samples; they can be pickled."""
        return list(self.registry.collect())

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"streamwatch_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"streamwatch_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"streamwatch_{name}", text, buckets=buckets, registry=self.registry)


class ScoreMetrics(StageMetrics):
    """What SCORE counts."""

    def __init__(self) -> None:
        super().__init__()
        self.polled = self._counter("score_polled", "Messages taken from posts")
        self.posts = self._counter("score_posts", "Posts scored and acknowledged by the broker")
        self.dead_letters = self._counter("score_dead_letters", "Messages set aside as dead letters")
        self.retries = self._counter("score_retries", "Calls to the scorer that were sent again")
        self.in_flight = self._gauge("score_in_flight", "Micro-batches sent to the scorer and not yet back")
        self.batch_posts = self._histogram("score_batch_posts", "Posts in a micro-batch", ROW_BUCKETS)
        self.batch_tokens = self._histogram("score_batch_tokens", "Tokens scored for a micro-batch", TOKEN_BUCKETS)
        self.scoring = self._histogram("score_seconds", "From call to answer of the scorer", LATENCY_BUCKETS_S)
        self.latency = self._histogram(
            "append_to_scored_seconds", "From a post's append to its scores' acknowledgement", LATENCY_BUCKETS_S
        )


class WatchMetrics(StageMetrics):
    """What WATCH counts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = self._counter("watch_rows", "Scored posts applied to the panes")
        self.windows = self._counter("watch_windows", "Windows closed")
        self.alerts = self._counter("watch_alerts", "Versions of alerts sent", ["status"])
        self.late = self._gauge("watch_late_posts", "Posts that came after their pane had closed")
        self.dead_letters = self._counter("watch_dead_letters", "Messages set aside as dead letters")
        self.watermark = self._gauge("watch_watermark_timestamp_seconds", "The stage's watermark, in event time")
        self.open_alerts = self._gauge("watch_open_alerts", "Alerts that are firing")
        self.pane_rows = self._gauge("watch_pane_rows", "Rows of partial sums in the open panes")
        self.closing = self._histogram("watch_close_seconds", "Time to close windows and judge them", STEP_BUCKETS_S)
        self.checkpoint = self._histogram("watch_checkpoint_seconds", "Time to write a checkpoint", STEP_BUCKETS_S)
        self.latency = self._histogram(
            "append_to_alert_seconds", "From the append of the closing post to the alert", LATENCY_BUCKETS_S
        )


class ArchiveMetrics(StageMetrics):
    """What ARCHIVE counts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = self._counter("archive_rows", "Rows written to the tables", ["table"])
        self.dead_letters = self._counter("archive_dead_letters", "Messages set aside as dead letters")
        self.buffered = self._gauge("archive_buffered_rows", "Rows waiting for the next write")
        self.flush = self._histogram("archive_flush_seconds", "Time to write what was buffered", STEP_BUCKETS_S)


class IngestMetrics(StageMetrics):
    """What `streamwatch ingest` counts."""

    def __init__(self) -> None:
        super().__init__()
        self.visits = self._counter("ingest_visits", "Visits to a feed, by what came of them", ["feed", "outcome"])
        self.posts = self._counter("ingest_posts", "Posts sent and acknowledged by the broker", ["feed"])
        self.failures = self._gauge("ingest_failures_in_a_row", "How often a feed has failed in a row", ["feed"])
        self.answered = self._gauge("ingest_answered_timestamp_seconds", "When a feed last was as it should", ["feed"])
        self.seconds = self._histogram("ingest_visit_seconds", "Time to fetch and read a feed", LATENCY_BUCKETS_S)


class StageCollector(Collector):
    """Serve the families of several stages as one, each sample labelled with its stage.

    Args:
        families: The last families that each stage reported.
    """

    def __init__(self, families: Mapping[str, list[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield each family once, with the samples of every stage."""
        merged: dict[str, Metric] = {}
        for stage, families in list(self._families.items()):
            for family in families:
                whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                whole.samples += [_with_stage(sample, stage) for sample in family.samples]
        yield from merged.values()


def _with_stage(sample: Sample, stage: str) -> Sample:
    return sample._replace(labels=sample.labels | {"stage": stage})
