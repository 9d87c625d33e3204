"""The API's reads over real tables: what is answered, in which format, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import polars as pl
import pytest

from streamwatch.config import Config, DeskConfig
from streamwatch.desk.access import Role
from streamwatch.desk.desk import Desk
from tests.scored_rows import Row
from tests.stored_desk import client_of, desk_over, store_posts
from tests.stored_posts import stored_day

T = TypeVar("T")
DAY = {"from": "2026-01-05T09:00Z", "to": "2026-01-05T18:00Z"}


def run(doing: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(doing)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk over a day with a surge of negative posts about AAPL."""
    folder = tmp_path_factory.mktemp("day")
    stored_day(folder / "tables")
    found = desk_over(folder)
    yield found
    found.close()


def get(
    desk: Desk, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with client_of(desk) as client:
            return await client.get(path, params=params, headers=headers)

    return run(ask())


def send(desk: Desk, method: str, path: str, body: object = None, role: Role = "labeller", tenant: str = "main") -> Any:
    async def ask() -> httpx.Response:
        async with client_of(desk, role, tenant) as client:
            return await client.request(method, path, json=body)

    return run(ask())


def test_figures_come_with_the_range_and_version_that_they_are_of(desk: Desk) -> None:
    params = {"group_by": "entity", "measure": "negative_share", "window": "1h", "from": "2026-01-05T13:01Z"}
    found = get(desk, "/v1/aggregates", params | {"to": "2026-01-05T13:30Z"}).json()
    assert (found["from"], found["to"]) == ("2026-01-05T13:00:00Z", "2026-01-05T14:00:00Z")
    assert found["table_version"] == desk.posts.version
    row = next(row for row in found["rows"] if row["entity"] == "AAPL")
    assert (row["window_start"], row["window_end"]) == (found["from"], found["to"])
    assert row["value"] == row["negative"] / row["count"] > 0.5


def test_a_range_is_compared_with_the_one_before(desk: Desk) -> None:
    params = {
        "from": "2026-01-05T13:00Z",
        "to": "2026-01-05T14:00Z",
        "compare": "previous",
        "measure": "negative_count",
    }
    (row,) = get(desk, "/v1/aggregates", params).json()["rows"]
    before = {"from": "2026-01-05T12:00Z", "to": "2026-01-05T13:00Z", "measure": "negative_count"}
    (earlier,) = get(desk, "/v1/aggregates", before).json()["rows"]
    assert (row["previous"], row["previous_count"]) == (earlier["value"], earlier["count"])
    assert row["change"] == row["value"] - earlier["value"]


@pytest.mark.parametrize(
    ("accept", "output"), [("text/csv", None), ("*/*", "csv"), ("text/html, text/csv;q=0.9", None)]
)
def test_figures_as_csv(desk: Desk, accept: str, output: str | None) -> None:
    params = {"group_by": "entity", **({"format": output} if output else {})}
    answer = get(desk, "/v1/aggregates", params, headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = get(desk, "/v1/aggregates", {"group_by": "entity"}).json()["rows"]
    assert [(row["entity"], int(row["count"])) for row in rows] == [(row["entity"], row["count"]) for row in expected]


def test_figures_as_arrow(desk: Desk) -> None:
    params = {"group_by": "topic", "window": "1h"}
    answer = get(desk, "/v1/aggregates", params, headers={"Accept": "application/vnd.apache.arrow.stream"})
    rows = pl.read_ipc_stream(answer.content)
    expected = get(desk, "/v1/aggregates", params).json()["rows"]
    assert rows["count"].to_list() == [row["count"] for row in expected]
    assert rows.schema["window_start"] == pl.Datetime("us", "UTC")


def test_what_a_client_has_is_not_sent_again_until_it_changes(tmp_path: Path) -> None:
    store_posts(desk_over(tmp_path).tables, [Row(0)])
    desk = desk_over(tmp_path)
    for path in ("/v1/aggregates", "/v1/posts", "/v1/alerts"):
        first = get(desk, path)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"
        again = get(desk, path, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert get(desk, path, {"limit": 7}, headers={"If-None-Match": tag}).status_code == 200
    tag = get(desk, "/v1/aggregates").headers["etag"]
    store_posts(desk.tables, [Row(1)], first_offset=1)
    desk.refresh()
    changed = get(desk, "/v1/aggregates", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["rows"][0]["count"]) == (200, 2)


@pytest.mark.parametrize(
    ("path", "params", "reason"),
    [
        ("/v1/aggregates", {"group_by": "colour"}, "query.group_by: found 'colour', expected up to 3 of entity, topic"),
        ("/v1/aggregates", {"group_by": "topic,topic"}, "query.group_by"),
        ("/v1/aggregates", {"measure": "mood"}, "query.measure"),
        ("/v1/aggregates", {"window": "7m"}, "query.window: found '7m', expected a multiple of 5m, 366d at most"),
        ("/v1/aggregates", {"window": "999999w", "to": "2026-01-01"}, "query.window: found '999999w', expected a"),
        ("/v1/aggregates", {"window": "0h"}, "query.window: found '0h', expected a span"),
        ("/v1/aggregates", {"from": "soon"}, "query.from: found 'soon', expected an instant such as"),
        ("/v1/aggregates", {"from": "9999999999999d"}, "query.from"),
        ("/v1/aggregates", {"from": "0001-01-01"}, "query.from"),
        ("/v1/aggregates", {"from": "2026-01-02", "to": "2026-01-01"}, "query.to: found '2026-01-01', expected an"),
        ("/v1/aggregates", {"compare": "previous"}, "query.from: found nothing"),
        ("/v1/aggregates", {"order": "-change"}, "query.order"),
        ("/v1/aggregates", {"limit": "0"}, "query.limit"),
        ("/v1/aggregates", {"colour": "red"}, "query.colour: Extra inputs are not permitted"),
        ("/v1/indices", {}, "query.entity: found nothing, expected entities or a basket"),
        ("/v1/posts", {"cursor": "x"}, "cursor 'x' is none that this desk gave"),
        ("/v1/posts", {"sentiment": "sad"}, "query.sentiment"),
        ("/v1/alerts", {"status": "open"}, "query.status"),
        ("/v1/alerts", {"cursor": "x"}, "cursor 'x' is none that this desk gave"),
        ("/v1/alerts/AB", {}, "path.fingerprint"),
    ],
)
def test_a_wrong_question_is_told_what_was_expected(desk: Desk, path: str, params: dict[str, str], reason: str) -> None:
    answer = get(desk, path, params)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["detail"].startswith(reason)


def test_an_unknown_media_type_is_refused(desk: Desk) -> None:
    answer = get(desk, "/v1/aggregates", headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["title"]) == (406, "Not Acceptable")


def test_posts_are_paged_through(desk: Desk) -> None:
    cursor, ids = None, []
    params: dict[str, Any] = {"entity": "AAPL", "sentiment": "negative", "limit": 30, **DAY}
    while True:
        page = get(desk, "/v1/posts", params | ({"cursor": cursor} if cursor else {})).json()
        ids += [post["id"] for post in page["posts"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    sql = "SELECT id FROM posts WHERE sentiment = 'negative'"
    assert sorted(ids) == sorted(desk.tables.query(sql)["id"])
    one = get(desk, f"/v1/posts/{ids[0]}").json()
    assert (one["id"], one["sentiment"]) == (ids[0], "negative")
    assert get(desk, "/v1/posts/none").status_code == 404


def test_an_index_of_a_basket_is_that_of_its_entities(desk: Desk) -> None:
    assert get(desk, "/v1/indices", {"basket": "two"}).status_code == 404
    basket = send(desk, "PUT", "/v1/baskets/two", {"entities": ["AAPL", "IBM", "AAPL"]}).json()
    assert basket["entities"] == ["AAPL", "IBM"]
    found = get(desk, "/v1/indices", {"basket": "two", "window": "1h", "bars": "true"}).json()
    assert found["rows"] == get(desk, "/v1/indices", {"entity": ["AAPL", "IBM"], "bars": "true"}).json()["rows"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in found["rows"])
    assert [basket["name"] for basket in get(desk, "/v1/baskets").json()["baskets"]] == ["two"]
    assert send(desk, "DELETE", "/v1/baskets/two").status_code == 204
    assert send(desk, "DELETE", "/v1/baskets/two").status_code == 404


def test_baskets_are_a_tenants_own(desk: Desk) -> None:
    send(desk, "PUT", "/v1/baskets/mine", {"entities": ["SAP"]}, tenant="other")
    assert get(desk, "/v1/baskets").json() == {"baskets": []}
    assert get(desk, "/v1/indices", {"basket": "mine"}).status_code == 404


def test_alerts_are_listed_and_shown_with_their_evidence(desk: Desk) -> None:
    listed = get(desk, "/v1/alerts").json()["alerts"]
    stored = desk.tables.query("SELECT fingerprint, seen FROM alerts ORDER BY onset DESC, fingerprint DESC")
    assert [(alert["fingerprint"], alert["seen"]) for alert in listed] == stored.rows()
    assert "evidence" not in listed[0]
    whole = get(desk, f"/v1/alerts/{listed[0]['fingerprint']}").json()
    assert len(whole["evidence"]) > 0
    assert whole["provenance"]["source_offsets"]
    assert whole["desk"] == {"acknowledged": None, "muted_until": None, "muted_by": None, "comments": []}
    assert get(desk, "/v1/alerts", {"status": "firing", "group": "none"}).json() == {"alerts": [], "next_cursor": None}
    assert get(desk, f"/v1/alerts/{'0' * 16}").status_code == 404


def test_what_people_say_of_an_alert_is_shown_with_it(desk: Desk) -> None:
    fingerprint = get(desk, "/v1/alerts").json()["alerts"][0]["fingerprint"]
    path = f"/v1/alerts/{fingerprint}"
    tag = get(desk, path).headers["etag"]
    assert send(desk, "POST", f"{path}/acknowledgement").json()["desk"]["acknowledged"]["by"] == "a labeller"
    assert send(desk, "POST", f"{path}/comments", {"text": "known"}).status_code == 201
    assert send(desk, "PUT", f"{path}/mute", {"until": "2999-01-01T00:00:00+01:00"}).status_code == 200
    assert send(desk, "PUT", f"{path}/mute", {"until": "2001-01-01T00:00:00Z"}).status_code == 422
    assert send(desk, "PUT", f"{path}/mute", {"until": "2999-01-01T00:00:00"}).status_code == 422
    answer = get(desk, path, headers={"If-None-Match": tag})
    state = answer.json()["desk"]
    assert (state["muted_until"], state["comments"][0]["text"]) == ("2998-12-31T23:00:00Z", "known")
    listed = get(desk, "/v1/alerts", {"acknowledged": "true"}).json()["alerts"]
    assert [alert["fingerprint"] for alert in listed] == [fingerprint]
    assert send(desk, "GET", path, tenant="other").json()["desk"]["acknowledged"] is None
    assert send(desk, "DELETE", f"{path}/acknowledgement").json()["desk"]["acknowledged"] is None
    assert send(desk, "DELETE", f"{path}/mute").json()["desk"]["muted_until"] is None
    assert send(desk, "POST", f"/v1/alerts/{'0' * 16}/acknowledgement").status_code == 404


def test_ones_own_order_of_alerts_follows_what_one_opens(desk: Desk) -> None:
    def mine() -> list[Any]:
        found: list[Any] = get(desk, "/v1/alerts", {"order": "mine"}).json()["alerts"]
        return found

    (before,) = mine()
    for _ in range(20):
        assert send(desk, "POST", f"/v1/alerts/{before['fingerprint']}/opening", role="viewer").status_code == 204
    (after,) = mine()
    assert after["rank"]["wanted"] > before["rank"]["wanted"]
    assert any(reason.startswith("you act on") for reason in after["rank"]["reasons"])
    others = send(desk, "GET", "/v1/alerts?order=mine", tenant="other").json()["alerts"]
    assert not any("you " in reason for alert in others for reason in alert["rank"]["reasons"])
    assert get(desk, "/v1/alerts", {"order": "mine", "cursor": "x"}).status_code == 422


def test_sql_answers_what_the_tables_hold(desk: Desk) -> None:
    query = "SELECT source, count(*) AS posts FROM posts GROUP BY source"
    found = send(desk, "POST", "/v1/sql", {"sql": query}, "viewer").json()
    assert found == {"columns": ["source", "posts"], "truncated": False, "rows": desk.tables.query(query).to_dicts()}
    few = send(desk, "POST", "/v1/sql", {"sql": "SELECT id FROM posts", "rows": 3}, "viewer").json()
    assert (len(few["rows"]), few["truncated"]) == (3, True)
    table = send(desk, "POST", "/v1/sql?format=csv", {"sql": "SELECT id, entities FROM posts LIMIT 1"}, "viewer")
    assert '""ticker"":""' in table.text


@pytest.mark.parametrize(
    "query",
    ["DROP TABLE posts", "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM tokens", "SELECT nothing FROM posts"],
)
def test_sql_stays_in_its_tables(desk: Desk, query: str) -> None:
    answer = send(desk, "POST", "/v1/sql", {"sql": query}, "viewer")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:streamwatch:problem:query-refused")


@pytest.mark.parametrize(
    ("limits", "columns", "copies", "word"),
    [
        (DeskConfig(sql_timeout_s=2.0), "count(*)", 4, "within 2 s"),
        (DeskConfig(sql_timeout_s=60.0, sql_memory_mb=512), "*", 2, "512 MB of memory"),
    ],
)
def test_sql_that_takes_too_much_is_ended(
    tmp_path: Path, limits: DeskConfig, columns: str, copies: int, word: str
) -> None:
    store_posts(desk_over(tmp_path).tables, [Row(index / 10) for index in range(2_000)])
    desk = desk_over(tmp_path, limits)
    joined = " CROSS JOIN ".join(f"posts AS p{number}" for number in range(copies))
    try:
        ended = send(desk, "POST", "/v1/sql", {"sql": f"SELECT {columns} FROM {joined}"}, "viewer")
        assert (ended.status_code, ended.json()["type"]) == (504, "urn:streamwatch:problem:took-too-long")
        assert word in ended.json()["detail"]
        after = send(desk, "POST", "/v1/sql", {"sql": "SELECT count(*) AS n FROM posts"}, "viewer")
        assert after.json()["rows"] == [{"n": 2_000}]
    finally:
        desk.close()


def test_the_desk_keeps_up_by_itself(tmp_path: Path) -> None:
    desk = desk_over(tmp_path, DeskConfig(refresh_every_s=0.05))

    async def wait() -> None:
        desk.start(asyncio.get_running_loop())
        store_posts(desk.tables, [Row(0), Row(1)])
        while get_count(desk) != 2:
            await asyncio.sleep(0.02)

    try:
        run(asyncio.wait_for(wait(), 30))
    finally:
        desk.close()


def get_count(desk: Desk) -> int:
    rows = desk.rollups.sums(()).between(0, 10_000_000).collect()
    return int(rows["count"].sum())


def test_a_desk_that_has_not_read_yet_says_so(tmp_path: Path) -> None:
    desk = Desk(Config(state_dir=tmp_path))
    answer = get(desk, "/v1/aggregates")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    desk.refresh()
    assert get(desk, "/v1/aggregates").json()["rows"] == []
