import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.model.batches import Batch, cut, distinct, pad, padded_tokens
from streamwatch.model.tokenizer import MarkedText

LENGTHS = st.lists(st.integers(1, 300), max_size=80)
PAD = 1


@st.composite
def marked_texts(draw: st.DrawFn) -> list[MarkedText]:
    """Texts of ids that occur nowhere else, with spans in them."""
    texts, first = [], PAD + 1
    for length in draw(st.lists(st.integers(1, 20), min_size=1, max_size=12)):
        starts = draw(st.lists(st.integers(0, length - 1), max_size=3))
        spans = tuple((start, draw(st.integers(start + 1, length))) for start in starts)
        texts.append(MarkedText(np.arange(first, first + length), spans))
        first += length
    return texts


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 2_000))
def test_every_row_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = cut(lengths, budget)
    rows = [row for batch in batches for row in batch.rows.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch.rows) == 1 or len(batch.rows) * batch.tokens <= budget


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 2_000))
def test_a_texts_padded_length_is_its_own(lengths: list[int], budget: int) -> None:
    for batch in cut(lengths, budget):
        assert {padded_tokens(lengths[row]) for row in batch.rows.tolist()} == {batch.tokens}


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=2), st.tuples(st.text(max_size=1))), max_size=40))
def test_distinct_keys_scatter_back(keys: list[tuple[str, tuple[str]]]) -> None:
    unique = distinct(keys)
    assert [unique.keys[place] for place in unique.places] == keys
    assert len(set(unique.keys)) == len(unique.keys)


def test_rows_are_padded_on_the_right() -> None:
    texts = [MarkedText(np.array([5, 6, 7]), ()), MarkedText(np.array([8]), ())]
    padded = pad(texts, Batch(np.array([0, 1]), 4), PAD)
    assert padded.ids.tolist() == [[5, 6, 7, 1], [8, 1, 1, 1]]
    assert padded.lengths.tolist() == [3, 1]
    assert padded.entities.shape == (0, 3)


@settings(deadline=None)
@given(marked_texts(), st.integers(1, 60))
def test_entities_point_at_their_own_tokens_in_the_order_of_the_rows(texts: list[MarkedText], budget: int) -> None:
    for batch in cut([len(text.ids) for text in texts], budget):
        padded = pad(texts, batch, PAD)
        found = [padded.ids[row, start:end].tolist() for row, start, end in padded.entities]
        rows = batch.rows.tolist()
        assert found == [texts[row].ids[start:end].tolist() for row in rows for start, end in texts[row].spans]
        for row, (ids, length) in enumerate(zip(padded.ids, padded.lengths, strict=True)):
            assert ids[:length].tolist() == texts[rows[row]].ids.tolist()
            assert set(ids[length:].tolist()) <= {PAD}
