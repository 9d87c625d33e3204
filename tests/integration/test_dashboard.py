"""The dashboard in a real Chromium, over real tables, with alerts live through a real Kafka."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pyarrow as pa
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect, sync_playwright

from jobs.monitor_process import free_port
from serve.api import create_app
from serve.routes.web import FOLDER
from streamwatch.codec import encode_batch
from streamwatch.config import Config, DeskConfig, KafkaConfig, MetricsConfig
from streamwatch.desk.desk import Desk
from streamwatch.ingest.admin import ensure_streams
from streamwatch.ingest.broker import LocalBroker
from streamwatch.ingest.connection import Connection, connect
from streamwatch.ingest.sink import Sink
from streamwatch.ingest.source import StreamReader
from streamwatch.records import INTENTS, TOPICS, Alert, Label
from streamwatch.streams import Kind, stream_name
from tests.conftest import fresh_prefix
from tests.scored_rows import START, Row, monitors, scored
from tests.stored_posts import Chain

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RULES = monitors(measure='"negative_count"', min_count="5", severity='"critical"', keep_firing_for='"2h"')
MARKUP = '<img src=x onerror="document.title=1"> $AAPL & <b>bold</b>'
SURGE_AT = 600
WIDE = ViewportSize(width=1280, height=800)
NARROW = ViewportSize(width=390, height=844)
LOOKS = [("en", "light", WIDE), ("zh", "dark", NARROW), ("zh", "light", NARROW), ("en", "dark", WIDE)]
LOOKED_INTO = [("en", "light"), ("zh", "dark")]
"""Where axe-core looks as well: both themes, both widths."""


def quiet_rows() -> list[Row]:
    """Return ten hours of quiet talk about a few companies."""
    texts = ["Apple keeps its outlook", "$AAPL flat before the bell", "Apple 发布新产品", MARKUP]
    moods = ["neutral", "positive", "neutral", "neutral", "negative"]
    rows = [Row(4 * at, ("AAPL",), moods[at % 5], text=texts[at % 4]) for at in range(SURGE_AT // 4)]
    raised = "IBM raises guidance"
    rows += [Row(9 * at + 1, ("IBM",), "positive", topic="macro", text=raised) for at in range(SURGE_AT // 9)]
    rows += [Row(15 * at + 2, ("TSM", "AAPL"), text="TSM and Apple") for at in range(SURGE_AT // 15)]
    return sorted(rows, key=lambda row: row.minute)


def surge_rows() -> list[Row]:
    """Return half an hour of bad news about AAPL, told in many ways by many voices."""
    places = ["Berlin", "Lagos", "Osaka", "Lima", "Perth", "Turin", "Quito", "Oslo", "Pune", "Cork"]
    return [
        Row(
            SURGE_AT + 1 + index / 2,
            ("AAPL",),
            "negative",
            source=f"wire-{index % 5}",
            topic="company_product",
            text=f"battery fires in {places[index % 10]} reported by owner {index * 7919}: $AAPL recall feared",
            author=f"author-{index}",
        )
        for index in range(60)
    ]


def with_chances(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with probabilities of every topic and intent, none of them sure."""
    for name, labels in (("topic_probs", TOPICS), ("intent_probs", INTENTS)):
        chances = pa.array([[1 / len(labels)] * len(labels)] * batch.num_rows, pa.list_(pa.float32()))
        batch = batch.set_column(batch.schema.get_field_index(name), name, chances)
    return batch


class Served(NamedTuple):
    """A desk on a port of its own, the chain that fills its tables, and its alerts' stream."""

    base: str
    token: str
    client: httpx.Client
    chain: Chain
    connection: Connection
    say: Callable[[Kind, bytes, str], None]

    def tell(self, alert: Alert) -> None:
        """Send an alert onto its stream, as WATCH does."""
        self.say("alerts", msgspec.json.encode(alert), alert.fingerprint)

    def labels(self) -> list[Label]:
        """Return the labels on the stream."""
        stream = stream_name("labels", self.connection.kafka.prefix)
        with StreamReader(self.connection, [stream], fresh_prefix()) as reader:
            reader.seek({})
            found: list[Label] = []
            while not found:
                for records in reader.poll(1.0, 100).values():
                    found += [msgspec.json.decode(record.value or b"", type=Label) for record in records]
            return found

    def get(self, path: str, **params: Any) -> Any:
        """Return what the API answers."""
        return self.client.get(path, params=params).raise_for_status().json()

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT."""
        rows: list[dict[str, Any]] = self.client.post("/v1/sql", json={"sql": text}).raise_for_status().json()["rows"]
        return rows


@pytest.fixture(scope="module")
def served(apache: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    kafka = KafkaConfig(bootstrap_servers=apache.bootstrap_servers, prefix=fresh_prefix())
    settings = DeskConfig(port=free_port(), requests_per_s=1_000, burst=10_000, refresh_every_s=0.1)
    state_dir = tmp_path_factory.mktemp("desk")
    config = Config(state_dir=state_dir, kafka=kafka, desk=settings, metrics=MetricsConfig(port=free_port()))
    connection = connect(config)
    ensure_streams(connection)
    chain = Chain(Path(config.store_url()), RULES)
    chain.watch.assign([0])
    chain.take(with_chances(scored(quiet_rows())))
    chain.commit()
    desk = Desk(config, connection)
    desk.refresh()  # before the first question
    token = desk.tokens.add("ann", "operator", "main", datetime.now(UTC))
    server = uvicorn.Server(
        uvicorn.Config(create_app(desk), port=settings.port, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    base = f"http://127.0.0.1:{settings.port}"
    headers = {"Authorization": f"Bearer {token}"}
    with Sink(connection) as sink, httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=30) as client:

        def say(stream: Kind, value: bytes, key: str) -> None:
            sink.send(stream_name(stream, kafka.prefix), value, key=key.encode())
            sink.flush()

        wait_for(lambda: server.started)
        found = Served(base, token, client, chain, connection, say)
        wait_for(lambda: found.get("/v1/posts", limit=1)["posts"] != [])
        yield found
    server.should_exit = True
    thread.join()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        reason = f"no Chromium at {CHROMIUM}: apt-get install chromium fonts-noto-cjk"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield found
        found.close()


class Seat:
    """A reader at the desk, signed in, whose browser's complaints are kept."""

    def __init__(
        self, browser: Browser, served: Served, lang: str = "en", theme: str = "light", view: ViewportSize = WIDE
    ):
        self.context: BrowserContext = browser.new_context(
            viewport=view, locale={"en": "en-GB", "zh": "zh-CN"}[lang], timezone_id="Asia/Shanghai"
        )
        self.context.set_default_timeout(15_000)
        self.context.add_init_script(f"localStorage.setItem('streamwatch.theme', '{theme}')")
        self.base = served.base
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.context.request.post(
            f"{self.base}/v1/session", data={"token": served.token}, headers={"Origin": self.base}
        )

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, place: str = "/") -> Page:
        """Open a page and return it once all of it is drawn."""
        self.page.goto(f"{self.base}/#{place}")
        expect(self.page.locator("main h1").first).to_be_visible()
        expect(self.page.locator("main [aria-busy=true]")).to_have_count(0)
        return self.page


@pytest.fixture
def seat(browser: Browser, served: Served) -> Iterator[Seat]:
    found = Seat(browser, served)
    yield found
    found.context.close()
    assert found.complaints == []


def test_a_surge_appears_is_opened_read_and_acknowledged(seat: Seat, served: Served) -> None:
    page = seat.open()
    expect(page.locator(".state")).to_have_attribute("data-state", "live")
    expect(page.locator(".first-when-narrow")).to_contain_text("no monitor runs")

    served.chain.take(scored(surge_rows(), first_offset=len(quiet_rows())))
    served.chain.promise(0, SURGE_AT + 40)
    served.chain.commit()
    alert = served.chain.alerts[-1]
    assert (alert.group, alert.status) == ("AAPL", "firing")
    served.tell(alert)

    expect(page.locator(".toast.alert")).to_contain_text("AAPL")
    expect(page.locator(".sections .pill")).to_have_text("1")
    row = page.locator(f".alert-row[href='#/alerts/{alert.fingerprint}']")
    expect(row).to_contain_text("Firing")
    row.click()

    expect(page.locator("h1")).to_have_text("AAPL")
    expect(page.locator(".brief")).to_have_text(alert.brief.en)
    expect(page.locator(".reasons li")).to_have_text(alert.reasons)
    evidence = page.locator("section[aria-label^=Evidence] article")
    expect(evidence).to_have_count(len(alert.evidence))
    expect(evidence.first.locator(".post-text")).to_have_text(alert.evidence[0].text)
    expect(evidence.locator("mark", has_text="battery fires").first).to_be_visible()
    expect(page.locator("code", has_text="streamwatch prove")).to_have_text(f"streamwatch prove {alert.fingerprint}")

    page.keyboard.press("a")
    expect(page.locator(".badges")).to_contain_text("ann has it")
    page.fill("#comment", "calling the issuer")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator(".talk")).to_contain_text("calling the issuer")
    desk = served.get(f"/v1/alerts/{alert.fingerprint}")["desk"]
    assert desk["acknowledged"]["by"] == "ann"
    assert [comment["text"] for comment in desk["comments"]] == ["calling the issuer"]


def test_every_figure_of_the_overview_is_the_api_s(seat: Seat, served: Served) -> None:
    page = seat.open()
    newest = datetime.fromisoformat(served.get("/v1/posts", limit=1)["posts"][0]["published_at"])
    end = START + timedelta(minutes=5 * (int((newest - START).total_seconds() // 300) + 1))
    span = {"from": (end - timedelta(hours=1)).isoformat(), "to": end.isoformat()}
    now = served.get("/v1/aggregates", measure="net_sentiment", **span)["rows"][0]

    def shown(name: str) -> float:
        return float(page.locator(f"[data-figure={name}]").get_attribute("data-value") or "nan")

    assert shown("net_sentiment") == pytest.approx(now["value"])
    assert shown("count") == now["count"]
    assert shown("negative_share") == pytest.approx(now["negative"] / now["count"])
    stored = served.sql(
        f"SELECT count(*) AS posts FROM posts WHERE published_at >= '{span['from'][:19]}' "
        f"AND published_at < '{span['to'][:19]}'"
    )
    assert shown("count") == stored[0]["posts"]
    firing = served.get("/v1/alerts", status="firing")["alerts"]
    assert page.locator(".first-when-narrow .alert-row").count() == len(firing)

    entities = served.get(
        "/v1/aggregates", measure="net_sentiment", group_by="entity", order="value", least=5, limit=8, **span
    )["rows"]
    rows = page.locator("table[aria-label='Most negative'] tbody tr")
    found = [(row.get_attribute("data-entity"), row.get_attribute("data-count")) for row in rows.all()]
    assert found == [(row["entity"], str(row["count"])) for row in entities if row["value"] < 0]

    day = {"from": (end - timedelta(hours=23)).isoformat(), "to": end.isoformat()}
    cells = served.get("/v1/aggregates", measure="net_sentiment", group_by="topic", window="1h", **day)["rows"]
    told = [cell.get_attribute("aria-label") or "" for cell in page.locator(".heat .full").all()]
    counts = sorted(int(re.findall(r"([\d,]+) posts", text)[0].replace(",", "")) for text in told)
    assert counts == sorted(row["count"] for row in cells)


@pytest.mark.parametrize(("lang", "theme", "view"), LOOKS)
def test_it_is_readable_in_each_language_theme_and_width(
    browser: Browser, served: Served, lang: str, theme: str, view: ViewportSize
) -> None:
    seat = Seat(browser, served, lang, theme, view)
    alerts = [f"/alerts/{alert['fingerprint']}" for alert in served.get("/v1/alerts", limit=1)["alerts"]]
    places = ["/", "/entity/AAPL", "/alerts", "/live", "/labels", "/monitors", *alerts]
    for place in places:
        page = seat.open(place)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, place
        if (lang, theme) in LOOKED_INTO:
            faults = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
            grave = [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")]
            assert grave == [], (place, [node["html"] for fault in faults for node in fault["nodes"]][:3])
        assert page.locator("html").get_attribute("lang") == lang
        assert page.locator("html").get_attribute("data-theme") == theme
    expect(seat.page.locator(".sections")).to_contain_text({"en": "Overview", "zh": "总览"}[lang])
    assert seat.complaints == []
    seat.context.close()


def test_what_posts_hold_is_text_never_markup(seat: Seat, served: Served) -> None:
    page = seat.open("/entity/AAPL")
    page.get_by_role("button", name="Neutral", exact=True).click()
    expect(page.locator(".post-text", has_text="onerror").first).to_have_text(MARKUP)
    assert page.locator("main img, .post-text b").count() == 0
    assert page.title().endswith("AAPL · streamwatch")


def test_the_feed_brings_posts_as_they_come_filtered_and_held_on_demand(seat: Seat, served: Served) -> None:
    with seat.page.expect_response("**/v1/live/posts"):
        page = seat.open("/live?topic=macro")
    feed = page.locator(".feed article")
    expect(feed.first).to_contain_text("IBM raises guidance")
    told = ["IBM wins a contract", "IBM loses a judge", "IBM pays a dividend"]
    topics = ["macro", "earnings", "macro"]
    rows = [Row(700 + at, ("IBM",), topic=topics[at], text=told[at]) for at in range(3)]
    served.say("scored", encode_batch(scored(rows[:2], 1)), "1")
    expect(feed.first).to_contain_text(told[0])

    page.keyboard.press("p")
    served.say("scored", encode_batch(scored(rows[2:], 1, 2)), "1")
    expect(page.locator(".held")).to_have_text("1 new post held back: show it")
    expect(feed.first).to_contain_text(told[0])
    page.locator(".held").click()
    expect(feed.first).to_contain_text(told[2])
    expect(page.locator(".feed")).not_to_contain_text(told[1])


def test_one_click_corrects_a_label_that_arrives_on_the_stream(seat: Seat, served: Served) -> None:
    page = seat.open("/entity/IBM")
    post = page.locator("article").first
    key = post.get_attribute("data-post") or ""
    post.get_by_role("button", name="IBM: Positive").click()
    page.get_by_role("menuitemradio", name="Negative").click()
    expect(page.locator(".toast")).to_have_text("Noted: Negative")
    expect(post.get_by_role("button", name="IBM: Negative, corrected")).to_be_visible()
    told = served.get("/v1/labels", post_id=key)["labels"]
    assert [(label["task"], label["entity"], label["gold_label"], label["labeller"]) for label in told] == [
        ("entity", "IBM", "negative", "ann")
    ]
    assert [(label.post_id, label.gold_label, label.origin) for label in served.labels()] == [
        (key, "negative", "dashboard")
    ]


def test_the_queue_asks_and_a_digit_answers(seat: Seat, served: Served) -> None:
    page = seat.open("/labels")
    question = page.locator(".question")
    expect(page.locator(".reasons li").first).to_be_visible()
    post = question.locator("article").get_attribute("data-post") or ""
    asked = page.locator(".ask").inner_text()
    page.keyboard.press("1")
    expect(page.locator(".asof")).to_have_text("1 answered")
    expect(question.locator("article")).not_to_have_attribute("data-post", post)
    label = served.get("/v1/labels", post_id=post)["labels"][-1]
    assert {"topic": "about", "intent": "do?", "sentiment": "sentiment", "entity": "say of"}[label["task"]] in asked
    page.keyboard.press("s")
    expect(question.or_(page.locator(".empty"))).to_be_visible()


def test_a_monitor_is_edited_tried_on_the_past_and_activated(seat: Seat, served: Served) -> None:
    page = seat.open("/monitors")
    editor = page.locator("textarea.editor")
    text = editor.input_value()
    assert text == served.get("/v1/monitors")["text"]
    changed = text.replace("min_count = 8", "min_count = 7", 1).replace('"entity-negative-surge"', '"entity-bad-news"')
    editor.fill(changed)
    expect(page.locator(".verdict.good")).to_be_visible()
    page.get_by_role("button", name="Back-test", exact=True).click()
    expect(page.locator(".outcome .kind")).to_have_count(6, timeout=60_000)
    page.get_by_label("Why this change").fill("another name")
    page.get_by_role("button", name="Activate").click()
    expect(page.locator(".history")).to_contain_text("another name")
    assert served.get("/v1/monitors")["text"] == changed


def test_keys_lead_about(seat: Seat) -> None:
    page = seat.open("/live")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("Keyboard")
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    expect(page.locator("h1")).to_have_text("实时")
    page.keyboard.press("i")
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.locator("h1")).to_have_text("Alerts")
    page.keyboard.press("/")
    page.keyboard.type("IBM")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("IBM")


def test_one_signs_in_by_the_form_and_again_where_a_session_ends(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.goto(served.base)
    page.fill("#token", "sw_wrong")
    page.click("button")
    expect(page.locator(".fault")).to_contain_text("none in force")
    page.fill("#token", served.token)
    page.click("button")
    expect(page.locator("h1")).to_have_text("Overview")
    context.clear_cookies()
    page.goto(f"{served.base}/#/alerts")
    dialog = page.locator("dialog.signin")
    dialog.locator("input").fill(served.token)
    dialog.locator("button").click()
    expect(page.locator("h1")).to_have_text("Alerts")
    expect(page.locator(".alert-row")).to_have_count(len(served.get("/v1/alerts")["alerts"]))
    context.close()


def test_every_string_stands_in_both_languages() -> None:
    tables = {lang: _strings(FOLDER / "js" / f"{lang}.js") for lang in ("en", "zh")}
    assert tables["en"].keys() == tables["zh"].keys()
    used = {
        key
        for file in (FOLDER / "js").rglob("*.js")
        for key in re.findall(r"""\bt\(\s*"([\w.-]+)\"""", file.read_text(encoding="utf-8"))
    }
    assert used - tables["en"].keys() == set()
    for key, text in tables["en"].items():
        assert set(re.findall(r"\{\w+\}", text)) >= set(re.findall(r"\{\w+\}", tables["zh"][key])), key


def _strings(file: Path) -> dict[str, str]:
    return dict(re.findall(r'^  "([^"]+)":\s+"(.*)",$', file.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_page_loads_nothing_from_elsewhere_and_puts_no_markup_together() -> None:
    for file in (file for file in FOLDER.rglob("*") if file.suffix in (".js", ".html", ".css")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), file
        assert not re.search(r"""(src|href|url\()=?["']?(https?:)?//""", text), file
