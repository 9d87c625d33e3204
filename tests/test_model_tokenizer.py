import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.model.encoder import DEFAULT_BASE, load_encoder
from streamwatch.model.tokenizer import MarkedText, TextTokenizer, simplified

TEXTS = [
    "Apple rises as $AAPL beats, 苹果公司股价上涨",
    "",
    "   ",
    "\ud800 apple \udfff",
    "cafe\u0301 Tesla",
    "跌" * 3_000,
    "word " * 5_000,
    "🔥🚀👍🏽\0Tesla",
]
PARTS = ["profit", "利润", "e\u0301", "  ", "\t", "①", "½", "$", "🚀", "ﬁ", "\u200b", "\0", " ", "Ａ", "\ud800", "한국"]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_encoder(DEFAULT_BASE).tokenizer


def spelt(tokenizer: TextTokenizer, marked: MarkedText) -> list[str]:
    """Return the text of each span's tokens."""
    tokens = [str(tokenizer.library.id_to_token(place)) for place in marked.ids.tolist()]
    return ["".join(tokens[start:end]).replace("▁", " ").strip() for start, end in marked.spans]


def spans_of(text: str, *mentions: str) -> list[tuple[int, int]]:
    return [(text.index(mention), text.index(mention) + len(mention)) for mention in mentions]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up https://t.co/Xy1?a=b&c, http://b.de", "up http http"),
        ("看https://t.co/a 涨", "看http 涨"),
        ("@jane: buy? (@bob_1)", "@user: buy? (@user)"),
        ("mail jane@bank.com or me.@bank", "mail jane@bank.com or me.@bank"),
        ("@ 5 dollars", "@ 5 dollars"),
        ("AT&amp;T &lt;3 &#39;gold&#39;", "AT&T <3 'gold'"),
        ("R&D, S&P 500", "R&D, S&P 500"),
        (f"&#{'9' * 5_000}; &#x{'f' * 5_000} &#65;", "\ufffd \ufffd A"),
        ("&quot;https://t.co/a", '"http'),
        ("nothing to do", "nothing to do"),
        ("", ""),
    ],
)
def test_links_handles_and_html_are_simplified(text: str, expected: str) -> None:
    assert simplified(text) == expected
    assert simplified(expected) == expected


def test_token_ids_are_those_of_the_published_tokenizer(tokenizer: TextTokenizer) -> None:
    (hello,) = tokenizer.encode(["Hello world"], 16)
    assert hello.tolist() == [0, 35378, 8999, 2]
    composed, combining = tokenizer.encode(["café", "cafe\u0301"], 16)
    assert composed.tolist() == combining.tolist()
    spaced, tabbed = tokenizer.encode(["a  b", "a\tb"], 16)
    assert spaced.tolist() == tabbed.tolist()
    (cut,) = tokenizer.encode(["word " * 5_000], 32)
    assert (len(cut), cut[-1]) == (32, 2)


@pytest.mark.parametrize("max_tokens", [16, 256])
def test_a_text_has_the_same_tokens_with_and_without_marks(tokenizer: TextTokenizer, max_tokens: int) -> None:
    plain = tokenizer.encode(TEXTS, max_tokens)
    marked = tokenizer.encode_marked(TEXTS, [[(0, len(text))] for text in TEXTS], max_tokens)
    for ids, text in zip(plain, marked, strict=True):
        assert ids.tolist() == text.ids.tolist()
        assert len(ids) <= max_tokens


def test_no_texts_give_no_tokens(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode([], 16) == []
    assert tokenizer.encode_marked([], [], 16) == []


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("Apple falls while Tesla rises", ("Apple", "Tesla")),
        ("苹果公司股价上涨，特斯拉下跌", ("苹果公司", "特斯拉")),
        ("cafe\u0301 cafe\u0301 and\t\tNestlé up", ("Nestlé",)),
        ("① ½ ﬁ 🚀 $TSLA", ("TSLA",)),
        ("gains at AT&T", ("AT&T",)),
    ],
)
def test_marked_tokens_spell_what_was_marked(tokenizer: TextTokenizer, text: str, mentions: tuple[str, ...]) -> None:
    (marked,) = tokenizer.encode_marked([text], [spans_of(text, *mentions)], 64)
    for mention, found in zip(mentions, spelt(tokenizer, marked), strict=True):
        assert mention in found
        assert len(found) <= len(mention) + 2


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), max_size=12), st.sampled_from(["Tesla", "腾讯", "S&P Global", "Nestlé"]), st.data()
)
def test_a_mark_moves_with_what_normalisation_makes_of_the_text(
    tokenizer: TextTokenizer, parts: list[str], mention: str, data: st.DataObject
) -> None:
    before = "".join(parts[: data.draw(st.integers(0, len(parts)))])
    text = before + mention + "".join(parts)[len(before) :]
    (marked,) = tokenizer.encode_marked([text], [[(len(before), len(before) + len(mention))]], 128)
    assert unicodedata.normalize("NFC", mention) in spelt(tokenizer, marked)[0]
    (ids,) = tokenizer.encode([text], 128)
    assert marked.ids.tolist() == ids.tolist()


def test_a_mark_behind_the_last_token_is_the_last_one(tokenizer: TextTokenizer) -> None:
    near, far = "profit " * 20 + "Tesla", "profit " * 9_000 + "Tesla"
    for text in (near, far):
        (marked,) = tokenizer.encode_marked([text], [spans_of(text, "Tesla")], 16)
        assert marked.spans == ((14, 15),)
        assert spelt(tokenizer, marked) == ["profit"]


def test_a_mark_that_is_cut_keeps_its_first_tokens(tokenizer: TextTokenizer) -> None:
    text = "the shares of Deutsche Telekom"
    (whole,) = tokenizer.encode_marked([text], [spans_of(text, "Deutsche Telekom")], 64)
    start, end = whole.spans[0]
    assert end - start > 1
    (cut,) = tokenizer.encode_marked([text], [spans_of(text, "Deutsche Telekom")], start + 2)
    assert cut.spans == ((start, start + 1),)
    assert spelt(tokenizer, cut)[0] in "Deutsche Telekom"


@pytest.mark.parametrize("text", ["", "   ", "\0"])
def test_a_mark_on_nothing_is_a_token_nevertheless(tokenizer: TextTokenizer, text: str) -> None:
    (marked,) = tokenizer.encode_marked([text], [[(0, 0), (0, len(text))]], 16)
    for start, end in marked.spans:
        assert 0 <= start < end <= len(marked.ids)


def test_pad_and_unknown_are_those_of_the_vocabulary(tokenizer: TextTokenizer) -> None:
    assert tokenizer.library.id_to_token(tokenizer.pad_id) == "<pad>"
    assert tokenizer.library.id_to_token(tokenizer.unknown_id) == "<unk>"
    (ids,) = tokenizer.encode(["\U00013000"], 16)
    assert np.isin(tokenizer.unknown_id, ids)
