"""The monitors file in force, and those that the desk put into force: every version is kept, and can come back."""

from __future__ import annotations

from datetime import datetime
from importlib import resources
from pathlib import Path

from msgspec import Struct

from streamwatch.config import Config
from streamwatch.desk.access import Principal
from streamwatch.desk.journal import Journal, write_private
from streamwatch.errors import StoreError
from streamwatch.watch.monitors import DEFAULT_FILE, Monitors, parse_monitors

PLACE = "monitors.toml"


class MonitorVersion(Struct, frozen=True, kw_only=True):
    """A monitors file that somebody put into force; `number` counts from 1 within the tenant."""

    tenant: str
    number: int
    hash: str
    text: str
    activated_at: datetime
    activated_by: str
    note: str = ""


class MonitorFiles:
    """The monitors files of a state folder: `desk/monitors.jsonl` with every version, each tenant's own.

    The file in force of a tenant is `desk/monitors/<tenant>.toml`; `streamwatch run` reads that of `monitors.file`,
    so name this one there to run what the desk puts into force.

    Args:
        config: Where the state folder is, and which file is in force before any other.
    """

    def __init__(self, config: Config) -> None:
        self._first = config.monitors.file
        self._folder = config.state_dir / "desk" / "monitors"
        self._versions = Journal(config.state_dir / "desk" / "monitors.jsonl", MonitorVersion)

    def versions(self, tenant: str) -> list[MonitorVersion]:
        """Return what a tenant put into force, the newest last."""
        return [version for version in self._versions.records() if version.tenant == tenant]

    def text(self, tenant: str) -> str:
        """Return the text of the file in force.

        Raises:
            StoreError: It cannot be read.
        """
        versions = self.versions(tenant)
        if versions:
            return versions[-1].text
        source = self._first or resources.files("streamwatch.watch").joinpath(DEFAULT_FILE)
        try:
            return source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{source}: {error}"
            raise StoreError(message) from error

    def file(self, tenant: str) -> Path:
        """Return where the file that a tenant put into force is."""
        return self._folder / f"{tenant}.toml"

    def activate(self, text: str, by: Principal, now: datetime, note: str = "") -> MonitorVersion:
        """Put a file into force.

        Raises:
            ConfigError: Something in it is wrong; it says what and where.
        """
        checked = parse_monitors(text, PLACE)
        version = MonitorVersion(
            tenant=by.tenant,
            number=len(self.versions(by.tenant)) + 1,
            hash=checked.hash,
            text=text,
            activated_at=now,
            activated_by=by.name,
            note=note,
        )
        write_private(self.file(by.tenant), text.encode())
        self._versions.append(version)
        return version


def read_monitors(text: str) -> Monitors:
    """Return what a text declares.

    Raises:
        ConfigError: Something in it is wrong; it says what and where.
    """
    return parse_monitors(text, PLACE)
