"""The file of feeds: which RSS and Atom feeds to read, how often, and how politely."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from streamwatch import __version__
from streamwatch.errors import ConfigError
from streamwatch.records import ShortText, Ticker
from streamwatch.watch.declared import convert
from streamwatch.watch.monitors import read_duration

HOME = "https://github.com/streamwatch/streamwatch"
DURATIONS = {"interval": timedelta(seconds=10), "max_age": timedelta(seconds=1)}
"""What a feed tells as a duration, and its least value."""
FETCH_DURATIONS = {"min_gap": timedelta(0), "timeout": timedelta(seconds=1)}


class Subscription(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One feed.

    Attributes:
        name: Part of its posts' ids: with another name, all that the feed holds is new once.
        url: Where it is, http or https.
        interval: How often to ask for it.
        source: The `source` of its posts; none: its name.
        lang: The language of its posts; none: what the text shows, else what the feed says.
        tickers: Whom all of its posts are about.
        max_age: Older entries are left out.
        updates: Whether an entry whose text changes is a new post; else only the first text of an entry is one.
        private: Whether it may be at an address of one's own network, and lead there.
    """

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    url: Annotated[str, Meta(min_length=1, max_length=2_048)]
    interval: timedelta = timedelta(minutes=10)
    source: ShortText | None = None
    lang: Annotated[str, Meta(min_length=2, max_length=35)] | None = None
    tickers: Annotated[list[Ticker], Meta(max_length=64)] = field(default_factory=list)
    max_age: timedelta = timedelta(days=7)
    updates: bool = True
    private: bool = False

    @property
    def host(self) -> str:
        """The host that is asked for it."""
        return urlsplit(self.url).hostname or ""


class FetchRules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How every feed is fetched.

    Attributes:
        contact: A page or an address of whoever runs this, sent along in `User-Agent`.
        min_gap: Least time between two requests to a host.
        timeout: Longest time for a feed, redirects included.
        max_bytes: Largest feed, unpacked.
        proxy: An HTTP proxy to go through; it then decides which addresses may be reached.
    """

    contact: Annotated[str, Meta(pattern="^[ -~]{0,200}$")] = ""
    min_gap: timedelta = timedelta(seconds=2)
    timeout: timedelta = timedelta(seconds=30)
    max_bytes: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 5_000_000
    proxy: str = ""

    @property
    def user_agent(self) -> str:
        """Who we say that we are.

        >>> FetchRules(contact="mailto:desk@example.com").user_agent.partition(" ")[2]
        '(feed reader; +mailto:desk@example.com)'
        """
        return f"streamwatch/{__version__} (feed reader; +{self.contact or HOME})"


class Subscriptions(Struct, frozen=True):
    """What a file of feeds declares."""

    feeds: tuple[Subscription, ...]
    fetch: FetchRules


def load_subscriptions(file: Path) -> Subscriptions:
    """Read a file of feeds.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; it says what and where.
    """
    try:
        return parse_subscriptions(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise ConfigError(str(file), "(file)", error.strerror, "a readable TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(file), "(file)", str(error), "UTF-8 text") from error


def parse_subscriptions(text: str, place: str) -> Subscriptions:
    r"""Parse the text of a file of feeds.

    >>> text = '[[feed]]\nname = "ecb"\nurl = "https://www.ecb.europa.eu/rss/press.html"\ninterval = "15m"'
    >>> parse_subscriptions(text, "feeds.toml").feeds[0].interval
    datetime.timedelta(seconds=900)
    >>> parse_subscriptions(text.replace("15m", "1s"), "feeds.toml")
    Traceback (most recent call last):
    streamwatch.errors.ConfigError: feeds.toml: feed[0].interval: found '1s', expected at least 10s

    Raises:
        ConfigError: Something in it is wrong; it says what and where.
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(place, "(file)", str(error), "valid TOML") from error
    if unknown := sorted(settings.keys() - {"feed", "fetch"}):
        raise ConfigError(place, unknown[0], "an unknown key", "[[feed]] tables and a [fetch] table only")
    rules = settings.get("feed")
    if not isinstance(rules, list) or not rules or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigError(place, "feed", rules, "at least one [[feed]] table")
    feeds = tuple(_subscription(rule, f"feed[{index}]", place) for index, rule in enumerate(rules))
    for name in ("name", "url"):
        seen = [getattr(feed, name) for feed in feeds]
        for index, value in enumerate(seen):
            if value in seen[:index]:
                raise ConfigError(place, f"feed[{index}].{name}", value, f"a {name} that no other feed has")
    return Subscriptions(feeds, _fetch_rules(settings.get("fetch", {}), place))


def _subscription(rule: dict[str, Any], key: str, place: str) -> Subscription:
    expected = {"name": "1 to 64 letters, digits, dots, dashes and underscores"}
    values = rule | _durations(rule, DURATIONS, key, place)
    feed = convert(values, Subscription, rule=rule, key=key, place=place, expected=expected)
    _check_url(feed.url, ("http", "https"), f"{key}.url", place)
    return feed


def _fetch_rules(rule: object, place: str) -> FetchRules:
    if not isinstance(rule, dict):
        raise ConfigError(place, "fetch", rule, "a [fetch] table")
    expected = {"contact": "at most 200 ASCII characters, such as mailto:desk@example.com"}
    values = rule | _durations(rule, FETCH_DURATIONS, "fetch", place)
    rules = convert(values, FetchRules, rule=rule, key="fetch", place=place, expected=expected)
    if rules.proxy:
        _check_url(rules.proxy, ("http", "https"), "fetch.proxy", place)
    return rules


def _durations(rule: dict[str, Any], least: dict[str, timedelta], key: str, place: str) -> dict[str, timedelta]:
    """Return those values of a table that are durations."""
    found = {}
    for name in least.keys() & rule.keys():
        written = rule[name]
        try:
            found[name] = read_duration(written if isinstance(written, str) else "")
        except ValueError as error:
            raise ConfigError(place, f"{key}.{name}", written, str(error)) from error
        if found[name] < least[name]:
            raise ConfigError(place, f"{key}.{name}", written, f"at least {least[name].seconds}s")
    return found


def _check_url(url: str, schemes: tuple[str, ...], key: str, place: str) -> None:
    """Refuse what is no web address, and secrets in one: it stands in logs and reports."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(place, key, url, f"an {' or '.join(schemes)} address with a host")
    if parts.username is not None:
        raise ConfigError(place, key, "a user name in an address", "an address without user and password")
