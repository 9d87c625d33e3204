"""Made-up scored micro-batches with many keys: what the benchmark of the windows is run on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamwatch.codec import ENTITY, INSTANT, SCORED_SCHEMA
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS

TEXTS = 4_096
SECOND_PART = 0.25
"""Share of the posts that name two companies, not one."""
LANGUAGES = ("en", "zh")

Ints = NDArray[np.int64]


class Pools(NamedTuple):
    """What the columns of posts are drawn from."""

    tickers: pa.Array
    names: pa.Array
    texts: pa.Array
    sources: pa.Array
    authors: pa.Array


class Posts:
    """Scored posts about many companies, of one source partition; the same seed gives the same ones.

    The companies are written about as cities have inhabitants: the second half as much as the first, the third a
    third (Zipf 1949).

    Args:
        keys: How many companies there are.
        seed: Of every draw.
    """

    def __init__(self, keys: int, seed: int) -> None:
        self.keys = keys
        self._draw = np.random.default_rng(seed)
        self._shares = np.cumsum(1.0 / np.arange(1, keys + 1))
        self._shares /= self._shares[-1]
        self._offset = 0
        self._pools = Pools(
            pa.array([f"T{key:06d}" for key in range(keys)]),
            pa.array([f"Company {key}" for key in range(keys)]),
            pa.array(
                [f"Post {text} says of its company what {text * 7} others say too, at length" for text in range(TEXTS)]
            ),
            pa.array([f"source-{source}" for source in range(40)]),
            pa.array([f"author-{author}" for author in range(20_000)]),
        )

    def batch(self, start_us: int, end_us: int, posts: int) -> pa.RecordBatch:
        """Return the next posts, published in `[start, end)`, in order."""
        keys = np.searchsorted(self._shares, self._draw.random(posts + int(posts * SECOND_PART)))
        ends = np.arange(1, posts + 1) + np.arange(1, posts + 1) * int(posts * SECOND_PART) // posts
        second = ends[np.diff(ends, prepend=0) == 2] - 1
        # No post names a company twice.
        same = second[keys[second] == keys[second - 1]]
        keys[same] = (keys[same] + 1) % self.keys
        return self._batch(np.sort(self._draw.integers(start_us, end_us, posts)), keys, ends)

    def every_key(self, at_us: int) -> pa.RecordBatch:
        """Return one post about every company, all published at one instant."""
        return self._batch(np.full(self.keys, at_us), np.arange(self.keys), np.arange(1, self.keys + 1))

    def _batch(self, at_us: Ints, keys: Ints, ends: Ints) -> pa.RecordBatch:
        """Return posts.

        Args:
            at_us: When each was published.
            keys: The companies that they name, one after the other.
            ends: Where those of each post end among them.
        """
        rows, pools, at = len(at_us), self._pools, pa.array(at_us).cast(INSTANT)
        entities = [
            pools.names.take(pa.array(keys)),
            pools.tickers.take(pa.array(keys)),
            self._labels(SENTIMENTS, len(keys)),
            self._probs(len(keys), len(SENTIMENTS)),
        ]
        columns = {
            "id": pa.array(np.arange(self._offset, self._offset + rows)).cast(pa.string()),
            "source": self._some(pools.sources, rows),
            "author": self._some(pools.authors, rows),
            "lang": self._labels(LANGUAGES, rows),
            "published_at": at,
            "text": self._some(pools.texts, rows),
            "appended_at": at,
            "source_partition": pa.array(np.zeros(rows), pa.int32()),
            "source_offset": pa.array(np.arange(self._offset, self._offset + rows)),
            "entities": pa.ListArray.from_arrays(
                pa.array(np.append(0, ends), pa.int32()), pa.StructArray.from_arrays(entities, fields=list(ENTITY))
            ),
            "novelty": pa.array(self._draw.integers(-(2**63), 2**63, rows)),
            "sentiment": self._labels(SENTIMENTS, rows),
            "topic": self._labels(TOPICS, rows),
            "intent": self._labels(INTENTS, rows),
            "sentiment_probs": self._probs(rows, len(SENTIMENTS)),
            "model_version": pa.array(["made up"]).take(pa.array(np.zeros(rows, np.int64))),
            "scored_at": at,
        }
        self._offset += rows
        missing = {field.name: pa.nulls(rows, field.type) for field in SCORED_SCHEMA}
        return pa.record_batch(
            [columns.get(field.name, missing[field.name]).cast(field.type) for field in SCORED_SCHEMA],
            schema=SCORED_SCHEMA,
        )

    def _some(self, pool: pa.Array, rows: int) -> pa.Array:
        return pool.take(pa.array(self._draw.integers(0, len(pool), rows)))

    def _labels(self, labels: tuple[str, ...], rows: int) -> pa.Array:
        return self._some(pa.array(labels), rows)

    def _probs(self, rows: int, classes: int) -> pa.Array:
        flat = self._draw.random((rows, classes), np.float32)
        flat /= flat.sum(axis=1, keepdims=True)
        ends = np.arange(0, (rows + 1) * classes, classes)
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat.ravel()))
