"""ARCHIVE: from the streams to the Delta tables.

Rows gather until there are enough or they are old enough; then each table gets one commit that carries the last offsets
in it, and only then are the streams' positions committed. A crash between the two reads some messages again, and the
offsets in the tables say which rows of them are already there.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from jobs.stage import Stage
from streamwatch.config import Config
from streamwatch.errors import StreamMismatch
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.deadletters import dead_letter_message
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.metrics import ArchiveMetrics
from streamwatch.store.archive import Archive
from streamwatch.store.tables import Tables
from streamwatch.streams import Kind, group_name, stream_name

log = logging.getLogger(__name__)

POLL_S = 0.5
MESSAGES_PER_POLL = 500
KINDS: tuple[Kind, ...] = ("scored", "windows", "alerts", "labels")


class ArchiveStage(Stage[ArchiveMetrics]):
    """The one writer of the tables.

    Args:
        config: Where the tables are, when they are written and tidied.
        connection: How to reach Kafka.
    """

    def __init__(self, config: Config, connection: Connection) -> None:
        super().__init__(ArchiveMetrics())
        self._config = config
        self._connection = connection

    def open(self) -> None:
        """Open the tables and go to the committed positions."""
        prefix = self._config.kafka.prefix
        self._kinds = {stream_name(kind, prefix): kind for kind in KINDS}
        self._dead_letters = stream_name("dead-letters", prefix)
        self._archive = Archive(Tables(self._config.store_url()), self._config.store, prefix=prefix)
        self._refuse_new_posts_stream(stream_name("posts", prefix))
        self._sink = Sink(self._connection)
        self._reader = StreamReader(self._connection, list(self._kinds), group_name("archive", prefix))
        self._reader.seek({place: committed.offset for place, committed in self._reader.committed().items()})

    def step(self) -> None:
        """Buffer what arrived; write it when it is due."""
        for taken, messages in self._reader.poll(POLL_S, MESSAGES_PER_POLL).items():
            for letter in self._archive.add(self._kinds[taken.topic], taken.partition, messages):
                value, headers = dead_letter_message(letter, "ARCHIVE")
                self._sink.send(self._dead_letters, value, headers=headers)
                self.metrics.dead_letters.inc()
                log.warning("dead letter", extra={"kafka": letter.place(), "reason": letter.reason})
        self.metrics.buffered.set(self._archive.rows_buffered)
        if self._archive.due(time.monotonic()):
            self._flush()

    def drain(self) -> None:
        """Write and commit what is buffered."""
        self._flush()

    def close(self) -> None:
        """Leave Kafka."""
        self._reader.close()
        self._sink.close()

    def figures(self) -> dict[str, Any]:
        """Return what `streamwatch status` shows of the stage."""
        archive = getattr(self, "_archive", None)
        return {"buffered_rows": archive.rows_buffered if archive else 0}

    def _flush(self) -> None:
        started = time.monotonic()
        positions = self._reader.positions()
        written = self._archive.flush()
        self._sink.flush()
        self._reader.commit(positions)
        for table, rows in written.items():
            self.metrics.rows.labels(table=table).inc(rows)
        self._archive.tidy()
        if written:
            self.metrics.flush.observe(time.monotonic() - started)

    def _refuse_new_posts_stream(self, posts: str) -> None:
        """Stop when the posts stream was made anew: its posts would pass for known ones, their offsets being low."""
        with StreamReader(self._connection, [posts], group_name("archive", self._config.kafka.prefix)) as reader:
            ends = {place.partition: end for place, end in reader.end_offsets().items()}
        for partition, last in self._archive.applied().items():
            if last >= ends.get(partition, 0):
                message = (
                    f"{posts}[{partition}] ends at offset {ends.get(partition, 0)}, and the tables hold posts up to "
                    f"{last}: the stream was deleted and made again; start with a new store.url (and kafka.prefix)"
                )
                raise StreamMismatch(message)
