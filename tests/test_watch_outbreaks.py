"""A retweet storm of one rumour and a hundred independent reports, through the whole watch."""

from __future__ import annotations

from random import Random

import pyarrow as pa

from streamwatch.config import WatchConfig
from streamwatch.ingest.novelty import novelty
from streamwatch.records import Alert
from streamwatch.watch import Watch
from tests.scored_rows import START, Row, monitors, scored

RULES = monitors(measure='"negative_count"', severity='"warning"', window='"30m"')
RUMOUR = "Acme batteries catch fire in three countries, shops stop selling them"
WORDS = (
    "battery burnt desk shop refused sell smoke phone recalled again fire plant workers saw truck hospital police said "
    "customer angry refund factory halted line inspector sealed warehouse night alarm queue airport banned flight crew"
).split()


def post(
    minute: float, text: str, author: str, *, sentiment: str = "negative", entities: tuple[str, ...] = ("ACME",)
) -> Row:
    (words,) = novelty(pa.array([text])).to_pylist()
    return Row(minute, entities, sentiment, text=text, author=author, novelty=words)


def usual(number: int, minute: float) -> Row:
    return post(minute, f"{' '.join(Random(number).sample(WORDS, 4))} as ever", f"u{number}", sentiment="neutral")


def outbreak(surge: list[Row]) -> list[Alert]:
    """Let four hours pass with a post every four minutes, then a surge of twenty minutes; return what is told."""
    rows = sorted([*(usual(number, 4.0 * number) for number in range(60)), *surge], key=lambda row: row.minute)
    watch = Watch(RULES, WatchConfig())
    watch.apply(scored(rows))
    watch.heartbeat(0, START.replace(hour=13, minute=20))
    return watch.close().alerts


def storm() -> list[Row]:
    forms = (RUMOUR, f"RT @jo: {RUMOUR}", f"{RUMOUR} https://t.co/x", f"BREAKING {RUMOUR}")
    return [post(240 + number / 5, forms[number % 4], f"s{number}") for number in range(95)]


def reports() -> list[Row]:
    return [
        post(240 + number / 5, f"{' '.join(Random(number).sample(WORDS, 7))} battery fires", f"r{number}")
        for number in range(95)
    ]


def test_a_storm_is_told_as_one_unconfirmed_story_of_low_severity() -> None:
    first, *_ = alerts = outbreak(storm())
    assert {(alert.severity, alert.corroboration) for alert in alerts} == {("info", "unconfirmed")}
    assert (first.spread.stories, first.spread.voices) == (1, 1)
    assert first.spread.novel < 5
    assert len(first.evidence) == 1
    assert first.evidence[0].copies == first.spread.sampled
    assert "repeat one story" in first.brief.en


def test_independent_reports_are_corroborated_and_critical() -> None:
    first, *_ = alerts = outbreak(reports())
    assert {(alert.severity, alert.corroboration) for alert in alerts} == {("critical", "corroborated")}
    assert first.spread.voices == first.spread.stories == first.spread.sampled
    assert first.spread.novel == first.spread.sampled
    assert len({post.author for post in first.evidence}) == 5
    assert first.phrases[0].phrase == "battery fires"
    assert first.reasons[0] == f"{first.spread.voices} independent voices report it."


def test_denials_that_follow_retract_it() -> None:
    denials = [
        post(250 + number / 4, f"{who} denies it, the report is false", who, sentiment="neutral")
        for number, who in enumerate(("Acme", "regulator", "shopkeeper", "minister"))
    ]
    last = outbreak([*storm(), *denials])[-1]
    assert (last.severity, last.corroboration) == ("info", "retracted")
    assert any("denies" in post.text for post in last.evidence)
    assert "Denied by" in last.brief.en
