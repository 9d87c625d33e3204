import re
from collections.abc import Callable, Sequence
from importlib import resources

import numpy as np
import pytest
import torch

from streamwatch.learn.augment import LEXICON_FILE, Augmenter, CodeSwitch, disguise
from streamwatch.learn.examples import Example, Span
from streamwatch.learn.network import Tokens

TEXT = "$AAPL up 3.5% to 120.40, $TSLA.B flat, C$5 and A$AP unchanged"
LABELS = {"sentiment": 1, "topic": 19}
PLAIN = Example("Profit warning: $AAPL falls 3.5% today", "en", "x", "train", LABELS)


def pairs() -> list[list[str]]:
    text = resources.files("streamwatch.learn").joinpath(LEXICON_FILE).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def augmenter(
    train: Sequence[Example] = (),
    *,
    joined: float = 0,
    disguised: float = 0,
    switched: float = 0,
    dropped: float = 0,
    seed: int = 1,
) -> Augmenter:
    return Augmenter(train, joined=joined, disguised=disguised, switched=switched, dropped=dropped, seed=seed)


def batch(*lengths: int, wide: int) -> Tokens:
    """Return texts of tokens 10, 11, … without entities, padded with 1."""
    ids = torch.tensor([[10 + place if place < length else 1 for place in range(wide)] for length in lengths])
    none = torch.empty((0, 3), dtype=torch.int64)
    return Tokens(ids, torch.tensor(lengths), torch.tensor(lengths), none)


def test_disguise_changes_cashtags_and_digits_and_nothing_else() -> None:
    changed = disguise(TEXT, draws())
    assert changed != TEXT
    assert re.sub(r"\d", "0", re.sub(r"\$[A-Z]+\b", "$T", changed)) == re.sub(
        r"\d", "0", re.sub(r"\$[A-Z]+\b", "$T", TEXT)
    )
    assert [len(word) for word in changed.split()] == [len(word) for word in TEXT.split()]


def test_disguises_differ_and_a_seed_gives_the_same_ones() -> None:
    draw, again = draws(5), draws(5)
    found = [disguise(TEXT, draw) for _ in range(5)]
    assert len(set(found)) == 5
    assert found == [disguise(TEXT, again) for _ in range(5)]


def test_text_without_numbers_and_cashtags_needs_no_disguise() -> None:
    assert disguise("苹果公司 falls, US$ up", draws()) == "苹果公司 falls, US$ up"


def test_the_lexicon_is_well_formed() -> None:
    assert len(pairs()) >= 100
    assert {len(pair) for pair in pairs()} == {2}
    english, chinese = zip(*pairs(), strict=True)
    assert len(set(english)) == len(english)
    assert all(word == word.lower().strip() and word.isascii() for word in english)
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+", word) for word in chinese)


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.capitalize])
def test_every_english_word_has_its_chinese_one(spell: Callable[[str], str]) -> None:
    code_switch = CodeSwitch.load()
    for english, chinese in pairs():
        assert code_switch.swap(f"the {spell(english)}.", 1.0, draws()) == f"the {chinese}."


def test_every_chinese_word_has_an_english_one() -> None:
    code_switch, known = CodeSwitch.load(), {english for english, _ in pairs()}
    for english, chinese in pairs():
        found = code_switch.swap(f"看{chinese}。", 1.0, draws())
        assert re.fullmatch(r"看 (.+) 。", found), chinese
        assert found[2:-2] in known
        assert dict(pairs())[found[2:-2]] == chinese, english


def test_the_longest_word_wins_and_parts_of_words_are_left() -> None:
    code_switch = CodeSwitch([("fund", "基金"), ("hedge fund", "对冲基金"), ("rate", "利率")])
    assert (
        code_switch.swap("hedge fund, refunded, corporate rates", 1.0, draws()) == "对冲基金, refunded, corporate rates"
    )
    assert code_switch.swap("买对冲基金", 1.0, draws()) == "买 hedge fund "


@pytest.mark.parametrize("text", ["ſhares up", "the fıne", "ﬁne", "SHARES İ"])
def test_letters_that_only_look_alike_do_no_harm(text: str) -> None:
    assert CodeSwitch.load().swap(text, 1.0, draws())


def test_a_share_of_the_words_is_swapped() -> None:
    code_switch = CodeSwitch.load()
    text = "profit " * 1_000
    assert code_switch.swap(text, 0.0, draws()) == text
    assert code_switch.swap(text, 0.3, draws()).count("利润") == pytest.approx(300, abs=60)


def test_shares_of_zero_leave_everything_as_it_is() -> None:
    off = augmenter()
    assert all(off.text(PLAIN) is PLAIN for _ in range(50))
    tokens = batch(5, 3, wide=6)
    assert off.tokens(tokens, 3) is tokens


@pytest.mark.parametrize("way", ["disguised", "switched"])
def test_a_share_of_the_texts_is_changed_and_its_labels_stay(way: str) -> None:
    example = Example("$AAPL " + "profit " * 20, "en", "x", "train", LABELS)
    changing = augmenter(disguised=0.3) if way == "disguised" else augmenter(switched=0.3)
    found = [changing.text(example) for _ in range(500)]
    changed = [one for one in found if one.text != example.text]
    assert len(changed) == pytest.approx(150, abs=40)
    assert {(one.lang, one.set, one.part) for one in changed} == {("en", "x", "train")}
    assert all(one.labels == LABELS for one in changed)
    assert example.text.startswith("$AAPL")


def test_a_text_whose_entities_have_places_keeps_its_letters() -> None:
    example = Example(PLAIN.text, "en", "x", "train", LABELS, (Span(16, 21, 0),))
    changing = augmenter(disguised=0.99, switched=0.99)
    assert all(changing.text(example) is example for _ in range(50))


def test_a_share_of_the_inner_tokens_becomes_unknown() -> None:
    tokens = batch(*[50] * 40, *[4] * 40, wide=60)
    found = augmenter(dropped=0.2).tokens(tokens, 3)
    changed = found.ids != tokens.ids
    assert set(found.ids[changed].tolist()) == {3}
    assert changed[:40, 1:49].float().mean() == pytest.approx(0.2, abs=0.03)
    assert changed[40:, 1:3].any()
    assert not changed[:, 0].any()
    assert not changed[:40, 49:].any()
    assert not changed[40:, 3:].any()
    assert torch.equal(found.lengths, tokens.lengths)


def test_a_seed_gives_the_same_changes() -> None:
    def changes(seed: int) -> tuple[list[str], list[list[int]]]:
        changing = augmenter(disguised=0.5, switched=0.5, dropped=0.5, seed=seed)
        texts = [changing.text(PLAIN).text for _ in range(10)]
        return texts, changing.tokens(batch(9, 7, wide=9), 3).ids.tolist()

    assert changes(1) == changes(1)
    assert changes(1) != changes(2)


UP = Example("Tesla rises", "en", "x", "train", {"sentiment": 2}, (Span(0, 5, 2),))
DOWN = Example("shares of Apple fall", "en", "x", "train", {"sentiment": 0}, (Span(10, 15, 0),))
ELSEWHERE = Example("苹果下跌", "zh", "y", "train", {}, (Span(0, 2, 0),))


def test_texts_of_two_verdicts_are_joined_and_their_entities_stay_where_they_are_named() -> None:
    joining = augmenter([UP, DOWN, ELSEWHERE, PLAIN], joined=0.5)
    found = [joining.text(UP) for _ in range(400)]
    changed = [one for one in found if one is not UP]
    assert len(changed) == pytest.approx(400 * 0.5 * 0.5, abs=40)  # half of the other verdicts have no text
    assert {one.text for one in changed} == {"Tesla rises; shares of Apple fall", "shares of Apple fall; Tesla rises"}
    for one in changed:
        assert {one.text[span.start : span.end]: span.sentiment for span in one.spans} == {"Tesla": 2, "Apple": 0}
        assert one.labels == {}


def test_a_text_is_joined_only_with_one_of_its_own_set() -> None:
    joining = augmenter([UP, ELSEWHERE], joined=0.9)
    assert all(joining.text(UP) is UP for _ in range(100))


def test_texts_without_entities_are_not_joined() -> None:
    joining = augmenter([UP, DOWN], joined=0.9)
    assert all(joining.text(PLAIN) is PLAIN for _ in range(100))
