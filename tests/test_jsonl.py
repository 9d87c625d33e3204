from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import BadRecord
from streamwatch.jsonl import Line, parse_object, read_lines


def lines(data: bytes, max_bytes: int = 1_000) -> list[tuple[int, bytes]]:
    return [(line.number, line.data) for line in read_lines(io.BytesIO(data), max_bytes)]


def test_blank_lines_count_and_do_not_come() -> None:
    assert lines(b"\n1\r\n \n2") == [(2, b"1"), (4, b"2")]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert lines(b"\xef\xbb\xbf{}\n") == [(1, b"{}")]


def test_a_line_that_is_too_long_costs_only_itself() -> None:
    read = list(read_lines(io.BytesIO(b"1\n" + b"x" * 100 + b"\n3\n"), max_bytes=10))
    assert [(line.number, line.truncated) for line in read] == [(1, False), (2, True), (3, False)]
    assert read[1].data == b"x" * 10
    with pytest.raises(BadRecord, match="longer than"):
        parse_object(read[1])


def test_a_line_just_as_long_as_allowed_is_whole() -> None:
    (line,) = read_lines(io.BytesIO(b"x" * 9 + b"\n"), max_bytes=10)
    assert line == Line(1, b"x" * 9)


@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda data: b"\n" not in data and data.strip())))
def test_every_line_comes_once_with_its_number(rows: list[bytes]) -> None:
    read = lines(b"first\n" + b"\n".join(rows))
    assert read[1:] == [(number, row.strip()) for number, row in enumerate(rows, 2)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not JSON"),
        (b"7", "not a JSON object"),
        (b'{"a": "\xff"}', "invalid UTF-8 at byte 7"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"a":' * 50_000, "not JSON"),
    ],
)
def test_what_is_no_object_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        parse_object(Line(1, data))


def test_members_keep_their_order_and_their_digits() -> None:
    members = parse_object(Line(1, b'{"z": 1.10, "a": 12345678901234567890123, "m": [1e400]}'))
    assert [(name, bytes(value)) for name, value in members.items()] == [
        ("z", b"1.10"),
        ("a", b"12345678901234567890123"),
        ("m", b"[1e400]"),
    ]
