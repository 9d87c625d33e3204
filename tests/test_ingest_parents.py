import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.ingest.parents import Parents

Row = tuple[int, str, str | None]


def batch(*rows: Row, partition: int = 0) -> pa.RecordBatch:
    """Return rows of offset, id and what they answer; a row's text tells its id and offset."""
    return pa.RecordBatch.from_pylist(
        [
            {
                "id": name,
                "text": f"{name}@{offset}",
                "reply_to": answered,
                "source_partition": partition,
                "source_offset": offset,
            }
            for offset, name, answered in rows
        ],
        schema=pa.schema(
            [
                ("id", pa.string()),
                ("text", pa.string()),
                ("reply_to", pa.string()),
                ("source_partition", pa.int32()),
                ("source_offset", pa.int64()),
            ]
        ),
    )


def answers(parents: Parents, rows: pa.RecordBatch) -> list[str | None]:
    found: list[str | None] = parents.add(rows).column("parent").to_pylist()
    return found


def test_a_reply_has_the_text_of_what_it_answers() -> None:
    parents = Parents(reach=10)
    assert answers(parents, batch((0, "a", None), (1, "b", "a"))) == [None, "a@0"]
    assert answers(parents, batch((2, "c", None), (3, "d", None))) == [None, None]
    assert answers(parents, batch((4, "e", "c"), (5, "f", "a"), (6, "g", "unknown"))) == ["c@2", "a@0", None]


def test_nothing_answers_itself_or_what_comes_later() -> None:
    assert answers(Parents(reach=10), batch((0, "a", "a"), (1, "b", "c"), (2, "c", None))) == [None, None, None]


def test_what_is_out_of_reach_is_no_parent() -> None:
    rows = batch((0, "a", None), (10, "b", "a"), (11, "c", "a"))
    assert answers(Parents(reach=10), rows) == [None, "a@0", None]


def test_of_two_posts_with_one_id_the_last_before_the_reply_counts() -> None:
    rows = batch((0, "a", None), (1, "a", None), (2, "b", "a"), (3, "a", None))
    assert answers(Parents(reach=10), rows) == [None, None, "a@1", None]


def test_partitions_do_not_see_each_other() -> None:
    parents = Parents(reach=10)
    answers(parents, batch((0, "a", None), partition=0))
    assert answers(parents, batch((1, "b", "a"), partition=1)) == [None]


def test_without_reach_nothing_is_kept() -> None:
    parents = Parents(reach=0)
    assert answers(parents, batch((0, "a", None), (1, "b", "a"))) == [None, None]
    assert parents.starts_at(0, 100) == 100


@pytest.mark.parametrize(("offset", "start"), [(100, 90), (5, 0), (0, 0)])
def test_a_partition_that_is_new_is_read_back_as_far_as_a_reply_reaches(offset: int, start: int) -> None:
    assert Parents(reach=10).starts_at(0, offset) == start


def test_a_partition_that_goes_on_is_not_read_back_and_one_that_went_back_or_away_is() -> None:
    parents = Parents(reach=10)
    answers(parents, batch((50, "a", None)))
    assert parents.starts_at(0, 51) == 51
    assert parents.starts_at(0, 60) == 60
    assert parents.starts_at(0, 50) == 40
    answers(parents, batch((50, "a", None)))
    parents.forget(0)
    assert parents.starts_at(0, 51) == 41


Rows = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, *"abcdef"])), min_size=1, max_size=60)


@settings(deadline=None)
@given(Rows, st.integers(1, 20), st.data())
def test_neither_cuts_nor_a_crash_change_what_a_reply_answers(
    posts: list[tuple[str, str | None]], reach: int, data: st.DataObject
) -> None:
    rows: list[Row] = [(2 * place, name, answered) for place, (name, answered) in enumerate(posts)]
    whole = answers(Parents(reach), batch(*rows))
    parents, found, at = Parents(reach), [], 0
    while at < len(rows):
        if data.draw(st.booleans()):  # another member goes on
            parents = Parents(reach)
        start = parents.starts_at(0, rows[at][0])
        if again := [row for row in rows[:at] if row[0] >= start]:
            answers(parents, batch(*again))
        upto = at + data.draw(st.integers(1, 8))
        found += answers(parents, batch(*rows[at:upto]))
        at = upto
    assert found == whole
