"""Labels about entities under the name that posts have them by, however a person spelt it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from streamwatch.ingest.entities import Gazetteer
from streamwatch.records import Label


def with_tickers(labels: Sequence[Label], gazetteer: Gazetteer) -> list[Label]:
    """Return labels with the tickers of their entities: `Apple` and `苹果` are AAPL.

    What names no company that is known, or several, stays as it is written.

    Args:
        labels: Labels of any task.
        gazetteer: Knows the companies.
    """
    names = sorted({label.entity for label in labels if label.entity})
    found = gazetteer.entities(pa.array(names, pa.string()), pa.nulls(len(names))).entities.to_pylist()
    tickers = {name: entities[0]["ticker"] for name, entities in zip(names, found, strict=True) if len(entities) == 1}
    return [
        msgspec.structs.replace(label, entity=tickers[label.entity]) if label.entity in tickers else label
        for label in labels
    ]
