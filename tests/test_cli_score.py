from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamwatch.cli.files import LazyOutput, open_output
from streamwatch.cli.main import run_command
from streamwatch.cli.score_file import ADDED, CHUNK_BYTES, CHUNK_LINES, chunks, score_chunk
from streamwatch.config import load_config
from streamwatch.jsonl import Line
from streamwatch.model.scorer import Scorer
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS

LINES = [
    b'{"price": 1.10, "text": "Shares plunge after a profit warning", "id": 12345678901234567890123, "x": [1e400]}',
    b"",
    '{"text": "苹果公司股价大跌", "lang": "zh"}'.encode(),
    b'{"text": ""}',
    b"{broken",
    b'{"id": 7}',
    b'{"text": 7}',
    b'{"text": "\xff"}',
    b'["text"]',
    b'{"text": "Shares plunge after a profit warning", "sentiment": "gold"}',
]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load(load_config(None, os.environ).model)


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_bytes(b"\n".join(LINES))
    return lambda *args: run_command(["score", *args])


def read(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def test_good_lines_get_scores_and_bad_ones_go_to_the_errors(
    score: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert score("in.jsonl", "out.jsonl", "-o", "json") == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["posts"], summary["bad_lines"]) == (3, 6)
    assert summary["posts_per_s"] > 0
    assert "in.jsonl:5: not JSON" in err
    assert [(entry["line"], entry["error"].split(":")[0]) for entry in read("out.jsonl.errors.jsonl")] == [
        (4, "`text` is empty"),
        (5, "not JSON"),
        (6, "no `text`"),
        (7, "`text` is no string"),
        (8, "invalid UTF-8 at byte 10"),
        (9, "not a JSON object"),
    ]
    rows = read("out.jsonl")
    assert [row["text"] for row in rows] == [json.loads(LINES[at])["text"] for at in (0, 2, 9)]
    assert "1 lines had members of the same names" in err
    assert rows[2]["sentiment"] == rows[0]["sentiment"] == "negative"
    assert sorted(os.listdir()) == ["in.jsonl", "out.jsonl", "out.jsonl.errors.jsonl"]


def test_members_stay_as_they_are_and_scores_come_behind(scorer: Scorer) -> None:
    scored = score_chunk([Line(1, LINES[0])], scorer)
    assert scored.data.startswith(LINES[0][:-1].replace(b", ", b",").replace(b": ", b":"))
    row = json.loads(scored.data)
    assert list(row) == ["price", "text", "id", "x", *ADDED]
    for head, labels in (("sentiment", SENTIMENTS), ("topic", TOPICS), ("intent", INTENTS)):
        probs = row[f"{head}_probs"]
        assert list(probs) == list(labels)
        assert sum(probs.values()) == pytest.approx(1, abs=1e-4)
        assert probs[row[head]] == max(probs.values())


def test_a_reply_is_read_with_its_parent(scorer: Scorer) -> None:
    lines = [
        b'{"text": "Told you so", "parent": "Tesla misses its target again"}',
        b'{"text": "Told you so", "parent": "Tesla reaches a record high"}',
        b'{"text": "Told you so"}',
        b'{"text": "Told you so", "parent": 1}',
    ]
    scored = score_chunk([Line(number, line) for number, line in enumerate(lines, 1)], scorer)
    rows = [json.loads(line) for line in scored.data.splitlines()]
    assert len({row["sentiment_probs"]["negative"] for row in rows}) == 3
    assert [(bad.number, bad.reason.partition(":")[0]) for bad in scored.bad] == [(4, "`parent` is no string")]


def test_a_text_is_scored_the_same_whatever_stands_beside_it(scorer: Scorer) -> None:
    alone = json.loads(score_chunk([Line(1, LINES[0])], scorer).data)
    lines = [Line(n, msgspec.json.encode({"text": f"{n} " + "word " * n})) for n in range(1, 30)]
    beside = json.loads(score_chunk([*lines, Line(99, LINES[0])], scorer).data.splitlines()[-1])
    assert beside["sentiment_probs"] == pytest.approx(alone["sentiment_probs"], abs=1e-3)


def test_strict_stops_at_the_first_bad_line_and_leaves_nothing(
    score: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert score("in.jsonl", "out.jsonl", "--strict") == 1
    assert capsys.readouterr().err.startswith("error: in.jsonl:4: `text` is empty")
    assert os.listdir() == ["in.jsonl"]


def test_it_reads_stdin_and_writes_stdout_and_nothing_else_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamwatch.cli.main", "score", "-", "-"]
    done = subprocess.run(command, input=b"\n".join(LINES), capture_output=True, cwd=tmp_path, timeout=120, check=True)
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()][0].startswith("Shares")
    assert b"posts=3" in done.stderr
    assert b"stdin:5: not JSON" in done.stderr
    assert os.listdir(tmp_path) == []


def test_chunks_are_bounded_in_lines_and_bytes() -> None:
    short = [len(chunk) for chunk in chunks(Line(n, b"{}") for n in range(CHUNK_LINES + 1))]
    assert short == [CHUNK_LINES, 1]
    long = Line(1, bytes(CHUNK_BYTES // 2))
    assert [len(chunk) for chunk in chunks([long, long, long])] == [2, 1]
    assert list(chunks([])) == []


def write_half(file: Path) -> None:
    with open_output(file) as out:
        out.write(b"half")
        raise KeyboardInterrupt


def test_an_output_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        write_half(file)
    assert file.read_bytes() == b"before"
    with open_output(file) as out:
        out.write(b"whole")
    assert file.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_an_output_may_be_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with open_output(pipe) as out:
        out.write(b"data")
    assert os.read(reader, 10) == b"data"
    os.close(reader)
    assert pipe.is_fifo()


def test_errors_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    file = tmp_path / "errors.jsonl"
    file.write_text("old", encoding="utf-8")
    unused = LazyOutput(file)
    unused.close()
    assert not file.exists()
