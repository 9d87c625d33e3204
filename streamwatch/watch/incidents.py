"""Incidents: alerts that belong together, such as those of a company and of one of its topics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from streamwatch.records import Alert, Provenance
from streamwatch.watch.groups import group_parts

LEADING = ("entity", "topic")
"""What makes alerts one incident: the same entity, or without one the same topic."""


def incident_of(group_by: str, group: str) -> str:
    """Return what an alert is about, whatever its monitor.

    >>> incident_of("entity|topic", "AAPL|earnings"), incident_of("entity", "AAPL"), incident_of("lang", "en")
    ('AAPL', 'AAPL', 'en')
    """
    parts = group_parts(group_by, group)
    return next((parts[name] for name in LEADING if name in parts), group)


class Incidents:
    """The alerts that are firing, as they were last told; those of one incident name each other.

    When an alert joins an incident, the others are told again with its fingerprint, and with the provenance of both:
    that they belong together follows from the posts of each. Each keeps the names of all that were open beside it at
    any time.

    Args:
        firing: The alerts that are firing.
    """

    def __init__(self, firing: Iterable[Alert] = ()) -> None:
        self.firing = {alert.fingerprint: alert for alert in firing}

    def relate(self, told: Sequence[Alert]) -> list[Alert]:
        """Return what is told with the names of the related, and the alerts that must be told again for it.

        Args:
            told: By `updated_at`; the result is by `updated_at`, monitor and group.
        """
        return [
            alert
            for _, now in groupby(told, key=lambda alert: alert.updated_at)
            for alert in sorted(self._relate_now(list(now)), key=lambda alert: (alert.monitor, alert.group))
        ]

    def _relate_now(self, now: Sequence[Alert]) -> Iterator[Alert]:
        fresh = {alert.fingerprint: self._with_known(alert) for alert in now}
        for name, alert in fresh.items():
            if alert.status == "resolved":
                self.firing.pop(name, None)
                yield alert
            else:
                self.firing[name] = alert
        for incident in sorted({alert.incident for alert in fresh.values() if alert.status == "firing"}):
            members = sorted(name for name, alert in self.firing.items() if alert.incident == incident)
            joining = [fresh[name] for name in members if name in fresh]
            for name in members:
                alert = self.firing[name]
                related = sorted({*alert.related, *members} - {name})
                if related != alert.related:
                    alert = msgspec.structs.replace(alert, related=related)
                    alert = self.firing[name] = alert if name in fresh else _again(alert, joining)
                    yield alert
                elif name in fresh:
                    yield alert

    def _with_known(self, alert: Alert) -> Alert:
        known = self.firing.get(alert.fingerprint)
        return msgspec.structs.replace(alert, related=known.related) if known else alert


def _again(alert: Alert, joining: Sequence[Alert]) -> Alert:
    """Return an alert as it is told again because others joined its incident."""
    sources = [each.provenance for each in (alert, *joining)]
    offsets: dict[str, int] = {}
    for source in sources:
        offsets |= {place: max(offset, offsets.get(place, 0)) for place, offset in source.source_offsets.items()}
    versions = {version for source in sources for version in source.model_version.split(",") if version}
    provenance = Provenance(
        model_version=",".join(sorted(versions)),
        monitors_hash=joining[0].provenance.monitors_hash,
        watermark=joining[0].updated_at,
        source_offsets=dict(sorted(offsets.items(), key=lambda item: int(item[0]))),
    )
    return msgspec.structs.replace(alert, provenance=provenance, updated_at=joining[0].updated_at)
