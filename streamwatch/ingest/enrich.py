"""What SCORE adds to a micro-batch before the model sees it: entities, novelty, and masks over personal data."""

from __future__ import annotations

import pyarrow as pa

from streamwatch.codec import POST_SCHEMA
from streamwatch.ingest.entities import FOUND, Gazetteer
from streamwatch.ingest.masking import mask_text, mask_url, pseudonym
from streamwatch.ingest.novelty import novelty

ENRICHED_SCHEMA = pa.schema(
    [*POST_SCHEMA, ("entities", pa.list_(FOUND)), ("mentions", pa.list_(pa.string())), ("novelty", pa.int64())]
)
"""A masked micro-batch with its entities, how each is spelt in the text ("" if it is not), and its novelty."""


class Enricher:
    """Finds entities, hashes and masks whole micro-batches.

    Args:
        gazetteer: The companies to look for.
        author_key: The secret under which authors become pseudonyms, 16 bytes or more. The same key gives the
            same pseudonyms, so it must outlive a restart.
    """

    def __init__(self, gazetteer: Gazetteer, author_key: bytes) -> None:
        self._gazetteer = gazetteer
        self._author_key = author_key

    def enrich(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the micro-batch masked, with entities and novelty: the columns of `ENRICHED_SCHEMA`.

        Entities come from the text before it is masked, as a handle may name a company; novelty and everything
        after it from the masked text, so that they can be computed again from the table.
        """
        found = self._gazetteer.entities(batch.column("text"), batch.column("tickers"))
        text = mask_text(batch.column("text"))
        columns = dict(zip(batch.schema.names, batch.columns, strict=True)) | {
            "text": text,
            "author": pseudonym(batch.column("author"), self._author_key),
            "url": mask_url(batch.column("url")),
            "entities": found.entities,
            "mentions": found.mentions,
            "novelty": novelty(text),
        }
        return pa.record_batch([columns[name] for name in ENRICHED_SCHEMA.names], schema=ENRICHED_SCHEMA)
