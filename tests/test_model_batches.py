import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.model.batches import Batch, cut, distinct, pad, padded_tokens

LENGTHS = st.lists(st.integers(1, 300), max_size=80)


@given(LENGTHS, st.integers(1, 2_000))
def test_every_row_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = cut(lengths, budget)
    rows = [row for batch in batches for row in batch.rows.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch.rows) == 1 or len(batch.rows) * batch.tokens <= budget


@given(LENGTHS, st.integers(1, 2_000))
def test_a_texts_padded_length_is_its_own(lengths: list[int], budget: int) -> None:
    for batch in cut(lengths, budget):
        assert {padded_tokens(lengths[row]) for row in batch.rows.tolist()} == {batch.tokens}


@given(st.lists(st.text(max_size=3), max_size=40))
def test_distinct_texts_scatter_back(texts: list[str]) -> None:
    unique = distinct(texts)
    assert [unique.texts[place] for place in unique.places] == texts
    assert len(set(unique.texts)) == len(unique.texts)


def test_rows_are_padded_on_the_right() -> None:
    tokens = [np.array([5, 6, 7]), np.array([8])]
    padded = pad(tokens, Batch(np.array([0, 1]), 4), pad_id=1)
    assert padded.ids.tolist() == [[5, 6, 7, 1], [8, 1, 1, 1]]
    assert padded.lengths.tolist() == [3, 1]
