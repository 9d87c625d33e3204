from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from streamwatch.logs import configure_logging, remove_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    remove_logging()


def test_fields_stand_behind_the_message(stream: io.StringIO) -> None:
    configure_logging(stream)
    logging.getLogger("jobs.score").info("committed", extra={"stream": "a.posts", "partition": 3, "offset": 17})
    assert stream.getvalue().split(" ", 1)[1] == "INFO jobs.score committed stream=a.posts partition=3 offset=17\n"


def test_a_value_cannot_break_the_line_or_pretend_to_be_a_field(stream: io.StringIO) -> None:
    configure_logging(stream)
    logging.getLogger("jobs").warning("dead\nletter", extra={"reason": 'a" b=c\nERROR fake', "empty": ""})
    assert stream.getvalue().count("\n") == 1
    assert r'dead\nletter reason="a\" b=c\nERROR fake" empty=""' in stream.getvalue()


def test_json_lines_hold_the_same(stream: io.StringIO) -> None:
    configure_logging(stream, True)
    try:
        {}["missing"]
    except KeyError:
        logging.getLogger("serve").exception("failed", extra={"partition": 3})
    entry = json.loads(stream.getvalue())
    assert (entry["level"], entry["event"], entry["partition"]) == ("ERROR", "failed", 3)
    assert "KeyError" in entry["exception"]


def test_clients_of_others_speak_only_of_troubles(stream: io.StringIO) -> None:
    configure_logging(stream)
    logging.getLogger("kafka").info("connected")
    logging.getLogger("kafka").warning("lost")
    logging.getLogger("streamwatch.store").debug("detail")
    assert [line.split()[1:] for line in stream.getvalue().splitlines()] == [["WARNING", "kafka", "lost"]]


def test_configuring_again_replaces(stream: io.StringIO) -> None:
    first = io.StringIO()
    configure_logging(first)
    configure_logging(stream)
    logging.getLogger("jobs").info("once")
    assert first.getvalue() == ""
    assert stream.getvalue().count("once") == 1


def test_what_ray_adds_to_a_record_is_no_field(stream: io.StringIO) -> None:
    configure_logging(stream)
    # Not through `extra`: where Ray is in the process, its record factory has set the attribute already.
    record = logging.LogRecord("jobs", logging.INFO, "", 0, "up", None, None)
    record.__dict__ |= {"_ray_timestamp_ns": 7, "stage": "WATCH"}
    logging.getLogger("jobs").handle(record)
    assert stream.getvalue().endswith("up stage=WATCH\n")
