import json
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from streamwatch.errors import ModelError
from streamwatch.learn.examples import Example, Span, own_files, part_of, read_examples, training_files
from streamwatch.model.heads import TASKS
from streamwatch.model.tokenizer import simplified
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS

LINE = '{"text": "Shares fall", "sentiment": "negative", "lang": "en", "set": "x"}'
PARTS = ("train", "dev", "validation")


def write(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def read_one(file: Path, **row: Any) -> Example:
    (example,) = read_examples([write(file, row)])
    return example


def test_a_line_becomes_an_example(tmp_path: Path) -> None:
    text = "Apple falls, Tesla rises"
    example = read_one(
        tmp_path / "a.jsonl",
        text=text,
        sentiment="neutral",
        topic="stock_movement",
        intent="inform",
        entities={"Tesla": "positive", "Apple": "negative"},
        lang="en",
        set="x",
        register="news",
    )
    assert example.labels == {"sentiment": 1, "topic": TOPICS.index("stock_movement"), "intent": 0}
    assert {text[span.start : span.end]: SENTIMENTS[span.sentiment] for span in example.spans} == {
        "Tesla": "positive",
        "Apple": "negative",
    }
    assert (example.text, example.lang, example.set, example.part) == (text, "en", "x", part_of(text))


def test_texts_are_simplified_as_in_scoring_and_their_entities_found_in_what_is_left(tmp_path: Path) -> None:
    text = "@jane https://t.co/AT AT&amp;T rises"
    example = read_one(tmp_path / "a.jsonl", text=text, entities={"AT&amp;T": "positive"})
    assert example.text == simplified(text) == "@user http AT&T rises"
    assert example.spans == (Span(11, 15, 2),)


def test_an_entity_that_the_text_does_not_name_is_left_out(tmp_path: Path) -> None:
    example = read_one(tmp_path / "a.jsonl", text="Apple falls", entities={"Apple": "negative", "Tesla": "positive"})
    assert example.spans == (Span(0, 5, 0),)


def test_what_files_know_of_a_text_is_joined(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.jsonl", {"text": "Apple falls", "sentiment": "negative", "lang": "en", "set": "a"}),
        write(tmp_path / "b.jsonl", {"text": "Apple falls", "entities": {"Apple": "negative"}, "set": "b"}),
        write(tmp_path / "c.jsonl", {"text": "Apple falls", "topic": "stock_movement", "set": "c"}),
    ]
    (example,) = read_examples(files)
    assert example.labels == {"sentiment": 0, "topic": TOPICS.index("stock_movement")}
    assert example.spans == (Span(0, 5, 0),)
    assert (example.lang, example.set) == ("en", "a")


def test_the_first_of_two_labels_counts(tmp_path: Path) -> None:
    rows = [{"text": "Apple falls", "sentiment": label} for label in ("negative", "positive")]
    (within,) = read_examples([write(tmp_path / "a.jsonl", *rows)])
    assert within.labels == {"sentiment": 0}
    (across,) = read_examples([write(tmp_path / "b.jsonl", rows[1]), write(tmp_path / "c.jsonl", rows[0])])
    assert across.labels == {"sentiment": 2}


def test_texts_that_differ_in_links_and_handles_alone_are_one(tmp_path: Path) -> None:
    rows = [{"text": f"@{who}: up https://t.co/{who}", "sentiment": "positive"} for who in ("jane", "bob")]
    assert len(read_examples([write(tmp_path / "a.jsonl", *rows)])) == 1


def test_copies_of_a_text_stand_in_the_same_part() -> None:
    for number in range(200):
        text = f"Apple's results no. {number}: up 5%!"
        copies = [text.upper(), f"{text} https://t.co/{number}", f"http://a.b {text}", text.replace(" ", " - ")]
        assert {part_of(copy) for copy in copies} == {part_of(text)}


def test_the_parts_have_their_shares() -> None:
    for percent in (15, 20):
        shares = Counter(part_of(f"{number} shares", percent) for number in range(20_000))
        assert shares["validation"] / 20_000 == pytest.approx(percent / 100, abs=0.01)
        assert shares["dev"] / 20_000 == pytest.approx(0.05, abs=0.01)


def test_texts_without_words_have_parts_too() -> None:
    assert {part_of(text) for text in ("", "!", "🔥", "...", "https://t.co/a")} <= set(PARTS)
    assert {part_of("!" * number) for number in range(1, 100)} == set(PARTS)


def test_more_of_the_own_sentences_is_held_back(tmp_path: Path) -> None:
    texts = [f"第{number}句" for number in range(2_000)]
    own, other = (
        read_examples([write(tmp_path / name, *({"text": text, "intent": "inform", "set": name} for text in texts))])
        for name in ("streamwatch_x", "other")
    )
    assert sum(example.part == "validation" for example in own) == pytest.approx(400, abs=50)
    assert sum(example.part == "validation" for example in other) == pytest.approx(300, abs=50)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a", "sentiment": "glad"}', "found the label 'glad', expected one of negative, neutral, positive"),
        ('{"text": "a", "topic": "sports"}', "found the label 'sports'"),
        ('{"text": "a", "intent": "inform", "entities": {"a": "bad"}}', "found the label 'bad'"),
        ('{"text": "a"}', "no label: a line has one of sentiment, topic, intent, entities"),
        ('{"text": "a", "entities": {}}', "no label"),
        ('{"sentiment": "neutral"}', "missing required field `text`"),
        ('{"text": 1, "sentiment": "neutral"}', "Expected `str`, got `int`"),
        ("[]", "Expected `object`"),
        ('{"text":', "truncated"),
        ("\udcff", "malformed"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(f"{LINE}\n\n{line}\n".encode(errors="surrogateescape"))
    with pytest.raises(ModelError, match=rf"a\.jsonl:3: .*{reason}"):
        read_examples([file])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"sentiment\.train\.jsonl: No such file"):
        read_examples(training_files(tmp_path))


def test_blank_lines_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(f"\r\n{LINE}\r\n  \r\n".encode())
    assert len(read_examples([file])) == 1


def test_training_reads_all_sets_and_the_own_sentences(tmp_path: Path) -> None:
    names = {file.name for file in training_files(tmp_path)}
    sets = {f"{name}.train.jsonl" for name in (*TASKS, "entity_sentiment")}
    assert names == sets | {"chinese.jsonl", "companies.jsonl", "replies.jsonl"}


@pytest.fixture(scope="module")
def own_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for file in own_files() for line in file.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def own() -> list[Example]:
    return read_examples(own_files())


def test_the_own_sentences_are_many_and_labelled(own_rows: list[dict[str, Any]], own: list[Example]) -> None:
    assert len(own) == len(own_rows)
    assert sum(example.lang == "zh" for example in own) >= 1_500
    assert {example.set for example in own} == {"streamwatch_zh", "streamwatch_companies", "streamwatch_replies"}
    assert all("intent" in example.labels and "sentiment" in example.labels for example in own)


def test_replies_have_what_they_answer_and_some_mean_another_thing_under_another_post(own: list[Example]) -> None:
    replies = [example for example in own if example.set == "streamwatch_replies"]
    assert all(example.parent for example in replies)
    assert not any(example.parent for example in own if example.set != "streamwatch_replies")
    verdicts: dict[str, set[int]] = defaultdict(set)
    for example in replies:
        verdicts[example.text.casefold().strip(".!… ")].add(example.labels["sentiment"])
    assert sum(len(said) > 1 for said in verdicts.values()) >= 50


def test_no_own_sentence_stands_there_twice(own_rows: list[dict[str, Any]]) -> None:
    def words(text: str) -> str:
        return "".join(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum())

    assert [
        text
        for text, times in Counter(words(row["text"] + row.get("parent", "")) for row in own_rows).items()
        if times > 1
    ] == []


def test_every_entity_stands_in_its_sentence(own_rows: list[dict[str, Any]], own: list[Example]) -> None:
    assert [row for row in own_rows for name in row.get("entities", {}) if simplified(name) not in row["text"]] == []
    assert sum(len(example.spans) for example in own) == sum(len(row.get("entities", {})) for row in own_rows)
    assert sum(len({span.sentiment for span in example.spans}) > 1 for example in own) >= 50


def test_a_fifth_of_the_own_sentences_is_held_back(own: list[Example]) -> None:
    parts = Counter(example.part for example in own)
    assert parts["validation"] / len(own) == pytest.approx(0.2, abs=0.03)
    assert parts["dev"] >= 50


def test_the_own_sentences_are_in_both_scripts(own_rows: list[dict[str, Any]]) -> None:
    chinese = [row for row in own_rows if row["lang"] == "zh" and "script" in row]
    scripts = Counter(row["script"] for row in chinese)
    assert scripts.keys() == {"hans", "hant"}
    assert min(scripts.values()) >= 200
    for only, script in (("们这会", "hans"), ("們這會", "hant")):
        assert {row["script"] for row in chinese if set(only) & set(row["text"])} == {script}


@pytest.mark.parametrize("part", ["train", "validation"])
def test_the_own_sentences_have_every_class_in_what_is_learnt_and_what_is_held_back(
    own: list[Example], part: str
) -> None:
    for task, names in (("sentiment", SENTIMENTS), ("topic", TOPICS), ("intent", INTENTS)):
        found = {example.labels[task] for example in own if example.part == part and task in example.labels}
        assert [name for place, name in enumerate(names) if place not in found] == []
