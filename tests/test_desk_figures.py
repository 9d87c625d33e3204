"""Every figure of the desk is the one that SQL over the tables gives."""

from __future__ import annotations

import math
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streamwatch.desk import cubes
from streamwatch.desk.aggregates import MEASURES, Question, answer
from streamwatch.desk.cubes import DIMENSIONS
from streamwatch.desk.indices import IndexQuestion, index_series
from streamwatch.desk.rollups import POST_COLUMNS, Rollups
from streamwatch.store.follower import NewRows, TableFollower
from streamwatch.store.tables import Tables
from tests.scored_rows import START, Row
from tests.stored_desk import store_posts

SENTIMENTS = ("negative", "neutral", "positive")
VALUES = {
    "count": "CAST(count(*) AS DOUBLE)",
    "negative_count": "CAST(sum(CASE WHEN sentiment = 'negative' THEN 1 ELSE 0 END) AS DOUBLE)",
    "negative_share": "CAST(sum(CASE WHEN sentiment = 'negative' THEN 1 ELSE 0 END) AS DOUBLE) / count(*)",
    "mean_negative": "avg(CAST(p AS DOUBLE))",
    "net_sentiment": "CAST(sum(CASE WHEN sentiment = 'positive' THEN 1 WHEN sentiment = 'negative' THEN -1 ELSE 0 END)"
    " AS DOUBLE) / count(*)",
}
KEYS = "published_at, topic, intent, source, lang"
POSTS = f"WITH r AS (SELECT {KEYS}, sentiment, sentiment_probs[1] AS p FROM posts)"
MENTIONS = (
    f"WITH u AS (SELECT {KEYS}, unnest(entities) AS e FROM posts), v AS (SELECT {KEYS}, e.ticker AS entity,"
    " e.sentiment AS sentiment, e.sentiment_probs AS probs FROM u), r AS (SELECT *, probs[1] AS p FROM v"
    " WHERE entity IS NOT NULL)"
)


Figures = dict[tuple[object, ...], float | None]


def by_sql(tables: Tables, question: Question, start: datetime, end: datetime) -> Figures:
    """Return the value of every group of one window."""
    wanted = [f"published_at >= '{start.isoformat()}'", f"published_at < '{end.isoformat()}'"]
    for name, values in question.where:
        listed = ", ".join(f"'{value}'" for value in values)
        wanted.append(f"{name} IN ({listed})")
    wanted += [f"{name} IS NOT NULL" for name in question.group_by]
    rows = MENTIONS if "entity" in question.dimensions else POSTS
    keys = ", ".join(question.group_by)
    columns = f"{keys}, " if keys else ""
    grouped = f" GROUP BY {keys}" if keys else ""
    found = tables.query(
        f"{rows} SELECT {columns}{VALUES[question.measure]} AS value, count(*) AS n FROM r "
        f"WHERE {' AND '.join(wanted)}{grouped}"
    )
    return {row[:-2]: row[-2] for row in found.iter_rows() if row[-1]}


@st.composite
def posts(draw: st.DrawFn) -> Row:
    entities = draw(st.lists(st.sampled_from(["AAPL", "IBM", "SAP"]), unique=True, max_size=3))
    return Row(
        draw(st.integers(0, 600)) + draw(st.sampled_from([0, 0.5, 4.999])),
        tuple(entities),
        draw(st.sampled_from(SENTIMENTS)),
        draw(st.sampled_from(["wire", "forum"])),
        draw(st.sampled_from(["earnings", "macro", "legal"])),
        draw(st.sampled_from(["en", "zh"])),
        draw(st.none() | st.floats(0, 1, width=32)),
        entity_sentiments=tuple(draw(st.sampled_from(SENTIMENTS)) for _ in entities),
    )


questions = st.builds(
    Question,
    group_by=st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=3).map(tuple),
    measure=st.sampled_from(MEASURES),
    start=st.integers(0, 60).map(lambda n: START + timedelta(minutes=n * 7)),
    end=st.integers(61, 100).map(lambda n: START + timedelta(minutes=n * 7)),
    window=st.none() | st.sampled_from([15, 60, 240]).map(lambda n: timedelta(minutes=n)),
    where=st.lists(
        st.sampled_from([("entity", ("AAPL", "SAP")), ("topic", ("macro",)), ("lang", ("en", "fr"))]), unique=True
    ).map(tuple),
    compare=st.booleans(),
    limit=st.just(100_000),
)


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    parts=st.lists(st.lists(posts(), min_size=1, max_size=20), min_size=1, max_size=3),
    asked=st.lists(questions, min_size=1, max_size=3),
    tidied=st.booleans(),
)
def test_figures_equal_those_of_sql(parts: list[list[Row]], asked: list[Question], tidied: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(folder)
        follower, rollups = TableFollower(tables, "posts"), Rollups()
        fresh = NewRows(follower)
        offsets = [0, 0]
        for number, rows in enumerate(parts):
            store_posts(tables, rows, number % 2, offsets[number % 2])
            offsets[number % 2] += len(rows)
            follower.refresh()
            rollups.add(fresh.take(POST_COLUMNS), follower.version)
            rollups.sums(["topic"])  # kept from here on, and added to
            if tidied:
                tables.tidy("posts")
        for question in asked:
            check(tables, rollups, question.aligned())


@pytest.mark.parametrize("looked_up", [0, 8])
def test_figures_over_days_equal_those_of_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_up: int) -> None:
    """Days are settled, summed whole and searched by entity as those of large stores are."""
    monkeypatch.setattr(cubes, "SETTLE_ROWS", 4)
    monkeypatch.setattr(cubes, "MAX_FRESH", 1)
    monkeypatch.setattr(cubes, "MAX_LOOKED_UP", looked_up)
    tables, rollups = Tables(str(tmp_path)), Rollups()
    follower = TableFollower(tables, "posts")
    fresh = NewRows(follower)
    names = ["AAPL", "IBM", "SAP"]
    rows = [
        Row(n * 379 % 7_000, tuple(names[: n % 4]), SENTIMENTS[n % 3], topic=("macro", "earnings")[n % 2])
        for n in range(60)
    ]
    for first in range(0, len(rows), 7):
        store_posts(tables, rows[first : first + 7], 0, first)
        follower.refresh()
        rollups.add(fresh.take(POST_COLUMNS), follower.version)
    some, macro = (("entity", ("AAPL", "SAP")),), (("topic", ("macro",)),)
    for group_by, where, hours in [
        ((), (), None),
        (("entity",), (), None),
        (("entity",), macro, 24),
        ((), some, 48),
        (("topic",), some, 12),
        (("topic",), (), 24),
    ]:
        asked = Question(
            group_by=group_by,
            measure="net_sentiment",
            start=START + timedelta(hours=30),
            end=START + timedelta(hours=100),
            window=timedelta(hours=hours) if hours else None,
            where=where,
            compare=True,
        )
        check(tables, rollups, asked.aligned())


def check(tables: Tables, rollups: Rollups, question: Question) -> None:
    found = answer(rollups, question)
    assert (found.start, found.end) == (question.start, question.end)
    assert question.start
    assert question.end
    length = question.end - question.start
    window = question.window or length
    rows = found.rows.with_columns(
        pl.col("window_start") if question.window else pl.lit(question.start).alias("window_start")
    )
    for number in range(length // window):
        start = question.start + number * window
        shown = {row[:-1]: row[-1] for row in at(rows, start).select(*question.group_by, "value").iter_rows()}
        assert differing(shown, by_sql(tables, question, start, start + window)) == {}
        if question.compare:
            before = by_sql(tables, question, start - length, start + window - length)
            beside = {row[:-1]: row[-1] for row in at(rows, start).select(*question.group_by, "previous").iter_rows()}
            assert differing(beside, {key: before.get(key) for key in beside}) == {}


def differing(ours: Figures, theirs: Figures) -> dict[tuple[object, ...], tuple[float | None, float | None]]:
    return {key: (ours.get(key), theirs.get(key)) for key in ours | theirs if not same(ours.get(key), theirs.get(key))}


def same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def at(rows: pl.DataFrame, start: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("window_start") == start)


def rollups_of(*rows: Row) -> Rollups:
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(folder)
        store_posts(tables, rows)
        follower, rollups = TableFollower(tables, "posts"), Rollups()
        follower.refresh()
        rollups.add(NewRows(follower).take(POST_COLUMNS), follower.version)
        return rollups


def test_without_a_range_all_posts_count() -> None:
    rollups = rollups_of(Row(2), Row(61, sentiment="negative"), Row(300))
    found = answer(rollups, Question(window=timedelta(hours=1)))
    assert (found.start, found.end) == (START, START + timedelta(hours=6))
    assert found.rows["count"].to_list() == [1, 1, 1]
    assert found.rows["window_start"].to_list() == [START + timedelta(hours=n) for n in (0, 1, 5)]


def test_a_range_grows_to_whole_windows() -> None:
    question = Question(
        start=START + timedelta(minutes=59), end=START + timedelta(minutes=61), window=timedelta(hours=1)
    )
    assert question.aligned().start == START
    assert question.aligned().end == START + timedelta(hours=2)
    assert Question(start=START, end=START + timedelta(minutes=1)).aligned().end == START + timedelta(minutes=5)


def test_rows_come_in_the_order_asked_for_the_largest_first() -> None:
    rollups = rollups_of(*(Row(m, (name,)) for m, name in enumerate(["IBM", "AAPL", "AAPL", "SAP", "SAP", "SAP"])))
    found = answer(rollups, Question(group_by=("entity",), order="-count", limit=2))
    assert found.rows["entity"].to_list() == ["SAP", "AAPL"]
    assert answer(rollups, Question(group_by=("entity",), least=2, limit=9)).rows["entity"].to_list() == ["AAPL", "SAP"]


def test_an_empty_store_has_no_figures_but_their_columns() -> None:
    found = answer(Rollups(), Question(group_by=("entity",), window=timedelta(hours=1), compare=True))
    assert found.rows.height == 0
    assert found.rows.columns[:3] == ["entity", "window_start", "window_end"]
    assert (found.start, found.version) == (None, -1)


def test_an_index_is_the_net_sentiment_of_its_members_with_bars() -> None:
    rows = [
        Row(0, ("AAPL", "IBM"), entity_sentiments=("positive", "negative")),
        Row(6, ("AAPL",), "negative"),
        Row(12, ("AAPL",), "positive"),
        Row(12, ("SAP",), "negative"),
        Row(70, ("IBM",), "neutral"),
    ]
    asked = IndexQuestion(members=("AAPL", "IBM"), window=timedelta(hours=1), bars=True)
    found = index_series(rollups_of(*rows), asked).rows
    assert found.select("count", "value", "open", "high", "low", "close").rows() == [
        (4, 0.0, 0.0, 1.0, -1.0, 1.0),
        (1, 0.0, 0.0, 0.0, 0.0, 0.0),
    ]


def test_rows_that_could_not_be_read_are_counted_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = Tables(str(tmp_path))
    follower, rollups = TableFollower(tables, "posts"), Rollups()
    fresh = NewRows(follower)
    store_posts(tables, [Row(0)], 0, 0)
    store_posts(tables, [Row(1)], 0, 1)
    follower.refresh()
    whole = follower.scan
    calls = iter([True, False])
    monkeypatch.setattr(follower, "scan", lambda uris: whole(uris if next(calls) else ["/nowhere.parquet"]))
    with pytest.raises(Exception, match="nowhere"):
        rollups.add(fresh.take(POST_COLUMNS), follower.version)
    monkeypatch.setattr(follower, "scan", whole)
    rollups.add(fresh.take(POST_COLUMNS), follower.version)
    rollups.add(fresh.take(POST_COLUMNS), follower.version)
    assert answer(rollups, Question()).rows["count"].to_list() == [2]
