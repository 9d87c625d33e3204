from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from streamwatch.codec import POST_SCHEMA
from streamwatch.ingest.enrich import ENRICHED_SCHEMA, Enricher
from streamwatch.ingest.entities import Gazetteer

KEY = b"a key of the tests"
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return Enricher(Gazetteer.load(), KEY)


def batch(*posts: dict[str, object]) -> pa.RecordBatch:
    required = {"source": "wire", "published_at": NOW, "appended_at": NOW, "source_partition": 0, "text": "-"}
    rows = [required | {"id": f"p{i}", "source_offset": i} | post for i, post in enumerate(posts)]
    return pa.RecordBatch.from_pylist(rows, schema=POST_SCHEMA)


def test_a_micro_batch_grows_entities_and_novelty_and_loses_personal_data(enricher: Enricher) -> None:
    posts = batch(
        {
            "text": "@Tesla recall, mail jo@example.com",
            "author": "jo",
            "url": "https://jo:pw@a.example/",
            "tickers": ["MSFT"],
        },
        {"text": "@someone recall, mail mo@example.com", "author": "jo"},
    )
    enriched = enricher.enrich(posts)
    assert enriched.schema == ENRICHED_SCHEMA
    first, second = enriched.to_pylist()
    assert first["text"] == "@user recall, mail <email>"
    assert first["url"] == "https://a.example/"
    assert first["author"] == second["author"] != "jo"
    assert first["entities"] == [
        {"name": "Microsoft", "ticker": "MSFT"},
        {"name": "Tesla", "ticker": "TSLA"},
    ]
    assert first["mentions"] == ["", "Tesla"]
    assert second["entities"] == []
    assert first["novelty"] == second["novelty"]


def test_what_it_does_not_add_or_mask_stays_as_it_was(enricher: Enricher) -> None:
    posts = batch({"text": "Apple", "lang": "en"}, {"text": "苹果", "reply_to": "p0"})
    kept = [name for name in POST_SCHEMA.names if name not in ("text", "author", "url")]
    assert enricher.enrich(posts).select(kept) == posts.select(kept)


def test_a_slice_and_an_empty_micro_batch_pass(enricher: Enricher) -> None:
    posts = batch({"text": "Apple"}, {"text": "Tesla and 腾讯"}, {"text": "nothing"})
    whole = enricher.enrich(posts).to_pylist()
    assert enricher.enrich(posts.slice(1)).to_pylist() == whole[1:]
    assert enricher.enrich(posts.slice(0, 0)).num_rows == 0
