"""Alerts to Prometheus Alertmanager: posted, kept alive, resolved (its v2 API, by httpx)."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec

from streamwatch.config import AlertmanagerConfig
from streamwatch.errors import AlertmanagerError, ConfigError
from streamwatch.records import Alert, EvidencePost

logger = logging.getLogger(__name__)

PATH = "/api/v2/alerts"
ALIVE_INTERVALS = 4
"""A firing alert is said to last so many repost intervals: fewer posts lost in a row do not end it."""
FIRST_BACKOFF_S = 0.5
MOST_BACKOFF_S = 15.0
EVIDENCE_CHARS = 200


class Entry:
    """An alert in hand: when it is due, by `time.monotonic()`, and the version that was acknowledged.

    `outdated` are versions whose severity, which is a label, was another: to Alertmanager they are other alerts, and
    they are ended with the next post.
    """

    def __init__(self, alert: Alert) -> None:
        self.alert = alert
        self.due = 0.0
        self.acknowledged: Alert | None = None
        self.outdated: list[Alert] = []

    def take(self, alert: Alert) -> None:
        """Go on with a new version, due at once."""
        if alert.severity != self.alert.severity:
            self.outdated.append(self.alert)
        self.alert = alert
        self.due = 0.0


class Alertmanager:
    """Post alerts in the background; `put` never blocks.

    Alertmanager keeps alerts in memory only, so firing ones are posted again and again, which also outlives its
    restart. A resolved one is posted until it is acknowledged, then forgotten. While nobody answers, everything
    is kept, one line is logged, and it is tried again with back-off.

    Args:
        config: Its address and how often to post again. With an empty address nothing is ever posted.

    Raises:
        ConfigError: The address is no http or https URL.
    """

    def __init__(self, config: AlertmanagerConfig) -> None:
        self._config = config
        self._entries: dict[str, Entry] = {}
        self._changed = threading.Condition()
        self._closing_at: float | None = None
        self._backoff_s = 0.0
        self._retry_at = 0.0
        self._thread: threading.Thread | None = None
        if config.url:
            if httpx.URL(config.url).scheme not in ("http", "https"):
                place = "configuration"
                raise ConfigError(place, "alertmanager.url", config.url, "an http or https URL")
            self._thread = threading.Thread(target=self._run, name="alertmanager", daemon=True)
            self._thread.start()

    def put(self, alert: Alert) -> None:
        """Take an alert, or a new version of one, to post it at once.

        One that is muted is not posted; if it was, before its mute began, it is ended.
        """
        if self._thread is None:
            return
        with self._changed:
            entry = self._entries.get(alert.fingerprint)
            if alert.muted_by and entry is None:
                return
            if alert.muted_by:
                alert = msgspec.structs.replace(alert, status="resolved", ended_at=alert.updated_at)
            if entry is None:
                self._entries[alert.fingerprint] = Entry(alert)
            else:
                entry.take(alert)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many alerts have a version that was not acknowledged yet."""
        with self._changed:
            return sum(entry.acknowledged is not entry.alert for entry in self._entries.values())

    def close(self, timeout_s: float = 5.0) -> None:
        """Post what waits, for so long at most, and stop. Firing alerts end by themselves some intervals later."""
        if self._thread is None:
            return
        with self._changed:
            self._closing_at = time.monotonic() + timeout_s
            self._changed.notify_all()
        self._thread.join(timeout_s + 2 * self._config.timeout_s)
        if self.waiting:
            logger.warning("alerts not acknowledged by Alertmanager", extra={"alerts": self.waiting})

    def _run(self) -> None:
        with httpx.Client(base_url=self._config.url, timeout=self._config.timeout_s) as client:
            while (due := self._next()) is not None:
                versions = [entry.alert for entry in due]
                outdated = [list(entry.outdated) for entry in due]
                try:
                    self._post(client, versions, [alert for alerts in outdated for alert in alerts])
                except (httpx.HTTPError, AlertmanagerError) as error:
                    self._failed(error)
                else:
                    self._acknowledged(due, versions, outdated)

    def _next(self) -> list[Entry] | None:
        """Wait until alerts are due and return them; None when it is time to stop."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._is_over(now):
                    return None
                at = max(self._retry_at, min((entry.due for entry in self._entries.values()), default=math.inf))
                if at <= now:
                    return [entry for entry in self._entries.values() if entry.due <= now]
                at = min(at, self._closing_at or math.inf)
                self._changed.wait(None if at == math.inf else at - now)

    def _is_over(self, now: float) -> bool:
        if self._closing_at is None:
            return False
        idle = all(entry.acknowledged is entry.alert for entry in self._entries.values())
        return idle or now >= self._closing_at

    def _post(self, client: httpx.Client, alerts: Iterable[Alert], outdated: Iterable[Alert]) -> None:
        now = datetime.now(UTC)
        bodies = [post_body(alert, self._ends_at(alert)) for alert in alerts]
        bodies += [post_body(alert, max(now, alert.onset)) for alert in outdated]
        response = client.post(PATH, json=bodies)
        if response.is_client_error and len(bodies) > 1:
            responses = [client.post(PATH, json=[body]) for body in bodies]
        else:
            responses = [response]
        for answer in responses:
            if answer.is_client_error:
                logger.error("Alertmanager refuses an alert", extra={"reason": answer.text[:500]})
            elif not answer.is_success:
                message = f"Alertmanager answers {answer.status_code}"
                raise AlertmanagerError(message)

    def _ends_at(self, alert: Alert) -> datetime:
        """Return when an alert ends: its end, or for a firing one some intervals from now.

        Event time may be long past, as in a replay; Alertmanager's time is the wall clock's.
        """
        alive = timedelta(seconds=ALIVE_INTERVALS * self._config.repost_every_s + self._config.timeout_s)
        return alert.ended_at or max(datetime.now(UTC), alert.onset) + alive

    def _acknowledged(self, entries: list[Entry], versions: list[Alert], outdated: list[list[Alert]]) -> None:
        with self._changed:
            if self._backoff_s:
                logger.info("Alertmanager answers again", extra={"url": self._config.url})
            self._backoff_s = 0.0
            for entry, alert, ended in zip(entries, versions, outdated, strict=True):
                entry.acknowledged = alert
                entry.outdated = entry.outdated[len(ended) :]
                if entry.alert is not alert:
                    continue
                entry.due = time.monotonic() + self._config.repost_every_s
                if alert.status == "resolved":
                    del self._entries[alert.fingerprint]

    def _failed(self, error: Exception) -> None:
        with self._changed:
            if not self._backoff_s:
                extra = {"url": self._config.url, "reason": f"{type(error).__name__}: {error}"}
                logger.warning("Alertmanager does not take alerts, trying again", extra=extra)
            self._backoff_s = min(max(2 * self._backoff_s, FIRST_BACKOFF_S), MOST_BACKOFF_S)
            self._retry_at = time.monotonic() + self._backoff_s


def post_body(alert: Alert, ends_at: datetime) -> dict[str, Any]:
    """Return an alert as the v2 API takes it: its labels name it, its annotations tell it.

    Alerts of one `incident` are one page where a route of Alertmanager groups by that label.
    """
    alert_labels = {
        "alertname": alert.monitor,
        "group": alert.group,
        "group_by": alert.group_by,
        "severity": alert.severity,
        "incident": alert.incident,
        "fingerprint": alert.fingerprint,
    }
    annotations = {
        "seen": f"{alert.seen:g}",
        "expected": f"{alert.expected:.3g}",
        "posts": f"{alert.count} ({alert.negative} negative)",
        "window": f"{alert.window_start.isoformat()} to {alert.window_end.isoformat()}",
        "brief": alert.brief.en,
        "brief_zh": alert.brief.zh,
        "corroboration": alert.corroboration if alert.spread.sampled else "",
        "reasons": " ".join(alert.reasons),
        "related": " ".join(alert.related),
        "evidence": "\n".join(_evidence_line(post) for post in alert.evidence),
        **alert.annotations,
    }
    return {
        "labels": {name: text for name, text in alert_labels.items() if text},
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": alert.onset.isoformat(),
        "endsAt": ends_at.isoformat(),
    }


def _evidence_line(post: EvidencePost) -> str:
    copies = f" ({post.copies} alike)" if post.copies > 1 else ""
    return f"{post.source}{copies}: {post.text[:EVIDENCE_CHARS]}"
