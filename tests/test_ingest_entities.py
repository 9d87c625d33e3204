from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.ingest.entities import FOUND, MAX_ENTITIES, Gazetteer

STOCKNET = Path(__file__).parents[1].parent / "shared" / "data" / "replay" / "stocknet_2015.jsonl"


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer.load()


def tickers(gazetteer: Gazetteer, text: str, given_tickers: list[str] | None = None) -> list[str | None]:
    (row,) = gazetteer.entities(pa.array([text]), pa.array([given_tickers], pa.list_(pa.string()))).entities.to_pylist()
    return [entity["ticker"] for entity in row]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Apple and Microsoft report", ["AAPL", "MSFT"]),
        ("Microsoft before Apple Inc. and APPLE", ["MSFT", "AAPL"]),
        ("$GOOG, $GOOGL, Google and Alphabet Inc", ["GOOGL"]),
        ("$BRK.B $brk.b Berkshire Hathaway", ["BRK.B"]),
        ("$FB is Facebook is Meta", ["META"]),
        ("Ford Motors is no Ford Motor", ["F"]),
        ("Nestlé's coffee; Nestle; NESTLE", ["NESN.SW"]),
        ("McDonald’s, McDonalds and McDonald's", ["MCD"]),
        ("AT&T and P&G, J.P. Morgan", ["T", "PG", "JPM"]),
        ("bare AAPL and NVDA", ["AAPL", "NVDA"]),
        ("腾讯和阿里巴巴，特斯拉降价", ["0700.HK", "BABA", "TSLA"]),
        ("买了Apple的股票", ["AAPL"]),
        ("$贵州茅台(SH600519)$ 大涨，SZ000858跟涨", ["600519.SS", "000858.SZ"]),
        ("$aapl up", ["AAPL"]),
        ("$XYZQ is unknown", ["XYZQ"]),
        ("$T and $V", ["T", "V"]),
        ("Target Corp and Gap Inc fall", ["TGT", "GAP"]),
        ("华为发布会", [None]),
        ("RT @Tesla: news", ["TSLA"]),
    ],
)
def test_companies_are_found(gazetteer: Gazetteer, text: str, expected: list[str | None]) -> None:
    assert tickers(gazetteer, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "apple pie, Apple pie and the Big Apple",
        "Target price raised, mind the Gap, Block trades, Square root, Orange juice",
        "Applebee's, Metaphor, Intelligence, Fordham",
        "$100 and $5m, US$20, up $abc",
        "https://apple.com/Tesla and www.Boeing.com",
        "增长和利润，高通胀，努力拓展，联想到完美的结果",
        "NOW IS THE TIME TO PLAY IT SAFE, ALL CASH",
        "ÄApple AppleÄ xTesla Tesla2",
        "",
    ],
)
def test_ordinary_words_are_no_companies(gazetteer: Gazetteer, text: str) -> None:
    assert tickers(gazetteer, text) == []


def test_given_tickers_come_first_and_in_every_writing(gazetteer: Gazetteer) -> None:
    found = tickers(gazetteer, "Apple", ["NASDAQ:MSFT", "$TSLA", "00700", "600519.SH", "zzzz", "aapl", ""])
    assert found == ["MSFT", "TSLA", "0700.HK", "600519.SS", "ZZZZ", "AAPL"]


def test_a_long_list_is_cut(gazetteer: Gazetteer) -> None:
    text = " ".join(f"$Q{chr(65 + i)}Q" for i in range(26))
    found = tickers(gazetteer, text)
    assert found == [f"Q{chr(65 + i)}Q" for i in range(MAX_ENTITIES)]


def test_entities_carry_name_and_ticker(gazetteer: Gazetteer) -> None:
    found = gazetteer.entities(pa.array(["腾讯 $GOOG"]), pa.nulls(1))
    assert found.entities.type.value_type == FOUND
    assert found.entities.to_pylist() == [
        [{"name": "Tencent", "ticker": "0700.HK"}, {"name": "Alphabet", "ticker": "GOOGL"}],
    ]


def test_an_entity_says_how_it_is_spelt_first(gazetteer: Gazetteer) -> None:
    texts = pa.array(["腾讯 $GOOG and Google", "Apple, $AAPL", "up 3%"])
    found = gazetteer.entities(texts, pa.array([["GOOG"], None, ["AAPL"]]))
    assert [[entity["ticker"] for entity in row] for row in found.entities.to_pylist()] == [
        ["GOOGL", "0700.HK"],
        ["AAPL"],
        ["AAPL"],
    ]
    assert found.mentions.to_pylist() == [["GOOG", "腾讯"], ["Apple"], [""]]


def test_nulls_empties_and_slices(gazetteer: Gazetteer) -> None:
    texts = pa.array(["Apple", None, "Tesla 特斯拉"])
    found = gazetteer.entities(texts.slice(1), pa.nulls(2))
    assert found.entities.to_pylist() == [[], [{"name": "Tesla", "ticker": "TSLA"}]]
    assert found.mentions.to_pylist() == [[], ["Tesla"]]
    assert gazetteer.entities(pa.array([], pa.string()), pa.nulls(0)).entities.to_pylist() == []


PIECES = st.sampled_from(
    ["Apple", "苹果", "$AAPL", "Tesla", "é", "$", "(", "SH600519", " ", "\n", "_", "Ford Motor", "Ä"]
)


@settings(deadline=None)
@given(st.lists(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=8).map("".join), min_size=1, max_size=6))
def test_a_post_has_the_same_entities_in_whatever_batch(gazetteer: Gazetteer, texts: list[str]) -> None:
    together = gazetteer.entities(pa.array(texts), pa.nulls(len(texts))).entities.to_pylist()
    alone = [gazetteer.entities(pa.array([text]), pa.nulls(1)).entities.to_pylist()[0] for text in texts]
    assert together == alone


def stocknet() -> Iterator[dict[str, str]]:
    if not STOCKNET.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"missing: {STOCKNET}")
        pytest.skip(f"the public replay is not at {STOCKNET}")
    with STOCKNET.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def test_real_posts_name_the_company_that_they_were_collected_for(gazetteer: Gazetteer) -> None:
    # "L$D" and the like were collected for $D, and "I CAN'$T" for $T: no text names those companies.
    rows = [row for row in stocknet() if row["ticker"] not in ("D", "T", "C", "V")]
    nothing = pa.nulls(len(rows))
    found = gazetteer.entities(pa.array([row["text"] for row in rows]), nothing).entities.to_pylist()
    wanted = gazetteer.entities(
        nothing.cast(pa.string()), pa.array([[row["ticker"]] for row in rows])
    ).entities.to_pylist()
    hits = sum(want[0] in entities for want, entities in zip(wanted, found, strict=True))
    assert hits / len(rows) > 0.99


def test_an_entity_of_an_alert_is_found_as_it_is_spelt(gazetteer: Gazetteer) -> None:
    texts = ["Google falls, $GOOG too", "Apple pie", "$GOOGL", "", "$XQZW falls"]
    assert gazetteer.spelt(texts, "GOOGL") == ["Google", "", "GOOGL", "", ""]
    assert gazetteer.spelt(texts, "XQZW") == ["", "", "", "", "XQZW"]
    assert gazetteer.spelt([], "GOOGL") == []
