"""The monitors file: what to watch, and when to be quiet, in TOML that reads like alerting rules.

Read once into frozen classes. An unknown key, a wrong value or a template that cannot be filled in is a
`ConfigError` that names the file and the key, such as `monitor[2].window` (the first monitor is number 0).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct, field

from streamwatch.errors import ConfigError
from streamwatch.records import ShortText
from streamwatch.watch.declared import convert
from streamwatch.watch.mutes import Mute, parse_mutes

Dimension = Literal["all", "entity", "topic", "intent", "source", "lang"]
Measure = Literal[
    "negative_share", "negative_count", "mean_negative", "net_sentiment", "volume", "sources", "novel_count"
]

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
DAYS_OF = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.0, "year": 365.0}
DURATIONS = ("window", "hop", "half_life", "for", "keep_firing_for")
MAX_PANES = 1_000
"""Most hops of a window."""
DEFAULT_FILE = "monitors.toml"
TEMPLATE_SAMPLE: dict[str, Any] = {
    "monitor": "m", "group": "g", "group_by": "entity", "measure": "volume", "severity": "warning", "seen": 1.0,
    "expected": 1.0, "surprise": 1.0, "count": 1, "negative": 1, "window": "1h", "onset": "t", "window_start": "t",
    "window_end": "t", "corroboration": "unconfirmed", "incident": "g", "brief": "b", "brief_zh": "b",
}  # fmt: skip
"""What an annotation may name in braces."""


class Monitor(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule: a measure over hopping windows of every group of a kind, and when it is worth an alert.

    Attributes:
        name: Unique in its file; the `alertname` in Alertmanager.
        group_by: One dimension of a post, or two.
        window: Length of the window.
        hop: How often a window ends; the length is a multiple of it. One pane is one hop.
        measure: What is compared with its baseline.
        false_alarms: A day, over all groups together: how many the monitor may raise while nothing is going on
            (`"1 a day"`, `"2 a week"` in the file).
        min_count: Least posts in the window; for `negative_count` least negative posts.
        holds_for: How long it must be so before the alert fires (`for` in the file).
        keep_firing_for: How long it must be calm before the alert ends.
        half_life: Age at which a window counts half in the baseline.
        severity: The label that routes the alert.
        annotations: Texts of the alert, with `{group}`, `{seen}`, `{expected}` and so on to fill in.
    """

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    group_by: Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=2)]
    window: timedelta
    hop: timedelta
    measure: Measure
    false_alarms: float = 1.0
    min_count: Annotated[int, Meta(ge=1)] = 5
    holds_for: timedelta = field(default=timedelta(0), name="for")
    keep_firing_for: timedelta = timedelta(minutes=15)
    half_life: timedelta = timedelta(days=7)
    severity: ShortText = "warning"
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def panes(self) -> int:
        """How many hops a window has."""
        return self.window // self.hop

    @property
    def counted(self) -> Literal["count", "negative"]:
        """Which posts `min_count` counts."""
        return "negative" if self.measure == "negative_count" else "count"

    @property
    def grouping(self) -> str:
        """The dimensions as one word, such as `entity|topic`."""
        return "|".join(self.group_by)

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that change when the definition changes."""
        return _hash(msgspec.json.encode(self))


class Monitors(Struct, frozen=True):
    """What a monitors file declares."""

    monitors: tuple[Monitor, ...]
    mutes: tuple[Mute, ...] = ()

    @property
    def hash(self) -> str:
        """16 hexadecimal digits of the content, whatever its layout and comments."""
        mutes = [_hash(msgspec.json.encode(mute)) for mute in self.mutes]
        return _hash("".join([*(monitor.hash for monitor in self.monitors), *mutes]).encode())


def load_monitors(file: Path | None) -> Monitors:
    """Read a monitors file, or the one that comes with streamwatch when none is named.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; it says what and where.
    """
    place = str(file or DEFAULT_FILE)
    try:
        source = file or resources.files(__package__).joinpath(DEFAULT_FILE)
        return parse_monitors(source.read_text(encoding="utf-8"), place)
    except OSError as error:
        raise ConfigError(place, "(file)", error.strerror, "a readable TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(place, "(file)", str(error), "UTF-8 text") from error


def parse_monitors(text: str, place: str) -> Monitors:
    r"""Parse the text of a monitors file.

    >>> text = '[[monitor]]\nname = "talk"\ngroup_by = "lang"\nwindow = "1h"\nhop = "5m"\nmeasure = "volume"'
    >>> parse_monitors(text, "monitors.toml").monitors[0].panes
    12
    >>> parse_monitors(text.replace("1h", "7m"), "monitors.toml")
    Traceback (most recent call last):
    streamwatch.errors.ConfigError: monitors.toml: monitor[0].window: found '7m', expected a multiple of the hop, 5m

    Raises:
        ConfigError: Something in it is wrong; it says what and where.
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(place, "(file)", str(error), "valid TOML") from error
    unknown = sorted(settings.keys() - {"monitor", "mute"})
    if unknown:
        raise ConfigError(place, unknown[0], "an unknown key", "[[monitor]] and [[mute]] tables only")
    rules = settings.get("monitor")
    if not isinstance(rules, list) or not rules or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigError(place, "monitor", rules, "at least one [[monitor]] table")
    monitors = tuple(_monitor(rule, f"monitor[{index}]", place) for index, rule in enumerate(rules))
    names = [monitor.name for monitor in monitors]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(place, f"monitor[{index}].name", name, "a name that no other monitor has")
    return Monitors(monitors, parse_mutes(settings.get("mute", []), place))


def _monitor(rule: dict[str, Any], key: str, place: str) -> Monitor:
    values = dict(rule)
    for name in DURATIONS:
        if name in rule:
            values[name] = _duration(rule[name], f"{key}.{name}", place)
    if "false_alarms" in rule:
        values["false_alarms"] = _rate(rule["false_alarms"], f"{key}.false_alarms", place)
    if isinstance(rule.get("group_by"), str):
        values["group_by"] = [rule["group_by"]]
    expected = {
        "group_by": f"one or two of: {', '.join(get_args(Dimension))}",
        "measure": f"one of: {', '.join(get_args(Measure))}",
    }
    monitor = convert(values, Monitor, rule=rule, key=key, place=place, expected=expected)
    _check(monitor, rule, key, place)
    return monitor


def _check(monitor: Monitor, rule: dict[str, Any], key: str, place: str) -> None:
    """Check what one value alone cannot show."""
    for name in ("window", "hop", "half_life"):
        if getattr(monitor, name) <= timedelta(0):
            raise ConfigError(place, f"{key}.{name}", rule.get(name), "a duration above zero")
    if monitor.window % monitor.hop:
        raise ConfigError(place, f"{key}.window", rule["window"], f"a multiple of the hop, {rule['hop']}")
    if monitor.panes > MAX_PANES:
        raise ConfigError(place, f"{key}.window", rule["window"], f"at most {MAX_PANES} hops of {rule['hop']}")
    dimensions = monitor.group_by
    if len(dimensions) == 2 and ("all" in dimensions or dimensions[0] == dimensions[1]):
        raise ConfigError(place, f"{key}.group_by", rule["group_by"], "two different dimensions, neither of them all")
    for name, template in monitor.annotations.items():
        try:
            template.format_map(TEMPLATE_SAMPLE)
        except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
            expected = f"a text with only {', '.join(TEMPLATE_SAMPLE)} in braces ({type(error).__name__}: {error})"
            raise ConfigError(place, f"{key}.annotations.{name}", template, expected) from error


def _duration(value: object, key: str, place: str) -> timedelta:
    try:
        return read_duration(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ConfigError(place, key, value, str(error)) from error


def read_duration(text: str) -> timedelta:
    """Read a duration such as `90s`, `5m`, `1h30m` or `7d`.

    >>> read_duration("1h30m")
    datetime.timedelta(seconds=5400)

    Raises:
        ValueError: It is no such duration.
    """
    parts = re.findall(r"(\d{1,9})([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        message = 'a duration such as "90s", "5m", "1h30m" or "7d"'
        raise ValueError(message)
    return sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta(0))


def _rate(value: object, key: str, place: str) -> float:
    try:
        return read_rate(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ConfigError(place, key, value, str(error)) from error


def read_rate(text: str) -> float:
    """Read how often something comes, such as `1 a day`, `0.5 an hour` or `2 a week`, as times a day.

    >>> read_rate("14 a week")
    2.0

    Raises:
        ValueError: It is no such rate.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) an? (\w+)", text)
    times = float(found[1]) / DAYS_OF[found[2]] if found and found[2] in DAYS_OF else 0.0
    if not times:
        message = f'a rate above zero such as "1 a day" or "2 a week", in any of: {", ".join(DAYS_OF)}'
        raise ValueError(message)
    return times


def show_duration(span: timedelta) -> str:
    """Write a duration as it is read.

    >>> show_duration(timedelta(hours=1, minutes=30))
    '1h30m'
    """
    seconds = int(span.total_seconds())
    sizes = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    shown = ""
    for unit, size in sizes:
        number, seconds = divmod(seconds, size)
        shown += f"{number}{unit}" if number else ""
    return shown or "0s"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
