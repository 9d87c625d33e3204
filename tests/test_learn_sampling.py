from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.learn.examples import Example, Span
from streamwatch.learn.network import Tokens
from streamwatch.learn.sampling import cut_epoch, draw_epoch, lay_out, set_shares, sorted_batches
from streamwatch.model.encoder import DEFAULT_BASE, load_encoder
from streamwatch.model.tokenizer import TextTokenizer

SIZES = {"large": 900, "middle": 90, "small": 10}
SETS = [Example(f"{name} {place}", "en", name, "train") for name, size in SIZES.items() for place in range(size)]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_encoder(DEFAULT_BASE).tokenizer


def named(text: str, *entities: str) -> Example:
    """Return an example in which these entities are marked, in this order."""
    spans = tuple(Span(text.index(name), text.index(name) + len(name), 0) for name in entities)
    return Example(text, "en", "x", "train", {}, spans)


def marked(tokenizer: TextTokenizer, tokens: Tokens) -> list[tuple[int, str]]:
    """Return the row of each entity and the text of its tokens."""
    pieces = [[str(tokenizer.library.id_to_token(place)) for place in row] for row in tokens.ids.tolist()]
    return [
        (row, "".join(pieces[row][start:end]).replace("▁", " ").strip()) for row, start, end in tokens.entities.tolist()
    ]


@settings(deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=8), st.floats(1, 20))
def test_shares_sum_to_one_and_raise_what_is_small(sizes: list[int], temperature: float) -> None:
    shares, plain = set_shares(sizes, temperature), set_shares(sizes, 1)
    assert sum(shares) == pytest.approx(1)
    smallest, largest = sizes.index(min(sizes)), sizes.index(max(sizes))
    assert shares[smallest] >= plain[smallest] - 1e-9
    assert shares[largest] <= plain[largest] + 1e-9


def test_a_high_temperature_makes_all_sets_alike() -> None:
    assert set_shares([1, 10, 1_000], 1e6) == pytest.approx([1 / 3] * 3, abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_an_epoch_has_each_set_by_its_share(temperature: float) -> None:
    drawn = Counter(SETS[place].set for place in draw_epoch(SETS, temperature, np.random.default_rng(0)))
    shares = set_shares(list(SIZES.values()), temperature)
    assert drawn == {name: round(share * len(SETS)) for name, share in zip(SIZES, shares, strict=True)}


def test_by_size_an_epoch_has_each_text_once() -> None:
    drawn = draw_epoch(SETS, 1.0, np.random.default_rng(0))
    assert sorted(drawn) == list(range(len(SETS)))
    assert drawn != list(range(len(SETS)))


@pytest.mark.parametrize("temperature", [1.5, 2.0, 5.0])
def test_each_text_of_a_set_comes_once_before_one_comes_twice(temperature: float) -> None:
    times = Counter(draw_epoch(SETS, temperature, np.random.default_rng(0)))
    for name in SIZES:
        of_set = [times[place] for place, example in enumerate(SETS) if example.set == name]
        assert max(of_set) - min(of_set) <= 1
    assert max(times.values()) > 1


def test_epochs_differ_and_a_seed_gives_the_same_ones() -> None:
    draw, again = np.random.default_rng(7), np.random.default_rng(7)
    first, second = draw_epoch(SETS, 2.0, draw), draw_epoch(SETS, 2.0, draw)
    assert first != second
    assert [first, second] == [draw_epoch(SETS, 2.0, again), draw_epoch(SETS, 2.0, again)]


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_an_epoch_is_cut_into_whole_batches_of_its_texts(texts: int, size: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 100, texts).tolist()
    batches = cut_epoch(lengths, size, draw)
    places = [place for batch in batches for place in batch]
    assert {len(batch) for batch in batches} <= {size}
    assert len(set(places)) == len(places) > texts - 2 * size


def test_texts_of_a_batch_are_of_like_length_and_the_batches_in_random_order() -> None:
    draw = np.random.default_rng(3)
    lengths = draw.integers(1, 200, 4_000).tolist()
    batches = cut_epoch(lengths, 32, draw)
    spreads = [max(lengths[place] for place in batch) - min(lengths[place] for place in batch) for batch in batches]
    assert np.mean(spreads) < 200 / 20
    longest = [max(lengths[place] for place in batch) for batch in batches]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_the_long_texts_are_not_always_the_same_ones_together() -> None:
    draw = np.random.default_rng(3)
    found = []
    for _ in range(2):
        order = draw.permutation(4_000).tolist()
        batches = [{order[place] for place in batch} for batch in cut_epoch(order, 32, draw)]
        found.append(next(batch for batch in batches if max(batch) >= 3_990))
    assert len(found[0] & found[1]) < 32


def test_ids_are_padded_and_lengths_count(tokenizer: TextTokenizer) -> None:
    examples = [named("Apple falls"), named("Tesla rises after strong results"), named("")]
    tokens = lay_out(tokenizer, examples, 64, 16)
    plain = tokenizer.encode([example.text for example in examples], 64)
    assert tokens.lengths.tolist() == [len(ids) for ids in plain]
    assert tokens.ids.shape == (3, max(len(ids) for ids in plain))
    for row, ids in zip(tokens.ids.tolist(), plain, strict=True):
        assert row == ids.tolist() + [tokenizer.pad_id] * (len(row) - len(ids))
    assert tokens.entities.shape == (0, 3)


def test_entities_are_the_tokens_that_name_them(tokenizer: TextTokenizer) -> None:
    examples = [
        named("Deutsche Telekom falls while Tesla rises", "Tesla", "Deutsche Telekom"),
        named("nobody is named"),
        named("苹果公司股价上涨，特斯拉下跌，騰訊持平", "苹果公司", "特斯拉", "騰訊"),
        named("cafe\u0301\t\tNestlé up", "Nestlé"),
    ]
    found = marked(tokenizer, lay_out(tokenizer, examples, 64, 16))
    assert [row for row, _ in found] == [0, 0, 2, 2, 2, 3]
    for (_, spelt), name in zip(found, [span for example in examples for span in spelled(example)], strict=True):
        assert name in spelt
        assert len(spelt) <= len(name) + 2


def spelled(example: Example) -> list[str]:
    return [example.text[span.start : span.end] for span in example.spans]


def test_entities_behind_the_last_token_are_read_off_it(tokenizer: TextTokenizer) -> None:
    examples = [named("profit " * 40 + "Tesla and Apple", "Tesla", "Apple"), named("Apple", "Apple")]
    tokens = lay_out(tokenizer, examples, 16, 16)
    assert tokens.ids.shape == (2, 16)
    assert marked(tokenizer, tokens) == [(0, "profit"), (0, "profit"), (1, "Apple")]
    assert tokens.entities.tolist()[:2] == [[0, 14, 15], [0, 14, 15]]


def test_chinese_is_cut_by_tokens_too(tokenizer: TextTokenizer) -> None:
    text = "特斯拉下跌" * 100 + "腾讯"
    tokens = lay_out(tokenizer, [named(text, "特斯拉", "腾讯")], 16, 16)
    (_, tesla), (_, last) = marked(tokenizer, tokens)
    assert "特斯拉" in tesla
    assert last
    assert last in text
    assert tokens.entities.tolist()[1][2] == 15


def test_measuring_goes_over_every_text_the_shortest_first() -> None:
    examples = [named("a" * length) for length in (5, 1, 9, 3, 7, 1, 2)]
    batches = list(sorted_batches(examples, 3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    places = [place for batch in batches for place in batch]
    assert sorted(places) == list(range(7))
    lengths = [len(examples[place].text) for place in places]
    assert lengths == sorted(lengths)


def test_a_reply_is_read_with_what_it_answers_and_pooled_alone(tokenizer: TextTokenizer) -> None:
    reply = Example("Told you so", "en", "x", "train", {}, (), "Tesla misses its target " * 20)
    tokens = lay_out(tokenizer, [reply, named("Told you so")], 64, 8)
    own = tokenizer.encode(["Told you so"], 64)[0].tolist()
    parent = tokenizer.encode([reply.parent], 8)[0].tolist()
    assert tokens.ids.tolist()[0] == own + parent[1:]
    assert tokens.lengths.tolist() == [len(own) + 7, len(own)]
    assert tokens.own.tolist() == [len(own), len(own)]
