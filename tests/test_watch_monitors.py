from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from streamwatch.errors import ConfigError
from streamwatch.watch.monitors import load_monitors, parse_monitors

GOOD = """
[[monitor]]
name = "apple"
group_by = ["entity", "topic"]
window = "1h"
hop = "5m"
measure = "negative_share"
for = "10m"
[monitor.annotations]
summary = "{group}: {seen:.0%} negative, {expected:.0%} expected, in {window}"
"""


def test_the_file_reads_into_a_monitor() -> None:
    (monitor,) = parse_monitors(GOOD, "m.toml").monitors
    assert monitor.group_by == ("entity", "topic")
    assert monitor.grouping == "entity|topic"
    assert (monitor.window, monitor.hop, monitor.panes) == (timedelta(hours=1), timedelta(minutes=5), 12)
    assert monitor.holds_for == timedelta(minutes=10)
    assert monitor.false_alarms == 1.0


def test_the_default_file_is_good_and_named_without_a_folder() -> None:
    monitors = load_monitors(None)
    assert {monitor.grouping for monitor in monitors.monitors} >= {"entity", "topic", "source", "lang", "all"}
    assert load_monitors(None).hash == monitors.hash


@pytest.mark.parametrize(
    ("before", "after", "key", "expected"),
    [
        ('"1h"', '"62m"', "monitor[0].window", "a multiple of the hop, 5m"),
        ('"1h"', '"soon"', "monitor[0].window", "a duration such as"),
        ('"1h"', "60", "monitor[0].window", "a duration such as"),
        ('"5m"', '"0m"', "monitor[0].hop", "a duration above zero"),
        ('"1h"', '"90d"', "monitor[0].window", "at most 1000 hops"),
        ('"negative_share"', '"anger"', "monitor[0].measure", "one of: negative_share, negative_count"),
        ('"topic"]', '"author"]', "monitor[0].group_by", "one or two of: all, entity"),
        ('"topic"]', '"entity"]', "monitor[0].group_by", "two different dimensions"),
        ('"topic"]', '"topic", "lang"]', "monitor[0].group_by", "one or two of"),
        ("for =", "fro =", "monitor[0].fro", "one of: name, group_by"),
        ('name = "apple"\n', "", "monitor[0].name", "a value"),
        ("for =", "min_count = 0\nfor =", "monitor[0].min_count", ">= 1"),
        ("for =", "false_alarms = 2\nfor =", "monitor[0].false_alarms", "a rate above zero"),
        ("{group}", "{company}", "monitor[0].annotations.summary", "a text with only monitor, group"),
        ("{group}", "{seen:%Q", "monitor[0].annotations.summary", "a text with only monitor, group"),
        ("[[monitor]]", "[settings]\na = 1\n[[monitor]]", "settings", "[[monitor]] and [[mute]] tables only"),
    ],
)
def test_a_wrong_value_names_file_key_found_and_expected(before: str, after: str, key: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_monitors(GOOD.replace(before, after, 1), "m.toml")
    assert error.value.place == "m.toml"
    assert error.value.key == key
    assert expected in error.value.expected


def test_the_second_of_two_wrong_monitors_is_named_by_its_number() -> None:
    with pytest.raises(ConfigError, match=r"monitor\[1\]\.name: found 'apple', expected a name that no other"):
        parse_monitors(GOOD + GOOD, "m.toml")


def test_an_empty_or_broken_or_absent_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        parse_monitors("", "m.toml")
    with pytest.raises(ConfigError, match="valid TOML"):
        parse_monitors("[[monitor]", "m.toml")
    with pytest.raises(ConfigError, match="a readable TOML file"):
        load_monitors(tmp_path / "absent.toml")


def test_the_hash_follows_content_not_layout(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text("# what we watch\n" + GOOD.replace(" = ", "="))
    assert load_monitors(file).hash == parse_monitors(GOOD, "m.toml").hash
    assert parse_monitors(GOOD.replace('"10m"', '"20m"'), "m.toml").hash != load_monitors(file).hash
