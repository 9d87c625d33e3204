"""What is remembered of posts and groups: samples that do not show how rows came in, volumes, curves."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.watch.curves import MOST_POINTS, Curves
from streamwatch.watch.frames import Parts
from streamwatch.watch.groups import draw_lots, mentions, read_entities, read_posts
from streamwatch.watch.instants import HOUR_US, to_us
from streamwatch.watch.keys import Codes, Places
from streamwatch.watch.samples import Sampled, Samples
from streamwatch.watch.volumes import Volumes
from tests.scored_rows import START, Row, scored

MOST = 4
PLACES = Places(hop_us=600_000_000)
CODES = Codes(["A", "B", "AAPL"])
quick = settings(max_examples=40, deadline=None)
row = st.tuples(st.integers(0, 30), st.sampled_from([("A",), ("A", "B"), ("B",)]))
rows = st.lists(row.map(lambda pair: Row(float(pair[0]), pair[1])), max_size=40)


def filled(rows: list[Row], cuts: list[int]) -> Samples:
    samples = Samples(MOST, PLACES)
    for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        batch = scored(rows[first:last], 0, first)
        if batch.num_rows:
            posts, entities = read_posts(batch), read_entities(batch)
            found = mentions(batch, posts, entities, ("entity",))
            samples.add(PLACES.of(posts.at_us[found.rows], CODES.of(found.groups)), found, posts, batch)
    return samples


def drawn(samples: Samples) -> dict[str, list[Sampled]]:
    return samples.of(dict(enumerate(CODES.whole())), 0, 2**62)


@quick
@given(rows, st.lists(st.integers(0, 40), max_size=5), st.sampled_from([0, 5, Parts.LEAST_ROWS]))
def test_a_sample_does_not_show_how_posts_came_in_and_is_all_of_few(
    rows: list[Row], cuts: list[int], least_rows: int
) -> None:
    cuts = sorted(min(cut, len(rows)) for cut in cuts)
    one = filled(rows, [])
    with patch.object(Parts, "LEAST_ROWS", least_rows):
        other = filled(rows, cuts)
        assert drawn(one) == drawn(other)
    per_pane = Counter((row.minute // 10, entity) for row in rows for entity in set(row.entities))
    found = Counter(one.whole()["place"])
    assert sorted(found.values()) == sorted(min(count, MOST) for count in per_pane.values())


def test_a_sample_is_drawn_evenly() -> None:
    posts = [Row(0.0) for _ in range(2_000)]
    assert len(drawn(filled(posts, []))["AAPL"]) == MOST
    lots = draw_lots(scored(posts))
    assert len(set(lots.tolist())) == 2_000
    least = np.argsort(lots)[:500]
    assert 850 < least.mean() < 1_150, "the least lots are anywhere in the stream"


def test_taking_old_panes_leaves_the_others() -> None:
    samples = filled([Row(1.0), Row(11.0), Row(2.0)], [])
    assert len(samples.take(to_us(START + timedelta(minutes=10)))) == 2
    assert [post.id for post in drawn(samples)["AAPL"]] == ["0-1"]


panes = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2), st.integers(1, 9)), max_size=60).map(sorted)


@quick
@given(panes, st.integers(0, 30))
def test_volumes_are_what_a_recount_of_whole_steps_counts(panes: list[tuple[int, int, int]], later: int) -> None:
    volumes = Volumes()
    volumes.grow(3)
    for half_hour, key, count in panes:
        volumes.add(half_hour * HOUR_US // 2, np.array([key]), np.array([count]))
    end_us = ((panes[-1][0] if panes else 0) + 1 + later) * HOUR_US // 2
    again = Volumes()
    again.restore(volumes.whole(), 3)
    for key in range(3):
        expected = {}
        for name, step, steps in (("12h", 1, 12), ("24h", 1, 24), ("3d", 6, 12), ("7d", 6, 28)):
            length = step * HOUR_US
            first = ((end_us - 1) // length - steps + 1) * length
            expected[name] = sum(count for at, one, count in panes if one == key and at * HOUR_US // 2 >= first)
        assert volumes.of(key, end_us) == again.of(key, end_us) == expected


def test_forgotten_keys_leave_the_volumes_and_curves_of_the_others() -> None:
    volumes, curves = Volumes(), Curves(10)
    volumes.grow(3)
    volumes.add(0, np.arange(3), np.array([1, 2, 3]))
    curves.add(10, np.arange(3), np.array([1.0, 2.0, 3.0]), np.full(3, np.nan))
    volumes.keep(np.array([2]))
    curves.keep(np.array([2]), 3)
    assert volumes.of(0, HOUR_US)["12h"] == 3
    assert [point.seen for point in curves.of(0)] == [3.0]
    assert curves.of(1) == []
    assert curves.of(None) == []


def test_a_curve_has_so_many_points_and_survives_a_snapshot() -> None:
    curves, again = Curves(10), Curves(10)
    for end in range(1, 20):
        keys = np.zeros(0 if end == 10 else 1, np.int64)
        curves.add(end * 10, keys, np.full(len(keys), end / 3), np.full(len(keys), 0.5))
    again.restore(curves.whole())
    points = curves.of(0)
    assert len(points) == MOST_POINTS - 1, "one window had no posts"
    assert again.of(0) == points
    assert (points[-1].seen, points[-1].expected) == (6.33333, 0.5)
