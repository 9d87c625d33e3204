from __future__ import annotations

import hashlib
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.ingest.identifiers import luhn
from streamwatch.ingest.masking import mask_text, mask_url, pseudonym

KEY = b"0123456789abcdef"
PIECES = (
    ["jo@example.com", "@jo_trades", "+44 20 7946 0958", "13812345678", "4111 1111 1111 1111", "192.168.1.17", "微信:"]
    + [
        "https://jo:pw@a.example/x?token=abc",
        "DE89370400440532013000",
        "11010519491231002X",
        "123-45-6789",
        "电话",
        "QQ",
    ]
    + ["//@张三:", " ", "@", ".", "-", "+", "0", "7", "x.com/jo/status/1", "2026-01-05", "$12.50", "％", "é", "\n", "a"]
)


def masked(text: str) -> str:
    (result,) = mask_text(pa.array([text])).to_pylist()
    assert isinstance(result, str)
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail jo.b+x@mail.example.co.uk now", "mail <email> now"),
        ("联系zhang@example.com谢谢", "联系<email>谢谢"),
        ("@jo: RT .@abc (@def) 回复@李四:好", "@user: RT .@user (@user) 回复@user:好"),
        ("//@张三: 转发", "//@user: 转发"),
        ("call +44 20 7946 0958 or (415) 555-2671", "call <phone> or <phone>"),
        ("1-415-555-2671, 415.555.2671, +1 (212) 555 0199", "<phone>, <phone>, <phone>"),
        ("06 12 34 56 78; 020 7946 0018; 030 1234567", "<phone>; <phone>; <phone>"),
        ("0049 30 1234567 +420 123 456 789 +8613812345678", "<phone> <phone> <phone>"),
        ("手机13812345678，座机010-12345678", "手机<phone>，座机<phone>"),
        ("138 1234 5678 和 +86 138-1234-5678", "<phone> 和 <phone>"),
        ("phone: 555 1234 567", "phone: <phone>"),
        ("card 4111-1111-1111-1111, 371449635398431", "card <card>, <card>"),
        ("银联6222020000000000000", "银联<card>"),
        ("to DE89 3704 0044 0532 0130 00 AND on", "to <iban> AND on"),
        ("GB82WEST12345698765432.", "<iban>."),
        ("SSN 123-45-6789", "SSN <ssn>"),
        ("身份证11010519491231002X。", "身份证<id>。"),
        ("from 192.168.1.17 and 2001:db8::ff00:42:8329", "from <ip> and <ip>"),
        ("https://jo:pw@a.example/x?token=abc&page=1", "https://a.example/x?token=<token>&page=1"),
        ("https://twitter.com/jo/status/616141907035574272", "https://twitter.com/i/status/616141907035574272"),
        ("加微信 abc12345 或 QQ群:123456789", "加微信 <contact> 或 QQ群:<contact>"),
    ],
)
def test_personal_data_is_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "AAPL +3.25% -1.20 128.50 on 2026-01-05 09:30:15, volume 12,345,678",
        "$1,234,567.89 up +12.50 12.75, market cap 2500000000",
        "volume 13812345678 shares, 成交额15000000000元, 成交13812345678股",
        "05.01.2026, 01/05/2026 12:30, 2026年1月5日 14:30:00",
        "1.0850 1.0920 1.1000 1.1050, range 28500-29000-29500",
        "600519 300750 002594 000001 00700 09988",
        "bought @12.50, sold @5k, $AAPL @ 189.5, @3M",
        "EPS 1.23 vs 1.10, FY2025, 2024-2025, Q3, 1 234 567 890 and 1.234.567",
        "+1 234 567 shares, ids 616141907035574272 616146508191281152",
        "https://t.co/a?id=4111111111111111 https://x.example/13812345678",
        "S&P 5,432.10 (+0.45%), 10Y 4.25%, 2s10s -12bp, $TQQQ: Sidestepping",
        "ISIN US0378331005, epoch 1736070615000, 12:30:45, std::vector",
        "levels 4500 4550 4600 4650 4700; 250 300 4000",
    ],
)
def test_market_figures_stay(text: str) -> None:
    assert masked(text) == text


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=12).map("".join))
def test_masking_twice_changes_nothing_more_and_leaves_no_address(text: str) -> None:
    once = masked(text)
    assert masked(once) == once
    assert not re.search(r"[A-Za-z0-9._]+@[A-Za-z0-9-]+\.[A-Za-z]{2,24}", once)


@settings(deadline=None)
@given(st.integers(0, 10**14 - 1))
def test_every_card_number_is_masked_only_with_its_check_digit(body: int) -> None:
    for check in "0123456789":
        number = f"4{body:014}{check}"
        assert masked(f"card {number} please") == (f"card {'<card>' if luhn(number) else number} please")


def test_null_and_empty_columns_pass() -> None:
    assert mask_text(pa.array([None, ""], pa.string())).to_pylist() == [None, ""]
    assert mask_text(pa.array([], pa.string())).to_pylist() == []
    assert mask_url(pa.array([None], pa.string())).to_pylist() == [None]


def test_a_slice_is_masked_like_the_whole() -> None:
    texts = pa.array(["a", "jo@example.com", "13812345678"])
    assert mask_text(texts.slice(1)).to_pylist() == ["<email>", "<phone>"]


def test_a_link_loses_its_secrets_and_keeps_the_rest() -> None:
    links = pa.array(["https://u:p@a.example/b?access_token=1&x=2#key=3", "https://a.example/?monkey=1"])
    assert mask_url(links).to_pylist() == [
        "https://a.example/b?access_token=<token>&x=2#key=<token>",
        "https://a.example/?monkey=1",
    ]


def test_equal_authors_get_equal_pseudonyms_under_one_key_only() -> None:
    first, second, again, nobody = pseudonym(pa.array(["jo", "Jo", "jo", None]), KEY).to_pylist()
    assert first == again
    assert first != second
    assert nobody is None
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert pseudonym(pa.array(["jo"]), KEY[::-1]).to_pylist() != [first]
    assert hashlib.blake2b(b"jo", digest_size=8).hexdigest() != first


def test_a_long_key_counts_in_full() -> None:
    long_key = b"k" * 100
    assert pseudonym(pa.array(["jo"]), long_key) != pseudonym(pa.array(["jo"]), long_key + b"x")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 16 or more"):
        pseudonym(pa.array(["jo"]), b"short")
