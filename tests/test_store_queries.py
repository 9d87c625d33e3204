"""SQL over the tables: what it answers, what it refuses, and what it says when one mistypes."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import StoreError
from streamwatch.store.queries import run_query
from streamwatch.store.tables import Tables

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

FRAMES = {
    "posts": pl.LazyFrame(
        {
            "id": ["a", "b", "c"],
            "source": ["wire", "wire", "forum"],
            "published_at": [NOON, NOON + timedelta(minutes=1), NOON + timedelta(days=1)],
            "sentiment": ["negative", "neutral", "negative"],
            "sentiment_probs": [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.7, 0.2, 0.1]],
            "entities": [[{"name": "Apple", "ticker": "AAPL"}], [], [{"name": "SAP", "ticker": "SAP"}]],
        }
    ),
    "windows": pl.LazyFrame({"group": ["AAPL", "SAP"], "count": [3, 4]}),
    "alerts": pl.LazyFrame({"fingerprint": ["f"], "provenance": [{"model_version": "m1", "watermark": NOON}]}),
}


def answer(sql: str) -> list[tuple[object, ...]]:
    return run_query(sql, FRAMES).rows()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT count(*) FROM posts", [(3,)]),
        ("select id from posts where sentiment = 'negative' order by id desc limit 1", [("c",)]),
        ("SELECT source, count(*) AS n FROM posts GROUP BY source ORDER BY n", [("forum", 1), ("wire", 2)]),
        ("SELECT id FROM posts WHERE published_at >= '2026-01-06T00:00:00Z'", [("c",)]),
        ("SELECT id FROM posts WHERE published_at >= DATE '2026-01-06'", [("c",)]),
        ("WITH p AS (SELECT * FROM posts WHERE id < 'c') SELECT count(*) FROM p", [(2,)]),
        ('SELECT "group" FROM windows WHERE count > 3', [("SAP",)]),
        ("SELECT provenance.model_version FROM alerts", [("m1",)]),
        ("SELECT sentiment_probs[1] FROM posts WHERE id = 'a'", [(0.8,)]),
        ("-- the last one\n (SELECT max(id) FROM posts)", [("c",)]),
        ("SELECT id FROM posts WHERE id = 'a' -- ; DROP TABLE posts", [("a",)]),
        ('SELECT w.count FROM posts p JOIN windows w ON p.id = w."group"', []),
    ],
)
def test_selects_are_answered(sql: str, expected: list[tuple[object, ...]]) -> None:
    assert answer(sql) == expected


def test_structs_and_lists_come_as_they_are() -> None:
    (row,) = run_query("SELECT entities, sentiment_probs FROM posts WHERE id = 'a'", FRAMES).to_dicts()
    assert row == {"entities": [{"name": "Apple", "ticker": "AAPL"}], "sentiment_probs": [0.8, 0.1, 0.1]}


def test_entities_can_be_unnested_with_a_cte() -> None:
    sql = "WITH e AS (SELECT id, unnest(entities) AS entity FROM posts) SELECT id, entity.ticker FROM e ORDER BY id"
    assert [row for row in answer(sql) if row[1]] == [("a", "AAPL"), ("c", "SAP")]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE posts",
        "DELETE FROM posts",
        "TRUNCATE TABLE posts",
        "INSERT INTO posts VALUES (1)",
        "UPDATE posts SET id = 'x'",
        "CREATE TABLE t AS SELECT * FROM posts",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "FROM posts",
        "VALUES (1)",
        "/* SELECT */ DROP TABLE posts",
        "",
        "   ",
    ],
)
def test_only_selects_are_allowed(sql: str) -> None:
    with pytest.raises(StoreError, match=r"only SELECT and WITH \.\.\. SELECT are allowed"):
        answer(sql)


def test_one_statement_at_a_time() -> None:
    with pytest.raises(StoreError, match="one"):
        answer("SELECT 1; DROP TABLE posts")


@pytest.mark.parametrize("function", ["read_csv", "READ_PARQUET", "read_json", "Read_Ipc", "read_ndjson", "scan_csv"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM {}('{}')",
        "SELECT * FROM posts, {} ('{}')",
        "SELECT * FROM /* */ {}/**/('{}')",
        "SELECT * FROM \"{}\"('{}')",
        "SELECT id FROM posts WHERE id IN (SELECT a FROM {}('{}'))",
        "WITH f AS (SELECT * FROM {}('{}')) SELECT * FROM f",
    ],
)
def test_files_cannot_be_read(tmp_path: Path, sql: str, function: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(StoreError, match="is not allowed: only the tables can be read"):
        answer(sql.format(function, secret))


@pytest.mark.parametrize("sql", ["SELECT * FROM '{}'", 'SELECT * FROM "{}"', "SELECT * FROM `{}`"])
def test_a_path_is_no_table(tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(StoreError, match="unknown table .*: there are posts, windows, alerts"):
        answer(sql.format(secret))


def test_frames_of_the_program_are_no_tables() -> None:
    hidden = pl.DataFrame({"a": [1]})
    assert hidden.height == 1
    with pytest.raises(StoreError, match="unknown table 'hidden'"):
        answer("SELECT * FROM hidden")


def test_a_wrong_column_names_what_is_near() -> None:
    with pytest.raises(StoreError, match=r"unknown column 'sentimnt': did you mean sentiment.*posts: id, source"):
        answer("SELECT sentimnt FROM posts")


def test_the_column_group_needs_no_quotes() -> None:
    assert answer("SELECT group, sum(count) FROM windows WHERE group = 'SAP' GROUP BY group") == [("SAP", 4)]


def test_an_error_is_one_line() -> None:
    with pytest.raises(StoreError) as caught:
        answer("SELECT nonsense(id) FROM posts")
    assert "\n" not in str(caught.value)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_answered_or_refused(tail: str) -> None:
    with suppress(StoreError):
        run_query(f"SELECT {tail}", FRAMES)


def test_queries_over_a_store_without_tables(tmp_path: Path) -> None:
    tables = Tables(str(tmp_path / "nothing"))
    for name in ("posts", "windows", "alerts", "labels"):
        assert tables.query(f"SELECT * FROM {name}").columns == tables.scan(name).collect_schema().names()
    assert tables.query("SELECT provenance.watermark FROM alerts").height == 0
    assert not (tmp_path / "nothing").exists()
