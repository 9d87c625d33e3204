"""The benchmark of the desk: its questions are ones that the desk answers, and nothing that is lost goes unseen."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from jobs.desk_benchmark import Load, Sent, Writer, alert_figures, answer_figures
from jobs.desk_clients import Asked, Heard, Query, questions
from jobs.windows_streams import Posts
from streamwatch.desk.desk import Desk
from streamwatch.store.tables import Tables
from tests.stored_desk import client_of, desk_over

KEYS = 50


def test_what_readers_ask_is_answered_over_what_the_writer_stored(tmp_path: Path) -> None:
    writer = Writer(Tables(str(tmp_path / "tables")), Posts(KEYS, seed=1))
    writer.fill(3_000)
    writer.go_on()
    desk = desk_over(tmp_path)
    assert desk.posts.files["rows"].sum() > 3_000
    asked = list(islice(questions(random.Random(1), writer.tickers), 120))
    answers = asyncio.run(ask(desk, [(path, query) for path, query, _ in asked]))
    desk.close()
    assert set(answers) == {200}
    assert Counter(path for path, _, _ in asked).keys() == {
        "/v1/aggregates",
        "/v1/indices",
        "/v1/posts",
        "/v1/alerts",
    }
    assert any(new for _, _, new in asked)


async def ask(desk: Desk, asked: list[tuple[str, Query]]) -> list[int]:
    async with client_of(desk) as client:
        return [(await client.get(f"{path}?{urlencode(query)}")).status_code for path, query in asked]


def test_faults_and_lost_and_repeated_alerts_are_counted() -> None:
    asked = [
        Asked("/v1/aggregates", new=False, status=200, seconds=0.1),
        Asked("/v1/posts", new=False, status=304, seconds=0.3),
        Asked("/v1/aggregates", new=True, status=503, seconds=0.2),
        Asked("/v1/aggregates", new=True, status=0, seconds=0.2),
    ]
    shown = {figure.figure: figure for figure in answer_figures(asked, Load(1, 1, 1, 1))}
    assert (shown["errors"].value, shown["errors"].remark) == (2, "1 x 503, 1 x 0")
    assert (shown["aggregates p50, ms"].value, shown["aggregates p99, ms"].remark) == (200.0, "")
    sent = [Sent("a", 1.0), Sent("b", 2.0)]
    heard = [Heard(0, "a", 1.1), Heard(0, "b", 2.1), Heard(1, "a", 1.5), Heard(1, "a", 1.6)]
    found = {figure.figure: figure.value for figure in alert_figures(heard, sent, 2)}
    assert (found["alerts missed"], found["alerts got twice"]) == (1, 1)
    assert found["slowest delivery, ms"] == 600.0
