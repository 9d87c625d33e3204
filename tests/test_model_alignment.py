import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamwatch.model.alignment import aligned, traced_simplified, words
from streamwatch.model.encoder import load_encoder
from streamwatch.model.tokenizer import TextTokenizer, simplified

TWEET = "RT @jane: AT&amp;T up,  $TSLA  down https://t.co/Xy1 R&D &#36;5 &nosuch; &lt;3"
PARTS = ["&amp;", "&", "&#x1F525;", "&notit;", "https://", "x/y", "@", "@jane", " ", "\t", "😱", "跌", "e\u0301", "…"]
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=12).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_encoder("multilingual-e5-small").tokenizer


def split(tokenizer: TextTokenizer, text: str) -> list[str]:
    """Return a text's words as a person sees them marked."""
    spans = aligned(tokenizer, text, 256).spans
    groups = words(text, spans)
    return [text[min(spans[at][0] for at in group) : max(spans[at][1] for at in group)] for group in groups]


@settings(deadline=None)
@given(TEXTS)
@example(TWEET)
def test_a_traced_text_is_the_simplified_one(text: str) -> None:
    traced = traced_simplified(text)
    assert traced.text == simplified(text)
    assert len(traced.origins) == len(traced.text)
    for character, (start, end) in zip(traced.text, traced.origins, strict=True):
        assert 0 <= start < end <= len(text)
        assert end > start + 1 or character == text[start] or text[start] in "&@"


@settings(deadline=None)
@given(TEXTS)
@example(TWEET)
@example("\ud800 \0 \u200b" + "a" * 6_000)
def test_tokens_are_the_scorers_and_stand_in_the_text_in_order(tokenizer: TextTokenizer, text: str) -> None:
    found = aligned(tokenizer, text, 32)
    assert found.ids.tolist() == tokenizer.encode([simplified(text)], 32)[0].tolist()
    real = [span for span in found.spans if span[1] > span[0]]
    assert real == sorted(real)
    assert all(0 <= start < end <= len(text) for start, end in real)
    assert found.spans[0] == found.spans[-1] == (0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TWEET, "RT @jane: AT&amp;T up, $TSLA down https://t.co/Xy1 R&D &#36;5 &nosuch; &lt;3".split()),
        ("公司业绩大幅下滑，股价", ["公司", "业绩", "大幅", "下滑", "，", "股价"]),
        ("crash😱😱 Nestlé’s", ["crash", "😱", "😱", "Nestlé’s"]),
        ("cafe\u0301 ㏒ a\0b…", ["cafe\u0301", "㏒", "a\0b…"]),
        (" \n", []),
        ("", []),
    ],
)
def test_words_are_those_of_the_person(tokenizer: TextTokenizer, text: str, expected: list[str]) -> None:
    assert split(tokenizer, text) == expected
