"""Briefs read like a desk's note, and hold nothing that the alert's fields do not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.records import TOPICS, Alert, EntityCount, Phrase, Spread
from streamwatch.schema_files import EXAMPLES
from streamwatch.watch.brief import TOPICS_ZH, write_brief

EXAMPLE = EXAMPLES["alert.v1"]
assert isinstance(EXAMPLE, Alert)
END = datetime(2026, 1, 5, 14, 45, tzinfo=UTC)
STORM = Spread(sampled=30, stories=2, largest_story=29, sources=1, voices=1)


def brief(**looks: Any) -> tuple[str, str]:
    written = write_brief(msgspec.structs.replace(EXAMPLE, **looks))
    return written.en, written.zh


def test_the_example_of_the_schema_is_what_is_written() -> None:
    assert write_brief(EXAMPLE) == EXAMPLE.brief


@pytest.mark.parametrize(
    ("looks", "english", "chinese"),
    [
        (
            {"measure": "negative_count", "seen": 41.0, "expected": 3.04},
            "AAPL: 41 negative posts of 52 in the 15 minutes to 14:45 UTC on 5 January, against 3 expected.",
            "AAPL：截至1月5日14:45（UTC）的15分钟内，52条帖子中有41条为负面，预期3条。",
        ),
        (
            {"measure": "volume", "seen": 52.0, "expected": 3.2, "window_start": END - timedelta(hours=1)},
            "AAPL: 52 posts in the hour to 14:45 UTC on 5 January, against 3.2 expected.",
            "AAPL：截至1月5日14:45（UTC）的1小时内，共有52条帖子，预期3.2条。",
        ),
        (
            {"measure": "net_sentiment", "seen": -0.31, "expected": 0.05, "group_by": "all", "group": "all"},
            "All posts: net sentiment of -0.31 over 52 posts in the 15 minutes to 14:45 UTC on 5 January, "
            "against +0.05 expected.",
            "全部帖子：截至1月5日14:45（UTC）的15分钟内，52条帖子的净情绪为-0.31，预期+0.05。",
        ),
        (
            {"status": "resolved", "onset": END - timedelta(minutes=95)},
            "AAPL: over at 14:45 UTC on 5 January, 95 minutes after it began.",
            "AAPL：异动已于1月5日14:45（UTC）结束，历时95分钟。",
        ),
    ],
)
def test_the_first_sentence_tells_the_figures(looks: dict[str, Any], english: str, chinese: str) -> None:
    en, zh = brief(**looks)
    assert en.startswith(english)
    assert zh.startswith(chinese)


@pytest.mark.parametrize(
    ("group_by", "group", "english", "chinese"),
    [
        ("entity|topic", "AAPL|legal_regulation", "AAPL on legal regulation:", "AAPL·法律与监管："),
        ("topic", "earnings", "Posts on earnings:", "帖子·财报："),
        ("source|lang", "wire|zh", "Posts from wire in Chinese:", "帖子·wire·中文："),
        ("intent", "threaten", "Posts of the intent threaten:", "帖子·威胁："),
    ],
)
def test_groups_are_named_as_people_do(group_by: str, group: str, english: str, chinese: str) -> None:
    en, zh = brief(group_by=group_by, group=group)
    assert en.startswith(english)
    assert zh.startswith(chinese)


@pytest.mark.parametrize(
    ("looks", "english", "chinese"),
    [
        ({"corroboration": "unconfirmed", "spread": STORM}, "29 of 30 posts repeat one story", "29条转述同一内容"),
        ({"corroboration": "unconfirmed", "spread": Spread(sampled=3, voices=2)}, "2 independent voices so far", "2个"),
        ({"corroboration": "retracted"}, "Denied by 0 independent voices", "0个独立信源否认"),
    ],
)
def test_the_second_tells_who_says_so(looks: dict[str, Any], english: str, chinese: str) -> None:
    en, zh = brief(**looks)
    assert english in en
    assert chinese in zh


def test_without_posts_phrases_and_entities_it_is_one_sentence() -> None:
    en, zh = brief(spread=Spread(), phrases=[], entities=[])
    assert en.endswith("against 22% expected.")
    assert zh.endswith("预期22%。")


def test_every_topic_has_its_chinese_name() -> None:
    assert TOPICS_ZH.keys() == set(TOPICS)


counts = st.integers(0, 5_000)
spreads = st.builds(
    Spread, sampled=counts, stories=counts, largest_story=counts, sources=counts, voices=counts, denials=counts
)
phrases = st.builds(
    Phrase, phrase=st.sampled_from(["battery fires", "电池"]), posts=counts, expected=st.just(0.1), z=st.just(2.0)
)
entities = st.builds(EntityCount, entity=st.sampled_from(["TSM", "FOX"]), posts=counts, negative=counts)


@given(
    measure=st.sampled_from(["negative_count", "negative_share", "net_sentiment", "volume"]),
    figures=st.tuples(counts, counts, st.floats(0, 900), st.floats(0, 900)),
    corroboration=st.sampled_from(["unconfirmed", "corroborated", "retracted"]),
    spread=spreads,
    told=st.tuples(st.lists(phrases, max_size=4), st.lists(entities, max_size=4)),
    status=st.sampled_from(["firing", "resolved"]),
)
def test_every_number_and_name_stands_in_the_alert(
    measure: str, figures: Any, corroboration: str, spread: Spread, told: Any, status: str
) -> None:
    count, negative, seen, expected = figures
    alert = msgspec.structs.replace(
        EXAMPLE,
        measure=measure,
        status=status,
        count=count,
        negative=negative,
        seen=seen,
        expected=expected,
        corroboration=corroboration,
        spread=spread,
        phrases=told[0],
        entities=told[1],
    )
    known = {count, negative, *msgspec.structs.astuple(spread), *(one.posts for one in told[1])}
    known |= {1, 5, 14, 45, 15, 2026, 0}
    for written in msgspec.structs.astuple(write_brief(alert)):
        for number in re.findall(r"\d+(?:\.\d+)?", written):
            close = any(
                abs(abs(value) - float(number)) <= 0.06 for value in (seen, expected, 100 * seen, 100 * expected)
            )
            assert (
                float(number) in known
                or close
                or abs(100 * seen - float(number)) <= 0.51
                or abs(100 * expected - float(number)) <= 0.51
            ), (number, written)
        for quoted in re.findall("“([^”]*)”", written):
            assert quoted in {phrase.phrase for phrase in told[0]}
    assert ("TSM" in write_brief(alert).en) <= any(one.entity == "TSM" for one in told[1])
