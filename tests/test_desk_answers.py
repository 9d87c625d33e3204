"""Answers that are kept: made once, and let go of."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamwatch.desk.answers import Answers


def test_who_asks_while_an_answer_is_made_waits_for_it() -> None:
    answers, made = Answers(), []
    asked = threading.Barrier(8)

    def make() -> bytes:
        made.append(1)
        return b"7"

    def ask() -> bytes:
        asked.wait()
        return answers.get("q", "v1", make)

    with ThreadPoolExecutor(8) as threads:
        found = [thread.result() for thread in [threads.submit(ask) for _ in range(8)]]
    assert found == [b"7"] * 8
    assert len(made) == 1


def test_what_could_not_be_made_is_made_the_next_time() -> None:
    answers = Answers()

    def fail() -> bytes:
        message = "no"
        raise ValueError(message)

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            answers.get("q", "v1", fail)
    assert answers.get("q", "v1", lambda: b"7") == b"7"


def test_what_was_not_asked_for_longest_goes_first() -> None:
    answers = Answers(max_bytes=25)
    for name in ("a", "b"):
        answers.get(name, "v1", lambda: b"0123456789")
    answers.get("a", "v1", lambda: b"")
    answers.get("c", "v1", lambda: b"0123456789")
    assert answers.get("a", "v1", lambda: b"again") == b"0123456789"
    assert answers.get("b", "v1", lambda: b"again") == b"again"
