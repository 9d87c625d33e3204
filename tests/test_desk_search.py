"""Search over stored posts: what is found, and that pages fit together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from streamwatch.desk import search as searching
from streamwatch.desk.search import Filters, Place, PostSearch
from streamwatch.errors import BadRecord
from streamwatch.store.follower import TableFollower
from streamwatch.store.tables import Tables
from tests.scored_rows import START, Row
from tests.stored_desk import store_posts

ROWS = [
    Row(0, ("AAPL",), "negative", "wire", "earnings", "en", text="Apple battery FIRE spreads"),
    Row(1, ("IBM",), "positive", "forum", "macro", "en", text="IBM up"),
    Row(2, (), "neutral", "wire", "macro", "zh", text="苹果公司电池起火"),
    Row(3, ("AAPL", "IBM"), "neutral", "wire", "legal", "en", entity_sentiments=("positive", "negative")),
    Row(3, ("SAP",), "negative", "wire", "legal", "en", text="a fire. at SAP's battery plant", intent="express"),
]


def search_over(folder: Path, *parts: list[Row]) -> PostSearch:
    tables = Tables(str(folder))
    offset = 0
    for rows in parts:
        store_posts(tables, rows, 0, offset)
        offset += len(rows)
    follower = TableFollower(tables, "posts")
    follower.refresh()
    return PostSearch(follower)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> PostSearch:
    return search_over(tmp_path_factory.mktemp("posts"), ROWS[:2], ROWS[2:])


@pytest.mark.parametrize(
    ("filters", "offsets"),
    [
        (Filters(), [4, 3, 2, 1, 0]),
        (Filters(entity=("AAPL",)), [3, 0]),
        (Filters(entity=("AAPL", "SAP")), [4, 3, 0]),
        (Filters(entity=("IBM",), entity_sentiment=("negative",)), [3]),
        (Filters(entity_sentiment=("positive",)), [3, 1]),
        (Filters(sentiment=("negative",), topic=("legal",)), [4]),
        (Filters(intent=("express",)), [4]),
        (Filters(source=("forum",)), [1]),
        (Filters(lang=("zh", "fr")), [2]),
        (Filters(text="fire battery"), [4, 0]),
        (Filters(text="起火"), [2]),
        (Filters(text="fire. at"), [4]),
        (Filters(ids=("0-1", "none")), [1]),
        (Filters(start=START + timedelta(minutes=1), end=START + timedelta(minutes=3)), [2, 1]),
        (Filters(start=START + timedelta(days=1)), []),
        (Filters(end=START), []),
    ],
)
def test_posts_are_found_by_what_they_are(found: PostSearch, filters: Filters, offsets: list[int]) -> None:
    assert [post["source_offset"] for post in found.page(filters, 10).posts] == offsets


def test_a_post_shows_its_probabilities_by_label(found: PostSearch) -> None:
    post = found.page(Filters(ids=("0-3",)), 1).posts[0]
    assert post["sentiment_probs"] == {"negative": 0.1, "neutral": 0.8, "positive": 0.1}
    assert post["entities"][1]["sentiment_probs"] == {"negative": 0.8, "neutral": 0.1, "positive": 0.1}


def test_pages_neither_repeat_nor_skip_while_posts_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "FIRST_SLICE_ROWS", 3)
    monkeypatch.setattr(searching, "SLICE_GROWTH", 1)
    rows = [Row(index // 3) for index in range(40)]
    search = search_over(tmp_path, rows[:12], rows[12:25], rows[25:])
    seen: list[int] = []
    cursor: str | None = None
    added = 40
    while True:
        page = search.page(Filters(), 7, Place.read(cursor) if cursor else None)
        seen += [post["source_offset"] for post in page.posts]
        cursor = page.next_cursor
        if cursor is None:
            break
        store_posts(Tables(str(tmp_path)), [Row(50), Row(51)], 0, added)
        added += 2
        search = search_over(tmp_path)
    assert seen == list(range(39, -1, -1))


def test_a_long_search_is_cut_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "FIRST_SLICE_ROWS", 1)
    monkeypatch.setattr(searching, "SLICE_GROWTH", 1)
    monkeypatch.setattr(searching, "MAX_SEARCHED_ROWS", 2)
    search = search_over(tmp_path, *([Row(minute, text=f"number {minute}")] for minute in range(7)))
    pages: list[list[dict[str, Any]]] = []
    after: Place | None = None
    while True:
        page = search.page(Filters(text="number 1"), 5, after)
        pages.append(page.posts)
        if page.next_cursor is None:
            break
        after = Place.read(page.next_cursor)
    assert [[post["text"] for post in posts] for posts in pages] == [[], [], ["number 1"], []]


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "gaE", "kwECAw==x", "k88AAAAAAAAAAQIDBA"])
def test_a_cursor_of_another_place_is_refused(cursor: str) -> None:
    with pytest.raises(BadRecord, match="none that this desk gave"):
        Place.read(cursor)


def test_a_store_without_posts_has_none(tmp_path: Path) -> None:
    assert search_over(tmp_path).page(Filters(text="x"), 5) == ([], None)
