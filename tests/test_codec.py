"""From bytes to columns and back; and whatever else arrives becomes a dead letter with its reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.codec import (
    INSTANT,
    POST_SCHEMA,
    SCORED_SCHEMA,
    Decoded,
    PostDecoder,
    decode_scored,
    encode_batch,
    heartbeat_header,
    read_heartbeat,
    with_scores,
)
from streamwatch.errors import BadRecord
from streamwatch.ingest.entities import FOUND

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DECODER = PostDecoder(max_future_s=300)


class Sent(NamedTuple):
    """A message as a poll gives it."""

    value: bytes | None
    offset: int = 7
    timestamp: int = 1_767_614_400_000
    headers: Sequence[tuple[str, bytes]] = ()


def post(**fields: Any) -> bytes:
    full = {"id": "1", "source": "wire", "published_at": "2026-01-05T11:59:00Z", "text": "Apple falls"} | fields
    return json.dumps(full).encode()


def decode(*values: bytes | None) -> Decoded:
    return DECODER.decode("streamwatch.posts", 3, [Sent(value, 7 + place) for place, value in enumerate(values)], NOW)


def reason(value: bytes | None) -> str:
    decoded = decode(value)
    assert decoded.batch.num_rows == 0
    (letter,) = decoded.dead
    assert letter[:3] == ("streamwatch.posts", 3, 7)
    assert letter.value == (value or b"")
    return letter.reason


def test_a_full_post_becomes_one_row() -> None:
    fields: dict[str, Any] = {
        "schema": "post.v1",
        "lang": "zh",
        "url": "https://example.com/1",
        "author": "ann",
        "tickers": ["AAPL", "0700.HK"],
        "reply_to": "0",
        "text": "苹果 📉\x00",
    }
    decoded = decode(post(published_at="2026-01-05T19:59:00.123456+08:00", **fields))
    assert decoded.dead == []
    assert decoded.batch.schema == POST_SCHEMA
    del fields["schema"]
    assert decoded.batch.to_pylist() == [
        fields
        | {
            "id": "1",
            "source": "wire",
            "published_at": datetime(2026, 1, 5, 11, 59, 0, 123456, tzinfo=UTC),
            "appended_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
            "source_partition": 3,
            "source_offset": 7,
        }
    ]


def test_good_and_bad_posts_keep_their_offsets_and_order() -> None:
    decoded = decode(post(id="a"), b"{", post(id="b"), None, post(id="c"))
    assert decoded.batch.column("source_offset").to_pylist() == [7, 9, 11]
    assert decoded.batch.column("id").to_pylist() == ["a", "b", "c"]
    assert [letter.offset for letter in decoded.dead] == [8, 10]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "no value"),
        (b"", "not JSON: Input data was truncated"),
        (b"hello", "not JSON: JSON is malformed"),
        (b"[]", "not post.v1: Expected `object`, got `array`"),
        (b"null", "not post.v1: Expected `object`, got `null`"),
        (post() + b" x", "not JSON: JSON is malformed: trailing characters"),
        (post(schema="post.v2"), "not post.v1: Invalid enum value 'post.v2' - at `$.schema`"),
        (post(id=1), "not post.v1: Expected `str`, got `int` - at `$.id`"),
        (post(text=None), "not post.v1: Expected `str`, got `null` - at `$.text`"),
        (post(tickers="AAPL"), "not post.v1: Expected `array`, got `str` - at `$.tickers`"),
        (post(likes=3), "not post.v1: Object contains unknown field `likes`"),
        (b'{"id": "1", "source": "s", "text": "x"}', "not post.v1: Object missing required field `published_at`"),
        (post(id=""), "not post.v1: Expected `str` of length >= 1 - at `$.id`"),
        (post(text=""), "not post.v1: Expected `str` of length >= 1 - at `$.text`"),
        (post(text="x" * 20_001), "not post.v1: Expected `str` of length <= 20000 - at `$.text`"),
        (post(tickers=["A"] * 65), "not post.v1: Expected `array` of length <= 64 - at `$.tickers`"),
        (post(published_at="yesterday"), "not post.v1: Invalid RFC3339 encoded datetime - at `$.published_at`"),
        (post(published_at=1_767_614_400), "not post.v1: Expected `datetime`, got `int` - at `$.published_at`"),
        (
            post(published_at="2026-01-05T11:59:00"),
            "not post.v1: Expected `datetime` with a timezone component - at `$.published_at`",
        ),
        (post(published_at="2026-01-05T12:05:01Z"), "published_at is in the future: 2026-01-05T12:05:01+00:00"),
        (post(published_at="9998-12-31T23:59:59Z"), "published_at is in the future"),
        (post(published_at="9999-12-31T23:59:59-23:59"), "published_at out of range"),
        (post(published_at="0001-01-01T00:00:00+23:59"), "published_at out of range"),
        (post(published_at="1969-12-31T23:59:59Z"), "published_at out of range"),
        (post().replace(b"Apple", b"\xff\xfe"), "invalid UTF-8: invalid start byte"),
        (post().replace(b"Apple", b"\\ud800"), "not JSON"),
        (b"{" * 10_000_000, "not JSON: JSON is malformed: object keys must be strings"),
        (b"[" * 10_000_000, "not post.v1: Expected `object`, got `array`"),
        (b'{"text":' * 1_000_000, "not post.v1: Expected `str`, got `object` - at `$.text`"),
        (b'{"x":' + b"[" * 5_000_000, "not post.v1: Object contains unknown field `x`"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_each_hostile_kind_has_its_reason(value: bytes | None, expected: str) -> None:
    assert reason(value).startswith(expected)


def test_what_is_just_allowed_passes() -> None:
    values = [
        post(text="x" * 20_000),
        post(text="苹" * 20_000),
        post(published_at="2026-01-05T12:05:00Z"),
        post(published_at="1970-01-01T00:00:00Z"),
        post(lang=None, url=None, author=None, reply_to=None, tickers=[]),
    ]
    assert decode(*values).batch.num_rows == len(values)


@pytest.mark.parametrize("stamp", [-1, 0, 2**62, 2**63 - 1])
def test_any_stamp_of_a_producer_is_held(stamp: int) -> None:
    batch = DECODER.decode("posts", 0, [Sent(post(), timestamp=stamp)], NOW).batch
    assert batch.column("appended_at")[0].as_py().year in (1970, 9998)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
near_posts = st.fixed_dictionaries(
    {},
    optional={
        "schema": st.just("post.v1") | json_values,
        "id": st.text() | json_values,
        "source": st.text() | json_values,
        "published_at": st.datetimes(timezones=st.timezones()).map(datetime.isoformat) | json_values,
        "text": st.text() | json_values,
        "lang": json_values,
        "tickers": st.lists(st.text()) | json_values,
    },
)


@settings(deadline=None)
@given(st.binary() | near_posts.map(json.dumps).map(str.encode), st.integers(-(2**63), 2**63 - 1))
def test_no_bytes_ever_raise_and_none_are_lost(value: bytes, stamp: int) -> None:
    decoded = DECODER.decode("posts", 0, [Sent(value, timestamp=stamp)], NOW)
    assert decoded.batch.num_rows + len(decoded.dead) == 1
    decoded.batch.validate(full=True)


@settings(deadline=None)
@given(st.integers(0, len(post()) - 1), st.integers(0, 255))
def test_one_wrong_byte_in_a_good_post_never_raises(place: int, byte: int) -> None:
    value = bytearray(post())
    value[place] = byte
    decoded = decode(bytes(value))
    assert decoded.batch.num_rows + len(decoded.dead) == 1


def scored(rows: int = 3, **columns: list[Any]) -> pa.RecordBatch:
    defaults: dict[str, list[Any]] = {
        "id": [str(row) for row in range(rows)],
        "source": ["wire"] * rows,
        "published_at": [NOW] * rows,
        "text": ["text"] * rows,
        "appended_at": [NOW] * rows,
        "source_partition": [1] * rows,
        "source_offset": list(range(rows)),
    }
    given_columns = defaults | columns
    return pa.record_batch(
        [pa.array(given_columns.get(field.name, [None] * rows), field.type) for field in SCORED_SCHEMA],
        schema=SCORED_SCHEMA,
    )


def test_a_scored_batch_comes_back_as_it_was() -> None:
    batch = scored(sentiment=["negative", None, "positive"], sentiment_probs=[[0.8, 0.1, 0.1], None, []])
    assert decode_scored(encode_batch(batch)) == batch
    assert decode_scored(encode_batch(scored(rows=0))) == scored(rows=0)


def test_a_slice_takes_only_its_own_rows_along() -> None:
    batch = scored(rows=2_000)
    assert len(encode_batch(batch.slice(0, 1))) < len(encode_batch(batch)) / 20
    assert decode_scored(encode_batch(batch.slice(5, 2))).column("source_offset").to_pylist() == [5, 6]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "no value"),
        (b"", "not an Arrow IPC stream"),
        (b"\xff" * 100, "not an Arrow IPC stream"),
        (encode_batch(scored())[:-200], "not an Arrow IPC stream"),
        (encode_batch(scored().drop_columns(["novelty"])), "not scored.v1: columns differ: novelty"),
        (encode_batch(scored(source_offset=[3, 3, 4])), "not scored.v1: rows are not of one source partition"),
        (encode_batch(scored(source_partition=[1, 1, 2])), "not scored.v1: rows are not of one source partition"),
        (encode_batch(scored(text=["a", None, "b"])), "not scored.v1: text has no value in some rows"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_scored_batch_has_its_reason(value: bytes | None, expected: str) -> None:
    with pytest.raises(BadRecord, match=expected):
        decode_scored(value)


GOOD = encode_batch(scored())


@settings(deadline=None, max_examples=300)
@given(st.binary() | st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)))
def test_broken_scored_bytes_are_a_bad_record_or_a_sound_batch(damage: bytes | tuple[int, int]) -> None:
    value = bytearray(GOOD)
    if isinstance(damage, bytes):
        value = bytearray(damage)
    else:
        value[damage[0]] = damage[1]
    try:
        batch = decode_scored(bytes(value))
    except BadRecord:
        return
    batch.validate(full=True)
    batch.to_pydict()


def test_scores_join_their_posts_and_entities_get_their_own_sentiment() -> None:
    enriched = decode(post(id="a"), post(id="b"), post(id="c")).batch
    named = [
        [{"name": "Apple", "ticker": "AAPL"}, {"name": "SAP", "ticker": None}],
        None,
        [{"name": "X", "ticker": "X"}],
    ]
    enriched = enriched.append_column("entities", pa.array(named, pa.list_(FOUND)))
    enriched = enriched.append_column("novelty", pa.array([1, 2, 3], pa.int64()))
    labels = pa.array(["negative", "neutral", "positive"])
    probs = pa.array([[0.5, 0.3, 0.2]] * 3, pa.list_(pa.float32()))
    scores = {
        **dict.fromkeys(("sentiment", "topic", "intent"), labels),
        **dict.fromkeys(("sentiment_probs", "topic_probs", "intent_probs"), probs),
        "entity_probs": pa.array(
            [[[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], [], [[0.0, 0.25, 0.75]]], pa.list_(pa.list_(pa.float32()))
        ),
        "model_version": pa.array(["m1"] * 3),
    }
    batch = with_scores(enriched, scores, NOW)
    assert batch.schema == SCORED_SCHEMA
    found = [[(entity["name"], entity["sentiment"]) for entity in row] for row in batch.column("entities").to_pylist()]
    assert found == [[("Apple", "negative"), ("SAP", "neutral")], [], [("X", "positive")]]
    assert batch.column("entities")[0][1]["sentiment_probs"].as_py() == [0.25, 0.5, 0.25]
    assert batch.column("scored_at").to_pylist() == [NOW] * 3
    last = with_scores(enriched.slice(2), {name: column.slice(2) for name, column in scores.items()}, NOW)
    assert last.to_pylist() == batch.to_pylist()[2:]
    assert decode_scored(encode_batch(batch)) == batch


def test_an_empty_batch_can_be_scored() -> None:
    enriched = decode().batch.append_column("entities", pa.array([], pa.list_(FOUND)))
    enriched = enriched.append_column("novelty", pa.array([], pa.int64()))
    names = ("sentiment", "topic", "intent", "sentiment_probs", "topic_probs", "intent_probs", "model_version")
    scores = {name: pa.array([], SCORED_SCHEMA.field(name).type) for name in names}
    scores["entity_probs"] = pa.array([], pa.list_(pa.list_(pa.float32())))
    assert with_scores(enriched, scores, NOW).num_rows == 0


def test_a_heartbeat_tells_its_instant() -> None:
    beijing = datetime(2026, 1, 5, 20, tzinfo=timezone(timedelta(hours=8)))
    assert read_heartbeat([("other", b"x"), *heartbeat_header(beijing)]) == beijing


@pytest.mark.parametrize(
    "value", [b"", b"soon", b"\xff", b"2026-01-05T12:00:00", b"0001-01-01T00:00:00+10:00", b"9999-12-31T23:00:00-10:00"]
)
def test_a_heartbeat_that_cannot_be_read_is_none(value: bytes) -> None:
    assert read_heartbeat([("heartbeat", value)]) is None


def test_headers_without_heartbeat_or_without_value_are_none() -> None:
    assert read_heartbeat([]) is None
    nothing: Any = None
    assert read_heartbeat([("heartbeat", nothing)]) is None


def test_instants_are_microseconds_in_utc() -> None:
    assert pa.timestamp("us", tz="UTC") == INSTANT
