"""The desk of one state folder and store: all that its routes read and change."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timedelta

from streamwatch.config import Config
from streamwatch.desk.access import Tokens
from streamwatch.desk.alerts import AlertBoard
from streamwatch.desk.answers import Answers
from streamwatch.desk.attention import Attention
from streamwatch.desk.audit import AuditLog
from streamwatch.desk.baskets import Baskets
from streamwatch.desk.intake import Intake
from streamwatch.desk.label_desk import LabelDesk
from streamwatch.desk.limits import RateLimit
from streamwatch.desk.live_reader import LiveReader
from streamwatch.desk.monitor_files import MonitorFiles
from streamwatch.desk.notes import Notes
from streamwatch.desk.on_demand import OnDemand, Score
from streamwatch.desk.rollups import POST_COLUMNS, Rollups
from streamwatch.desk.search import PostSearch
from streamwatch.desk.sessions import Sessions
from streamwatch.desk.sql import SqlLimits, SqlRunner
from streamwatch.desk.trials import TrialRunner
from streamwatch.errors import StoreError
from streamwatch.ingest.connection import Connection
from streamwatch.store.follower import NewRows, TableFollower
from streamwatch.store.tables import Tables

log = logging.getLogger(__name__)

TRIAL_TIMEOUT_S = 300.0


class Desk:
    """What the desk knows, and keeps up to date.

    Args:
        config: Where the state folder and the tables are, and the desk's limits.
        connection: To Kafka; without it nothing is live, and no post can be sent.
        score: The scorer; without it nothing is scored on demand.

    Attributes:
        ready: Whether what is stored was read once.
    """

    def __init__(self, config: Config, connection: Connection | None = None, score: Score | None = None) -> None:
        desk = config.desk
        self.config = config
        self.tables = Tables(config.store_url())
        self.tokens = Tokens(config.state_dir)
        self.sessions = Sessions(config.state_dir, self.tokens, timedelta(hours=desk.session_h))
        self.audit = AuditLog(config.state_dir)
        self.limit = RateLimit(desk.requests_per_s, desk.burst)
        self.notes = Notes(config.state_dir)
        self.attention = Attention(config.state_dir)
        self.baskets = Baskets(config.state_dir)
        self.posts = TableFollower(self.tables, "posts")
        self.search = PostSearch(self.posts)
        self.rollups = Rollups()
        self._new_posts = NewRows(self.posts)
        self._alerts = TableFollower(self.tables, "alerts")
        self.alerts = AlertBoard(self._alerts, self.notes)
        self._labels = TableFollower(self.tables, "labels")
        self.labels = LabelDesk(connection, self.posts, self._labels, desk.agreeing)
        self.answers = Answers()
        self.sql = SqlRunner(config.store_url(), SqlLimits(desk.sql_timeout_s, desk.sql_rows, desk.sql_memory_mb))
        self.monitors = MonitorFiles(config)
        self.trials = TrialRunner(TRIAL_TIMEOUT_S)
        self.ready = False
        self.live = LiveReader(connection, desk.live_backlog) if connection else None
        self.intake = Intake(connection, self.search, config.score.max_future_s) if connection else None
        self.on_demand = OnDemand(score) if score else None
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    def refresh(self) -> None:
        """Take over what was stored since the last time.

        Raises:
            StoreError: A table cannot be read; what was known before stays.
        """
        self.posts.refresh()
        if self.rollups.version != self.posts.version:
            self.rollups.add(self._new_posts.take(POST_COLUMNS), self.posts.version)
        if self._alerts.refresh() or self.alerts.table_version != self._alerts.version:
            self.alerts.refresh()
        self._labels.refresh()
        self.ready = True

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Keep up to date in threads, until `close`; what is live is published in this loop."""
        if self.live:
            self.live.start(loop)
        self._keeper = threading.Thread(target=self._keep_up, name="desk-refresh", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        """End every thread and process of the desk."""
        self._stopping.set()
        if self.live:
            self.live.close()
        if self.intake:
            self.intake.close()
        self.labels.close()
        if self._keeper:
            self._keeper.join()
        self.sql.close()

    def _keep_up(self) -> None:
        while True:
            try:
                self.refresh()
            except StoreError as error:  # the next look tries again
                log.warning("the desk cannot read the tables", extra={"error": str(error)})
            if self._stopping.wait(self.config.desk.refresh_every_s):
                return
