from pathlib import Path

import pytest

from streamwatch.errors import ModelError
from streamwatch.learn.heads import files_of
from streamwatch.learn.labelled import read_set

LINE = '{"text": "Shares fall", "sentiment": "negative", "lang": "en", "set": "x"}\n'


def test_a_text_that_comes_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LINE * 2)
    (tmp_path / "b.jsonl").write_text(LINE)
    labelled = read_set("sentiment", [tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert labelled.texts == ["Shares fall"]
    assert labelled.gold.tolist() == [0]


@pytest.mark.parametrize(
    "line", ['{"text": "a", "sentiment": "glad"}', '{"text": "a"}', "[", '{"sentiment": "neutral"}']
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(LINE + line)
    with pytest.raises(ModelError, match=r"a\.jsonl:2: no text labelled with one of negative"):
        read_set("sentiment", [tmp_path / "a.jsonl"])


def test_the_projects_own_chinese_sentences_are_even(tmp_path: Path) -> None:
    own = read_set("sentiment", files_of("sentiment", tmp_path)[1:])
    assert [own.gold.tolist().count(label) for label in range(3)] == [40, 40, 40]
    assert set(own.langs) == {"zh"}
