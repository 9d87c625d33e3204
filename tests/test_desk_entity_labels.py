from __future__ import annotations

from datetime import UTC, datetime

from streamwatch.desk.entity_labels import with_tickers
from streamwatch.ingest.entities import Gazetteer
from streamwatch.records import Label


def about(entity: str | None) -> Label:
    return Label(
        post_id="p",
        task="entity" if entity else "topic",
        gold_label="negative",
        labeller="ann",
        labelled_at=datetime(2026, 1, 5, tzinfo=UTC),
        origin="dashboard",
        entity=entity,
    )


def test_an_entity_is_labelled_under_its_ticker_however_it_is_spelt() -> None:
    spelt = ["Apple", "AAPL", "苹果", "GOOG", "0700.HK", "Apple and Tesla", "Nobody Ltd", None]
    found = with_tickers([about(name) for name in spelt], Gazetteer.load())
    expected = ["AAPL", "AAPL", "AAPL", "GOOGL", "0700.HK", "Apple and Tesla", "Nobody Ltd", None]
    assert [label.entity for label in found] == expected
    assert found[-1] == about(None)
    assert with_tickers([], Gazetteer.load()) == []
