from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from streamwatch.cli.main import run_command
from streamwatch.learn.examples import part_in_set
from streamwatch.model.scorer import Scorer
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS
from tests.tiny_model import write_configuration, write_model

WORDS = ("shares", "fall", "rise", "after", "results", "apple", "tesla", "up")
TEXTS = [f"{WORDS[i % 8]} {WORDS[i // 3 % 8]} {WORDS[i * 5 % 7]} number{i}" for i in range(60)]
Eval = Callable[..., int]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_configuration(folder / "streamwatch.toml", write_model(folder))
    return folder


@pytest.fixture(scope="module")
def scorer(home: Path) -> Scorer:
    from streamwatch.config import load_config

    return Scorer.load(load_config(home / "streamwatch.toml", {}).model)


@pytest.fixture
def evaluate(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Eval:
    monkeypatch.chdir(tmp_path)
    config = str(home / "streamwatch.toml")
    return lambda file, task, *args: run_command(["eval", file, "--task", task, *args, "--config", config])


def write(name: str, rows: list[dict[str, Any]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def gold(scorer: Scorer, task: str, labels: tuple[str, ...], wrong: int) -> list[dict[str, Any]]:
    """Return the texts with the labels that the model gives, but for the first `wrong` ones."""
    found = scorer.predict(TEXTS).labels(task)
    for place in range(wrong):
        found[place] = labels[(labels.index(found[place]) + 1) % len(labels)]
    return [{"text": text, task: label} for text, label in zip(TEXTS, found, strict=True)]


def test_it_counts_what_the_model_gets_right(
    evaluate: Eval, scorer: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = gold(scorer, "sentiment", SENTIMENTS, wrong=6)
    write("gold.jsonl", [row | {"lang": "zh" if at < 12 else "en", "set": "x"} for at, row in enumerate(rows)])
    assert evaluate("gold.jsonl", "sentiment", "-o", "json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["rows"], found["accuracy"], found["bad_lines"], err) == (60, 0.9, 0, "")
    assert (found["task"], found["file"], found["model_version"]) == ("sentiment", "gold.jsonl", scorer.version)
    assert found["by"]["lang"]["zh"]["accuracy"] == 0.5
    assert found["by"]["lang"]["en"]["accuracy"] == 1
    assert list(found["by"]) == ["lang", "set"]
    assert np.trace(found["confusion"]["counts"]) == 54
    assert sum(figures["support"] for figures in found["classes"].values()) == 60
    assert 0 < found["macro_f1"] < 1
    assert found["log_loss"] > 0


@pytest.mark.parametrize(("task", "labels"), [("sentiment", SENTIMENTS), ("intent", INTENTS), ("topic", TOPICS)])
def test_tables_fit_a_terminal_of_80_columns(
    evaluate: Eval, scorer: Scorer, capsys: pytest.CaptureFixture[str], task: str, labels: tuple[str, ...]
) -> None:
    rows = gold(scorer, task, labels, wrong=45)
    for at, label in enumerate(labels):
        rows[at][task] = label
    write("gold.jsonl", [row | {"lang": "en", "set": "a_set_with_quite_a_long_name"} for row in rows])
    assert evaluate("gold.jsonl", task) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for label in labels:
        assert any(re.match(rf" *{label} +[01]\.\d{{4}} +[01]\.\d{{4}} +[01]\.\d{{4}} +\d+ *$", line) for line in lines)
    assert any(line.startswith("Confusion") for line in lines)
    assert any(re.match(r"calibration error +0\.\d{4}$", line) for line in lines)
    assert "By set" in lines


def test_every_entity_counts_and_mixed_verdicts_are_told_apart(
    evaluate: Eval, scorer: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["apple fall tesla rise", "shares up after apple results", "tesla results"]
    named = [("apple", "tesla"), ("apple",), ("tesla", "nobody")]
    said = scorer.predict(texts, named).entities
    rows = []
    for text, names, probabilities in zip(texts, named, said, strict=True):
        verdicts = [SENTIMENTS[int(vector.argmax())] for vector in probabilities]
        rows.append({"text": text, "entities": dict(zip(names, verdicts, strict=True))})
    rows[0]["entities"] = {"apple": "negative", "tesla": "positive"}
    write("gold.jsonl", rows)
    assert evaluate("gold.jsonl", "entity", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["not_in_text"]) == (5, 1)
    assert found["by"]["verdicts"]["mixed"]["rows"] >= 2
    right = sum(
        SENTIMENTS[int(vector.argmax())] == label
        for vector, label in zip(said[0], ("negative", "positive"), strict=True)
    )
    assert found["accuracy"] == pytest.approx((3 + right) / 5)


def test_bad_lines_are_told_by_their_place_and_left_out(evaluate: Eval, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        b'{"text": "shares fall", "sentiment": "negative", "topic": "nonsense"}',
        b"{broken",
        b'{"text": "shares fall"}',
        b'{"text": "shares fall", "sentiment": "bearish"}',
        b'{"text": 7, "sentiment": "negative"}',
        b'{"text": " ", "sentiment": "negative"}',
        b'{"text": "\xff", "sentiment": "negative"}',
        b'["text"]',
        b"",
        b'{"text": "shares rise", "sentiment": "positive", "lang": null}',
    ]
    Path("gold.jsonl").write_bytes(b"\n".join(lines))
    assert evaluate("gold.jsonl", "sentiment", "-o", "json") == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["rows"], json.loads(out)["bad_lines"]) == (2, 7)
    told = err.splitlines()
    assert [line.split(":")[1] for line in told] == ["2", "3", "4", "5", "6", "7", "8"]
    assert told[1:4] == [
        "gold.jsonl:3: `sentiment`: found none, expected a string",
        "gold.jsonl:4: found the label 'bearish', expected one of negative, neutral, positive",
        "gold.jsonl:5: `text`: found 7, expected a string",
    ]


def test_many_bad_lines_are_counted_rather_than_told(evaluate: Eval, capsys: pytest.CaptureFixture[str]) -> None:
    write("gold.jsonl", [{"text": "up", "sentiment": "up"}] * 50 + [{"text": "up", "sentiment": "positive"}])
    assert evaluate("gold.jsonl", "sentiment") == 0
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 11
    assert err[-1] == "gold.jsonl: 50 bad lines in all"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"text,label\nup,positive\n", bytes(range(256)) * 8])
def test_a_file_without_a_usable_line_is_an_error(
    evaluate: Eval, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    Path("gold.jsonl").write_bytes(content)
    assert evaluate("gold.jsonl", "topic") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"^error: gold.jsonl: found 0 usable and \d+ bad lines, expected .*`topic`$", err, re.MULTILINE)


@pytest.mark.parametrize(("file", "said"), [("none.jsonl", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_an_error(
    evaluate: Eval, capsys: pytest.CaptureFixture[str], file: str, said: str
) -> None:
    assert evaluate(file, "topic") == 1
    assert re.fullmatch(rf"error: {re.escape(file)}: {said}.*\n", capsys.readouterr().err)


def test_groups_are_those_that_were_asked_for(evaluate: Eval, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"text": "shares fall", "intent": "inform", "lang": "en", "set": "x"}
    write("gold.jsonl", [row | {"source": "reuters"}, row])
    assert evaluate("gold.jsonl", "intent", "--by", "source", "-o", "json") == 0
    by = json.loads(capsys.readouterr().out)["by"]
    assert {name: list(groups) for name, groups in by.items()} == {"source": ["(none)", "reuters"]}
    assert evaluate("gold.jsonl", "intent", "--by", "verdicts") == 2
    assert "--task entity" in capsys.readouterr().err


def test_a_part_holds_what_training_puts_there(evaluate: Eval, capsys: pytest.CaptureFixture[str]) -> None:
    write("gold.jsonl", [{"text": text, "intent": "inform", "set": "x"} for text in TEXTS])
    assert evaluate("gold.jsonl", "intent", "--part", "validation", "-o", "json") == 0
    held_back = sum(part_in_set(text, "", "x") == "validation" for text in TEXTS)
    assert 0 < json.loads(capsys.readouterr().out)["rows"] == held_back < len(TEXTS)


def test_csv_is_one_table_of_every_figure(evaluate: Eval, scorer: Scorer, capsys: pytest.CaptureFixture[str]) -> None:
    write("gold.jsonl", [row | {"lang": "en"} for row in gold(scorer, "sentiment", SENTIMENTS, wrong=15)])
    assert evaluate("gold.jsonl", "sentiment", "-o", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    figures = {(row["section"], row["name"], row["figure"]): float(row["value"]) for row in rows}
    assert len(figures) == len(rows)
    assert figures["all", "", "accuracy"] == figures["lang", "en", "accuracy"] == 0.75
    confused = sum(value for (section, *_), value in figures.items() if section == "confusion")
    assert confused == sum(figures["class", label, "support"] for label in SENTIMENTS) == 60


def test_the_confusion_matrix_is_drawn(evaluate: Eval, scorer: Scorer, capsys: pytest.CaptureFixture[str]) -> None:
    write("gold.jsonl", gold(scorer, "topic", TOPICS, wrong=9))
    assert evaluate("gold.jsonl", "topic", "--plot", "confusion.png") == 0
    assert "confusion.png" in capsys.readouterr().err
    assert Path("confusion.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    height, width, _ = imread("confusion.png").shape
    assert min(height, width) > 1_000
    assert "matplotlib.pyplot" not in sys.modules


def test_without_matplotlib_it_says_what_to_install_before_it_scores(
    evaluate: Eval, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "streamwatch.learn.confusion_plot", raising=False)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert evaluate("none.jsonl", "topic", "--plot", "confusion.png") == 1
    assert re.fullmatch(r"error: --plot needs matplotlib.*pip install 'matplotlib.*\n", capsys.readouterr().err)
    assert not Path("confusion.png").exists()


def test_it_reads_stdin(evaluate: Eval, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b'{"text": "shares fall", "intent": "inform"}\n{"text": "up"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert evaluate("-", "intent", "-o", "json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == 1
    assert err == "stdin:2: `intent`: found none, expected a string\n"
