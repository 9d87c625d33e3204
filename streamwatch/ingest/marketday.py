"""The demo's market day: invented posts about real companies, one scripted crisis, one harmless burst.

Everything is drawn from `marketday.toml` by a seeded generator: the same day, number and seed give the same posts.
The crisis begins with one rumour in a forum, becomes a storm in two languages and ends with a denial; the burst is
good news that many talk about, which no monitor of bad news may take for a crisis.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from typing import Any, NamedTuple

from streamwatch.records import Post

FIRST_HOUR = 6
SLOT_MINUTES = 30
ZH_SHARE = 0.28
LEAST_POSTS = 200

NEWS_MOODS = {"positive": 27, "neutral": 55, "negative": 18}
TALK_MOODS = {"positive": 30, "neutral": 32, "negative": 15, "question": 13, "joke": 10}
ORDINARY_FORMS = {"new": 770, "copy": 95, "variant": 20, "reply": 50, "macro": 60, "personal": 5}
EVENT_FORMS = {"new": 68, "copy": 27, "reply": 5}
EVENT_KINDS = {"news": 16, "forum": 22, "social": 62}
REMEMBERED = 60
HOLE = re.compile(r"\{(\w+)\}")


class ScriptedEvent(NamedTuple):
    """A burst that the script put into the day, with its company and when it begins and ends."""

    company: str
    ticker: str
    start: datetime
    end: datetime


class MarketDay(NamedTuple):
    """A day's posts in event-time order, and what a monitor should make of them.

    `crisis` should raise an alert, `decoy` should not.
    """

    posts: Iterator[Post]
    crisis: ScriptedEvent
    decoy: ScriptedEvent


class _Slot(NamedTuple):
    """One post to be written: when, in which language, and for which event (`day` for none)."""

    at: datetime
    lang: str
    event: str
    phase: int


def market_day(day: date, *, posts: int = 6_000, seed: int = 7) -> MarketDay:
    """Write one market day, 06:00 to 18:00 UTC.

    Args:
        day: The day of every post.
        posts: How many posts, at least `LEAST_POSTS`.
        seed: Another seed gives another day with the same script.

    Raises:
        ValueError: Fewer posts than the script needs.

    >>> quiet = market_day(date(2026, 1, 5), posts=300)
    >>> quiet.crisis.ticker, quiet.crisis.start.isoformat()
    ('TSLA', '2026-01-05T13:10:00+00:00')
    >>> len(list(quiet.posts))
    300
    """
    if posts < LEAST_POSTS:
        message = f"a market day of {posts} posts, expected {LEAST_POSTS} or more"
        raise ValueError(message)
    script = tomllib.loads(resources.files(__package__).joinpath("marketday.toml").read_text(encoding="utf-8"))
    rng = random.Random(f"{day.isoformat()} {seed}")
    crisis, decoy = _scripted(script, "crisis", day), _scripted(script, "decoy", day)
    slots = _timetable(rng, script, day, posts)
    writer = _Writer(rng, script, (crisis, decoy), f"{day:%Y%m%d}-{seed}")
    return MarketDay(map(writer.write, slots), crisis, decoy)


def _scripted(script: Mapping[str, Any], event: str, day: date) -> ScriptedEvent:
    part = script[event]
    start = datetime.combine(day, time.fromisoformat(part["start"]), tzinfo=UTC)
    name = next(company["name"] for company in script["companies"] if company["ticker"] == part["ticker"])
    return ScriptedEvent(name, part["ticker"], start, start + timedelta(minutes=part["minutes"]))


def _timetable(rng: random.Random, script: Mapping[str, Any], day: date, posts: int) -> list[_Slot]:
    """Return when each post comes: events as their script says, the rest in the rhythm of the markets."""
    crisis, decoy = _scripted(script, "crisis", day), _scripted(script, "decoy", day)
    in_crisis, in_decoy = round(posts * script["crisis"]["share"]), round(posts * script["decoy"]["share"])
    slots = [_Slot(crisis.start, "en", "crisis", 0)]
    slots += [_crisis_slot(rng, script["crisis"]["phases"], crisis) for _ in range(in_crisis - 1)]
    slots += [
        _Slot(_within(rng, decoy.start, 0, script["decoy"]["minutes"], peak=0.3), _language(rng), "decoy", 0)
        for _ in range(in_decoy)
    ]
    slots += [_ordinary_slot(rng, script["rhythm"], day) for _ in range(posts - len(slots))]
    return sorted(slots)


def _crisis_slot(rng: random.Random, phases: Sequence[Mapping[str, Any]], crisis: ScriptedEvent) -> _Slot:
    number = rng.choices(range(len(phases)), [phase["weight"] for phase in phases])[0]
    at = _within(rng, crisis.start, phases[number]["from"], phases[number]["to"], peak=0.4)
    return _Slot(max(at, crisis.start + timedelta(seconds=20)), _language(rng), "crisis", number)


def _ordinary_slot(rng: random.Random, rhythm: Mapping[str, Sequence[float]], day: date) -> _Slot:
    lang = _language(rng)
    number = rng.choices(range(len(rhythm[lang])), rhythm[lang])[0]
    opening = datetime.combine(day, time(FIRST_HOUR), tzinfo=UTC)
    begin = number * SLOT_MINUTES
    return _Slot(_within(rng, opening, begin, begin + SLOT_MINUTES, peak=None), lang, "day", 0)


def _language(rng: random.Random) -> str:
    return "zh" if rng.random() < ZH_SHARE else "en"


def _within(rng: random.Random, start: datetime, begin: float, end: float, *, peak: float | None) -> datetime:
    """Draw an instant between two minutes after `start`, to the millisecond; `peak` is where most of it lies."""
    minute = rng.uniform(begin, end) if peak is None else rng.triangular(begin, end, begin + peak * (end - begin))
    return start + timedelta(milliseconds=int(minute * 60_000))


class _Writer:
    """Writes posts one after the other, remembering the last ones for copies and replies."""

    def __init__(
        self, rng: random.Random, script: Mapping[str, Any], events: Sequence[ScriptedEvent], prefix: str
    ) -> None:
        self._rng = rng
        self._script = script
        self._events = events
        self._kinds: dict[str, str] = {source["name"]: source["kind"] for source in script["sources"]}
        self._prefix = prefix
        self._written = 0
        self._recent: dict[tuple[str, str], deque[Post]] = {}

    def write(self, slot: _Slot) -> Post:
        """Write the post of one slot of the timetable."""
        recent = self._recent.setdefault((slot.event, slot.lang), deque(maxlen=REMEMBERED))
        form = self._draw(ORDINARY_FORMS if slot.event == "day" else EVENT_FORMS)
        if form in ("copy", "reply") and recent:
            return self._again(slot, form, self._rng.choice(recent))
        news = [post for post in recent if self._kinds[post.source] == "news"]
        if form == "variant" and news:
            return self._again(slot, form, self._rng.choice(news))
        post = self._new(slot, form)
        recent.append(post)
        return post

    def _new(self, slot: _Slot, form: str) -> Post:
        company = self._company(slot)
        kind = self._kind(slot, form)
        text = self._fill(self._template(slot, form, kind), slot.lang, company)
        tagged = kind == "news" or self._rng.random() < 0.3
        about = [company["ticker"]] if tagged and form != "macro" else []
        return self._post(slot, self._source(slot.lang, kind), text, about)

    def _company(self, slot: _Slot) -> Mapping[str, Any]:
        companies = self._script["companies"]
        if slot.event != "day":
            return self._by_ticker(self._script[slot.event]["ticker"])
        busy = {event.ticker for event in self._events if event.start <= slot.at < event.end}
        free = [company for company in companies if company["ticker"] not in busy]
        return dict(self._rng.choices(free, [company["weight"] for company in free])[0])

    def _kind(self, slot: _Slot, form: str) -> str:
        if form == "macro":
            return "news"
        if form == "personal" or (slot.event == "crisis" and slot.phase == 0):
            return "forum"
        if slot.event != "day":
            return self._draw(EVENT_KINDS)
        kinds: dict[str, int] = {}
        for source in self._sources(slot.lang):
            kinds[source["kind"]] = kinds.get(source["kind"], 0) + source["weight"]
        return self._draw(kinds)

    def _template(self, slot: _Slot, form: str, kind: str) -> str:
        words = self._script[slot.lang]
        if form == "personal":
            return self._one(self._script["personal"][slot.lang])
        if slot.event != "day":
            return self._event_template(slot, kind)
        if form == "macro":
            return self._one(words["macro"][self._draw(NEWS_MOODS)])
        if kind == "news":
            mood = self._draw(NEWS_MOODS)
            gap, detail = (". ", "。")[slot.lang == "zh"], self._one(words["detail"][mood])
            return self._one(words["news"][mood]) + (gap + detail if self._rng.random() < 0.45 else "")
        talk = words["talk"]
        return self._one(talk["opener"]) + self._one(talk[self._draw(TALK_MOODS)]) + self._one(talk["closer"])

    def _event_template(self, slot: _Slot, kind: str) -> str:
        part = self._script["decoy"] if slot.event == "decoy" else self._script["crisis"]["phases"][slot.phase]
        headlines = part.get(f"news_{slot.lang}")
        if kind == "news" and headlines:
            return self._one(headlines)
        talk = self._script[slot.lang]["talk"]
        return self._one(talk["gasp"]) + self._one(part[slot.lang]) + self._one(talk["exclaim"])

    def _again(self, slot: _Slot, form: str, earlier: Post) -> Post:
        """Write a copy, a variant or an answer of an earlier post."""
        talks = self._kinds[earlier.source] != "news"
        handle = earlier.author if talks else earlier.source
        if form == "reply":
            company = self._company(slot) if not earlier.tickers else self._by_ticker(earlier.tickers[0])
            text = f"@{handle} " + self._fill(self._one(self._script[slot.lang]["talk"]["reply"]), slot.lang, company)
            source = earlier.source if talks else self._source(slot.lang, "social")
            return self._post(slot, source, text, [], reply_to=earlier.id)
        if form == "variant":
            text = f"UPDATE 1: {earlier.text}" if slot.lang == "en" else f"快讯：{earlier.text}"
            return self._post(slot, self._source(slot.lang, "news"), text, earlier.tickers)
        text = f"RT @{handle}: {earlier.text}" if slot.lang == "en" else f"//@{handle}：{earlier.text}"
        return self._post(slot, self._source(slot.lang, "social"), text, [])

    def _post(self, slot: _Slot, source: str, text: str, tickers: list[str], reply_to: str | None = None) -> Post:
        self._written += 1
        number = f"{self._prefix}-{self._written:05d}"
        return Post(
            id=number,
            source=source,
            published_at=slot.at,
            text=text,
            lang=slot.lang,
            url=f"https://{source}.example/{number}",
            author=f"{source} desk" if self._kinds[source] == "news" else self._handle(slot.lang),
            tickers=tickers,
            reply_to=reply_to,
        )

    def _fill(self, template: str, lang: str, company: Mapping[str, Any]) -> str:
        """Fill the holes of a template; a fill may have holes of its own."""
        for _ in range(2):
            template = HOLE.sub(lambda hole: self._value(hole[1], lang, company), template)
        return template[0].upper() + template[1:] if lang == "en" and self._rng.random() < 0.5 else template

    def _value(self, hole: str, lang: str, company: Mapping[str, Any]) -> str:
        rng, words = self._rng, self._script[lang]
        if hole in words["fill"]:
            return self._handle(lang) if hole == "handle" else self._one(words["fill"][hole])
        if hole in ("product", "trade"):
            return self._one(words["sector"][company["sector"]][hole])
        ticker = company["ticker"]
        name = company["name"] if lang == "en" else company["zh"]
        values: dict[str, str] = {
            "c": name,
            "cash": f"${ticker}" if ticker.isalpha() else name,
            "pct": f"{rng.uniform(0.4, 6.5):.1f}",
            "big": f"{rng.randint(8, 34)}",
            "m": f"{rng.randint(4, 95) * 10}",
            "n": f"{rng.randint(2, 9)}",
            "price": f"{rng.randint(42, 480)}",
            "nn": f"{rng.randint(10, 99)}",
            "nnn": f"{rng.randint(100, 999)}",
            "c_tag": name.replace(" ", ""),
            "code": f"{rng.getrandbits(40):010x}",
        }
        return values[hole]

    def _by_ticker(self, ticker: str) -> Mapping[str, Any]:
        return dict(next(company for company in self._script["companies"] if company["ticker"] == ticker))

    def _sources(self, lang: str) -> list[Mapping[str, Any]]:
        return [source for source in self._script["sources"] if source["lang"] == lang]

    def _source(self, lang: str, kind: str) -> str:
        fitting = [source for source in self._sources(lang) if source["kind"] == kind]
        return str(self._rng.choices(fitting, [source["weight"] for source in fitting])[0]["name"])

    def _handle(self, lang: str) -> str:
        return f"{self._one(self._script[lang]['fill']['handle'])}{self._rng.randint(1, 40)}"

    def _one(self, choices: Sequence[str]) -> str:
        return str(self._rng.choice(choices))

    def _draw(self, weights: Mapping[str, int]) -> str:
        return self._rng.choices(list(weights), list(weights.values()))[0]
