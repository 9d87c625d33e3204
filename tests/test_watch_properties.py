"""What holds for the watch whatever comes: properties, and a brute-force oracle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.config import WatchConfig
from streamwatch.records import Alert, Window
from streamwatch.watch import Closed, Monitors, Watch
from streamwatch.watch.monitors import parse_monitors
from tests.scored_rows import START, Row, scored

CONFIG = WatchConfig(allowed_lateness_s=300)
FAR = START + timedelta(days=3)
RULES = """
[[monitor]]
name = "volume"
group_by = "entity"
window = "60m"
hop = "10m"
measure = "volume"
false_alarms = "1 an hour"
min_count = 2

[[monitor]]
name = "share"
group_by = "entity"
window = "30m"
hop = "10m"
measure = "negative_share"
false_alarms = "1 an hour"
min_count = 1
keep_firing_for = "10m"

[[monitor]]
name = "pair"
group_by = ["source", "entity"]
window = "40m"
hop = "20m"
measure = "net_sentiment"
false_alarms = "1 an hour"
min_count = 1
"""
MONITORS = parse_monitors(RULES, "monitors.toml")

row = st.builds(
    lambda **looks: Row(**looks),
    minute=st.one_of(st.integers(0, 120), st.integers(0, 400)).map(float),
    entities=st.sampled_from([(), ("A",), ("B",), ("A", "B"), ("A", "A")]),
    sentiment=st.sampled_from(["negative", "negative", "neutral", "positive"]),
    source=st.sampled_from(["wire", "forum"]),
    p_negative=st.sampled_from([None, 0.3, 0.9]),
    novelty=st.sampled_from([None, 7]),
    text=st.sampled_from(["a post", "fires spread in shops", "the maker denies it", "电池起火暂停发货"]),
    author=st.sampled_from([None, "jo", "ann", "bo"]),
)
partitions = st.tuples(st.lists(row, max_size=30), st.lists(row, max_size=30))
roughly_ordered = partitions.map(lambda both: tuple(sorted(rows, key=lambda row: row.minute // 20) for rows in both))
plans = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9), st.booleans()), max_size=12)
Rows = tuple[Sequence[Row], Sequence[Row]]
Plan = Sequence[tuple[int, int, bool]]
quick = settings(max_examples=30, deadline=None)


def run(rows: Rows, plan: Plan, *, restart: bool = False, monitors: Monitors = MONITORS) -> tuple[list[Closed], Watch]:
    """Feed both partitions, cut and interleaved as planned, then let time pass; say what closed when."""
    watch = Watch(monitors, CONFIG)
    watch.assign([0, 1])
    at = [0, 0]
    closed = []
    for partition, count, close in [*plan, (0, 10_000, True), (1, 10_000, True)]:
        taken = rows[partition][at[partition] : at[partition] + count]
        watch.apply(scored(taken, partition, at[partition]))
        at[partition] += len(taken)
        if close:
            closed.append(watch.close())
        if restart:
            watch = Watch.restore(watch.snapshot(), monitors, CONFIG)
    for partition in (0, 1):
        watch.heartbeat(partition, FAR)
    closed.append(watch.close())
    return closed, watch


def together(closed: Sequence[Closed]) -> tuple[list[Window], list[Alert]]:
    return [window for part in closed for window in part.windows], [alert for part in closed for alert in part.alerts]


def on_time(rows: Sequence[Row], hop_min: int) -> list[Row]:
    """Say by the rule alone, row by row, which rows of a partition are not late."""
    kept, watermark = [], -1e9
    for each in rows:
        if each.minute // hop_min * hop_min + hop_min > watermark:
            kept.append(each)
        watermark = max(watermark, each.minute - CONFIG.allowed_lateness_s / 60)
    return kept


def oracle(rows: Rows) -> Counter[tuple[str, str, datetime, datetime, bool]]:
    """Count, by brute force, the posts of every window, and its negative ones."""
    counts: Counter[Any] = Counter()
    for monitor in MONITORS.monitors:
        hop, length = (int(span.total_seconds() // 60) for span in (monitor.hop, monitor.window))
        for each in [*on_time(rows[0], hop), *on_time(rows[1], hop)]:
            for entity in set(each.entities):
                group = entity if monitor.group_by == ("entity",) else f"{each.source}|{entity}"
                first = int(each.minute // hop * hop + hop)
                for end in range(first, first + length, hop):
                    window = (monitor.name, group, START + timedelta(minutes=end))
                    counts[(*window, "count")] += 1
                    counts[(*window, "negative")] += each.sentiment == "negative"
    return counts


@quick
@given(roughly_ordered, plans)
def test_every_window_counts_what_a_recount_counts(rows: Rows, plan: Plan) -> None:
    closed, watch = run(rows, plan)
    windows, _ = together(closed)
    expected = oracle(rows)
    found = {(window.monitor, window.group, window.window_end): window for window in windows}
    assert found.keys() == {key[:3] for key in expected}
    for key, window in found.items():
        assert (window.count, window.negative) == (expected[(*key, "count")], expected[(*key, "negative")])
    late = [len(part) - len(on_time(part, 10)) for part in rows]
    assert watch.late_posts == sum(late)


@quick
@given(row.filter(lambda row: row.entities != ()))
def test_an_on_time_row_stands_in_exactly_length_by_hop_windows(one: Row) -> None:
    windows, _ = together(run(([one], []), [])[0])
    for monitor in MONITORS.monitors:
        mine = [window for window in windows if window.monitor == monitor.name]
        assert len(mine) == monitor.panes * len(set(one.entities))
        at = START + timedelta(minutes=one.minute)
        assert all(window.window_start <= at < window.window_end for window in mine)
        assert all(window.window_end - window.window_start == monitor.window for window in mine)


@quick
@given(partitions, plans, plans)
def test_neither_cuts_nor_interleaving_nor_restarts_show(rows: Rows, one: Plan, other: Plan) -> None:
    first, second = run(rows, one)[0], run(rows, other, restart=True)[0]
    assert together(first) == together(second)


@quick
@given(partitions, plans)
def test_a_closed_window_never_reopens_and_order_is_by_end_monitor_and_group(rows: Rows, plan: Plan) -> None:
    windows, alerts = together(run(rows, plan)[0])
    order = [(window.window_end, window.monitor, window.group) for window in windows]
    assert order == sorted(set(order))
    told = [(alert.updated_at, alert.monitor, alert.group) for alert in alerts]
    assert told == sorted(set(told))


@quick
@given(partitions, plans)
def test_the_watermark_never_goes_back_and_windows_wait_for_it(rows: Rows, plan: Plan) -> None:
    watch = Watch(MONITORS, CONFIG)
    at, before = [0, 0], None
    for partition, count, idle in plan:
        taken = rows[partition][at[partition] : at[partition] + count]
        watch.apply(scored(taken, partition, at[partition]))
        at[partition] += len(taken)
        closed = watch.close(idle=[1 - partition] if idle else [])
        assert before is None or (watch.watermark is not None and watch.watermark >= before)
        before = watch.watermark
        assert all(before is not None and window.window_end <= before for window in closed.windows)


@quick
@given(partitions, plans)
def test_every_alert_ends_once_under_one_fingerprint(rows: Rows, plan: Plan) -> None:
    closed, watch = run(rows, plan)
    _, alerts = together(closed)
    assert watch.firing == []
    by_fingerprint: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_fingerprint.setdefault(alert.fingerprint, []).append(alert)
    for versions in by_fingerprint.values():
        assert [version.status for version in versions] == ["firing"] * (len(versions) - 1) + ["resolved"]
        assert len({(version.monitor, version.group, version.onset) for version in versions}) == 1


def test_an_empty_micro_batch_changes_nothing() -> None:
    watch = Watch(MONITORS, CONFIG)
    watch.apply(scored([]))
    assert watch.close() == Closed([], [])
    assert watch.watermark is None
    assert isinstance(scored([]), pa.RecordBatch)
