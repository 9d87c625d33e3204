"""`labels import`, `export`, `queue` and `agreement`, on a real broker and real tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kafka import TopicPartition

from streamwatch.cli.main import run_command
from streamwatch.codec import SCORED_SCHEMA
from streamwatch.config import Config
from streamwatch.ingest.broker import start_local_broker
from streamwatch.ingest.connection import connect
from streamwatch.ingest.source import StreamReader
from streamwatch.learn.examples import read_examples
from streamwatch.records import INTENTS, TOPICS
from streamwatch.store.archive import Archive
from streamwatch.store.tables import Tables, transaction_id

pytestmark = pytest.mark.integration

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
TEXTS = {
    "p1": "Apple slides as Tesla soars",
    "p2": "Why is nobody talking about this?",
    "p3": "Ford workers walk out",
    "p4": "Nothing happened today",
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamwatch.toml").write_text('state_dir = "state"\n', encoding="utf-8")
    config = Config(state_dir=Path("state"))
    with start_local_broker(config.state_dir, None):
        yield config


def printed(capsys: pytest.CaptureFixture[str], *args: str, status: int = 0) -> Any:
    capsys.readouterr()
    assert run_command(["labels", *args, "-o", "json"]) == status
    return json.loads(capsys.readouterr().out)


def archive_labels(config: Config) -> None:
    """Put what is on the stream into the tables, as ARCHIVE does."""
    archive = Archive(Tables(config.store_url()), config.store)
    place = TopicPartition("streamwatch.labels", 0)
    with StreamReader(connect(config), ["streamwatch.labels"], "test-archive") as reader:
        reader.seek({})
        while reader.positions()[place] < reader.end_offsets()[place]:
            for messages in reader.poll(1.0, 1_000).values():
                assert archive.add("labels", 0, messages) == []
    archive.flush()


def store_posts(config: Config, *, unsure: str = "p4") -> None:
    rows = [
        {
            "id": name,
            "source": "wire",
            "lang": "en",
            "published_at": NOON,
            "text": text,
            "reply_to": "p3" if name == "p2" else None,
            "appended_at": NOON,
            "source_partition": 0,
            "source_offset": offset,
            "entities": [],
            "novelty": hash_of[name],
            "sentiment": "neutral",
            "topic": "markets",
            "intent": "inform",
            "sentiment_probs": [0.4, 0.41, 0.19] if name == unsure else [0.02, 0.96, 0.02],
            "topic_probs": [1.0] + [0.0] * (len(TOPICS) - 1),
            "intent_probs": [1.0] + [0.0] * (len(INTENTS) - 1),
        }
        for offset, (name, text) in enumerate(TEXTS.items())
    ]
    Tables(config.store_url()).append(
        "posts", pa.Table.from_pylist(rows, schema=SCORED_SCHEMA), {transaction_id("posts", 0): len(rows)}
    )


hash_of = {"p1": 0x0123456789ABCDEF, "p2": 0x7EDCBA9876543210, "p3": 0x00FF00FF00FF00FF, "p4": 0x0F0F0F0FF0F0F0F0}
LINES = [
    {"post_id": "p1", "entities": {"Apple": "negative", "TSLA": "positive", "MSFT": "neutral"}},
    {"post_id": "p2", "sentiment": "negative", "intent": "question", "labelled_at": "2026-01-05T09:00:00Z"},
    {"post_id": "p3", "topic": "strikes"},
    {"post_id": "gone", "sentiment": "neutral"},
    {"post_id": "p3", "sentiment": "awful"},
]


def labels_file(folder: Path) -> Path:
    file = folder / "labels.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    return file


def test_labels_go_from_a_file_to_the_table_once(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = labels_file(tmp_path)
    command = ("import", str(file), "--labeller", "ann", "--new-labels")
    first = printed(capsys, *command)
    assert (first["labels"], first["sent"], first["there_before"], first["bad_lines"]) == (7, 7, 0, 1)
    (bad,) = (json.loads(line) for line in Path(first["errors"]).read_text(encoding="utf-8").splitlines())
    assert (bad["line"], bad["error"]) == (5, "sentiment 'awful': expected negative, neutral, positive")
    # Once from what waits on the stream, once from the table.
    assert printed(capsys, *command)["sent"] == 0
    archive_labels(config)
    again = printed(capsys, *command)
    assert (again["sent"], again["there_before"]) == (0, 7)
    rows = Tables(config.store_url()).scan("labels").collect()
    assert rows.height == 7
    assert set(rows["origin"]) == {"labels.jsonl"}
    assert set(rows["labeller"]) == {"ann"}
    assert rows.filter(task="entity", entity="AAPL")["gold_label"].to_list() == ["negative"]
    assert rows.filter(task="intent")["labelled_at"].to_list() == [datetime(2026, 1, 5, 9, tzinfo=UTC)]


def test_settled_labels_come_out_as_training_reads_them(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_posts(config)
    printed(capsys, "import", str(labels_file(tmp_path)), "--new-labels")
    archive_labels(config)
    counts = printed(capsys, "export", "out.jsonl")
    assert (counts["posts"], counts["unknown_posts"], counts["absent_entities"]) == (3, 1, 1)
    lines = {line["post_id"]: line for line in map(json.loads, Path("out.jsonl").read_text().splitlines())}
    assert lines["p1"]["entities"] == {"Apple": "negative", "Tesla": "positive"}
    assert (lines["p2"]["parent"], lines["p2"]["intent"]) == (TEXTS["p3"], "question")
    assert lines["p3"]["desk_topic"] == "strikes"
    taught = Path("taught.jsonl")
    taught.write_text("".join(json.dumps(line) + "\n" for line in lines.values() if "desk_topic" not in line))
    examples = {example.text: example for example in read_examples([taught])}
    assert len(examples[TEXTS["p1"]].spans) == 2
    assert examples[TEXTS["p2"]].parent == TEXTS["p3"]
    assert printed(capsys, "export", "none.jsonl", "--agreeing", "sentiment=2", "--agreeing", "entity=2")["posts"] == 2


def test_the_queue_and_how_far_people_agree(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_posts(config)
    file = tmp_path / "labels.csv"
    file.write_text("post_id,sentiment,labeller\np1,negative,ann\np1,neutral,bob\np2,neutral,ann\np2,neutral,bob\n")
    printed(capsys, "import", str(file))
    archive_labels(config)
    first, second, *_ = printed(capsys, "queue")
    assert (first["post_id"], first["reasons"][0]) == ("p1", "labellers differ: ann: negative, bob: neutral")
    assert (second["post_id"], second["task"], second["text"]) == ("p4", "sentiment", TEXTS["p4"])
    told = printed(capsys, "agreement")
    assert [(task["task"], task["items"], task["agreement"]) for task in told["tasks"]] == [("sentiment", 2, 0.5)]
    assert [(pair["first"], pair["second"], pair["kappa"]) for pair in told["pairs"]] == [("ann", "bob", 0.0)]
    assert [conflict["post_id"] for conflict in told["conflicts"]] == ["p1"]
    assert run_command(["labels", "agreement"]) == 0
    shown = capsys.readouterr()
    assert "ann: negative, bob: neutral" in shown.out
    assert "1 conflicts" in shown.err


def test_a_strict_import_sends_nothing(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["labels", "import", str(labels_file(tmp_path)), "--strict"]) == 1
    assert "labels.jsonl:3: topic 'strikes': expected" in capsys.readouterr().err
    assert printed(capsys, "import", str(labels_file(tmp_path)))["there_before"] == 0


@pytest.mark.parametrize("said", ["mood=2", "sentiment", "sentiment=0", "sentiment=two"])
def test_how_many_must_agree_is_a_task_and_a_number(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["labels", "agreement", "--agreeing", said]) == 2
    assert "such as sentiment=2" in capsys.readouterr().err


def test_a_file_whose_name_says_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("post_id,sentiment\n")
    assert run_command(["labels", "import", str(file)]) == 1
    assert "the name ends in .txt, expected .csv" in capsys.readouterr().err
