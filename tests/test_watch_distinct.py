"""Measures that need more than sums, and several lengths at once, against a brute-force oracle."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from streamwatch.watch import Monitors, Watch, distinct
from streamwatch.watch.distinct import MOST_THINGS, OpenTally, Tally, text_hashes, weigh
from streamwatch.watch.groups import read_posts
from streamwatch.watch.monitors import parse_monitors
from tests.scored_rows import PROBS, START, Row, scored
from tests.test_watch_properties import CONFIG, Plan, Rows, on_time, partitions, plans, roughly_ordered, run
from tests.test_watch_properties import together as all_of

KINDS = ("volume", "sources", "novel_count", "mean_negative")
WATCHED = (("volume", 30), ("volume", 60), ("volume", 120), *((kind, 60) for kind in KINDS[1:]))
HOP = 10


def watching(watched: Sequence[tuple[str, int]]) -> Monitors:
    rules = (
        f'[[monitor]]\nname = "{kind}-{length}"\ngroup_by = "entity"\nwindow = "{length}m"\nhop = "{HOP}m"\n'
        f'measure = "{kind}"\nmin_count = 2\n'
        for kind, length in watched
    )
    return parse_monitors("\n".join(rules), "monitors.toml")


MONITORS, SAMPLED = watching(WATCHED), watching(WATCHED[3:5])
few = settings(max_examples=15, deadline=None)
Name = tuple[str, str, datetime]


def oracle(rows: Rows) -> dict[Name, float]:
    """Compute, by brute force, every window's measure."""
    held: dict[tuple[int, str, int], list[tuple[Row, int]]] = defaultdict(list)
    for partition in rows:
        for number, each in enumerate(on_time(partition, HOP)):
            first = int(each.minute // HOP * HOP + HOP)
            for length in sorted({length for _, length in WATCHED}):
                for entity in set(each.entities):
                    for end in range(first, first + length, HOP):
                        held[(length, entity, end)].append((each, id(partition) + number))
    found = {}
    for (length, entity, end), posts in held.items():
        copies = Counter(number if each.novelty is None else each.novelty for each, number in posts)
        novel = sum(Fraction(1, rank) for count in copies.values() for rank in range(1, count + 1))
        probs = [PROBS[each.sentiment][0] if each.p_negative is None else each.p_negative for each, _ in posts]
        sources = {each.source for each, _ in posts}
        values = (len(posts), len(sources), int(novel + Fraction(1, 2)), sum(probs) / len(probs))
        for kind, value in zip(KINDS, values, strict=True):
            if (kind, length) in WATCHED:
                found[(f"{kind}-{length}", entity, START + timedelta(minutes=end))] = float(value)
    return found


@few
@given(roughly_ordered, plans)
def test_every_length_and_measure_is_what_a_recount_gives(rows: Rows, plan: Plan) -> None:
    windows, _ = all_of(run(rows, plan, monitors=MONITORS)[0])
    found = {(window.monitor, window.group, window.window_end): window.measure for window in windows}
    assert found == pytest.approx(oracle(rows), abs=1e-6)


@few
@given(partitions, plans, plans)
def test_what_is_sampled_shows_neither_cuts_nor_restarts(rows: Rows, one: Plan, other: Plan) -> None:
    with patch.object(distinct, "MOST_THINGS", 2):
        first, second = run(rows, one, monitors=SAMPLED)[0], run(rows, other, monitors=SAMPLED, restart=True)[0]
    assert all_of(first) == all_of(second)


def test_several_lengths_cost_one_grouping() -> None:
    watch = Watch(MONITORS, CONFIG)
    watch.apply(scored([Row(0, ("A", "B")), Row(1, ("A",))]))
    assert watch.pane_rows == 2, "a partial sum for each entity, not for each monitor"


def tally_of(things: int, cuts: int) -> tuple[Tally, int]:
    """Return the tally of so many different texts, each twice, that came in an order of chance, cut anywhere."""
    tally = OpenTally("novel_count")
    rows = [Row(0.0, novelty=number) for number in range(things)] * 2
    random.Random(cuts).shuffle(rows)
    for part in np.array_split(np.arange(len(rows)), cuts):
        batch = scored([rows[index] for index in part])
        tally.add(np.zeros(len(part), np.int64), np.arange(len(part)), read_posts(batch), batch)
    frame = tally.whole().sort("thing")
    columns = (frame[name].to_numpy() for name in ("thing", "count", "level"))
    return Tally(np.zeros(frame.height, np.int64), *columns), frame.height


def test_beyond_what_is_kept_a_sample_stands_for_the_rest() -> None:
    one, kept = tally_of(3_000, 1)
    other, _ = tally_of(3_000, 7)
    assert all((mine == theirs).all() for mine, theirs in zip(one, other, strict=True))
    assert MOST_THINGS // 4 < kept <= MOST_THINGS
    assert 2_400 < weigh([one], "sources", 1)[0] < 3_600
    assert weigh([one], "novel_count", 1)[0] == pytest.approx(1.5 * weigh([one], "sources", 1)[0], abs=1)
    assert weigh([tally_of(MOST_THINGS, 1)[0]], "sources", 1)[0] == MOST_THINGS


def test_panes_of_other_levels_make_one_window() -> None:
    few, many = tally_of(100, 1)[0], tally_of(3_000, 1)[0]
    assert weigh([few, many], "sources", 1)[0] == weigh([many], "sources", 1)[0], "the hundred are among them"


def test_a_post_of_unknown_words_is_like_no_other() -> None:
    batch = scored([Row(0.0), Row(0.0), Row(0.0, novelty=7), Row(0.0, novelty=7)])
    unknown = batch.set_column(
        batch.schema.get_field_index("novelty"), "novelty", pa.array([None, None, 7, 7], pa.int64())
    )
    assert len(set(text_hashes(read_posts(unknown), unknown).tolist())) == 3
