from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.ingest.novelty import differing_bits, novelty


def of(*texts: str | None) -> list[int]:
    return [int(value) for value in novelty(pa.array(texts, pa.string())).to_pylist()]


@pytest.mark.parametrize(
    "copy",
    [
        "RT @jo: Apple falls 5% on recall fears",
        "RT @jo: RT @mo: Apple falls 5% on recall fears",
        "APPLE FALLS 5% ON RECALL FEARS!!!",
        "Apple falls 5% on recall fears https://t.co/abc",
        "Apple falls 5% on recall fears…",
        "  Apple, falls 5% - on recall fears  #",
        "@user Apple falls 5% on recall fears via @news",
        "Ａｐｐｌｅ falls ５% on recall fears",
        "//@user：Apple falls 5% on recall fears",
    ],
)
def test_copies_share_their_hash(copy: str) -> None:
    first, second = of("Apple falls 5% on recall fears", copy)
    assert first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Apple falls", "Apple rises"),
        ("AAPL 3.5", "AAPL 35"),
        ("AAPL +5%", "AAPL -5%"),
        ("苹果大涨", "苹果大跌"),
        ("https://a.example/1", "https://a.example/2"),
        ("🚀", "😱"),
        ("RT @jo", ""),
    ],
)
def test_other_texts_have_another_hash(one: str, other: str) -> None:
    first, second = of(one, other)
    assert first != second


def test_copies_in_chinese_share_their_hash() -> None:
    first, second, third = of(
        "特斯拉召回，股价大跌！", "//@张三：特斯拉召回，股价大跌", "特斯拉召回 股价大跌 https://t.co/x"
    )
    assert first == second == third


def test_masked_contacts_do_not_tell_copies_apart() -> None:
    first, second = of("signals daily, call <phone>", "signals daily, call")
    assert first == second


def test_hashes_stay_the_same_over_versions() -> None:
    assert of("Apple falls", "苹果", "", None) == [
        1_836_269_132_577_926_752,
        6_575_426_603_358_871_839,
        -6_623_679_332_768_512_872,
        -6_623_679_332_768_512_872,
    ]


@pytest.mark.parametrize(
    ("one", "other", "most_bits", "least_bits"),
    [
        (
            "Apple halts shipments after battery fires, shares slide 5%",
            "BREAKING: Apple halts shipments after battery fires, shares slide 5% (wire)",
            10,
            1,
        ),
        ("苹果公司因电池起火暂停发货，股价下跌5%", "快讯：苹果公司因电池起火暂停发货，股价下跌5%！", 10, 1),
        ("Apple halts shipments after battery fires", "Tesla recalls cars over its brakes", 64, 20),
        ("苹果公司因电池起火暂停发货", "特斯拉因刹车问题召回汽车", 64, 20),
        ("Apple shares rise 5% today", "Apple shares fall 5% today", 64, 11),
    ],
)
def test_near_copies_differ_in_few_bits(one: str, other: str, most_bits: int, least_bits: int) -> None:
    first, second = np.array(of(one, other))
    assert least_bits <= differing_bits(first, second) <= most_bits


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text_has_a_hash_that_its_batch_does_not_change(texts: list[str]) -> None:
    assert of(*texts) == [of(text)[0] for text in texts]
