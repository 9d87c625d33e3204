"""Baskets: named lists of entities, each tenant's its own; every change is kept."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from msgspec import Struct

from streamwatch.desk.access import Principal
from streamwatch.desk.journal import Journal


class BasketChange(Struct, frozen=True, kw_only=True):
    """What somebody made of a basket; without entities it is gone."""

    tenant: str
    name: str
    entities: list[str]
    changed_at: datetime
    changed_by: str


class Baskets:
    """The baskets of a state folder, in `desk/baskets.jsonl`."""

    def __init__(self, state_dir: Path) -> None:
        self._changes = Journal(state_dir / "desk" / "baskets.jsonl", BasketChange)

    def of(self, tenant: str) -> dict[str, BasketChange]:
        """Return a tenant's baskets by name."""
        found = {change.name: change for change in self._changes.records() if change.tenant == tenant}
        return {name: found[name] for name in sorted(found) if found[name].entities}

    def put(self, name: str, entities: list[str], by: Principal, now: datetime) -> BasketChange:
        """Set what a basket holds; an empty list takes it away."""
        distinct = list(dict.fromkeys(entities))
        change = BasketChange(tenant=by.tenant, name=name, entities=distinct, changed_at=now, changed_by=by.name)
        self._changes.append(change)
        return change
