"""What an alert says of its posts: diverse evidence, phrases that grew, entities."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.watch.evidence import MOST_OF_ONE, MOST_POSTS, Case
from streamwatch.watch.monitors import Measure
from streamwatch.watch.phrases import LEAST_PRIOR, MOST_TERMS, Background, Told, grown
from streamwatch.watch.samples import Sampled
from streamwatch.watch.stories import Story, tell_apart
from tests.sampled_posts import sampled, told

USUAL = Background()
USUAL.learn(
    [
        "Apple unveils new iPhone at event",
        "Apple shares rise on strong earnings",
        "Fed keeps rates steady as inflation cools",
        "stocks fall after jobs report",
        "oil prices climb on supply cuts",
        "美联储维持利率不变",
        "苹果公司发布新手机，股价上涨",
    ]
    * 8,
    keep=1.0,
)


def case(now: list[Sampled], measure: Measure = "negative_count", before: list[Sampled] | None = None) -> Case:
    return Case("AAPL", measure, now=now, before=before or [], background=USUAL)


def texts(found: Case) -> list[str]:
    return [post.text for post in found.evidence()]


def test_copies_are_named_once_with_their_number() -> None:
    posts = [*told(*["fires spread in Oslo"] * 20), sampled(30, text="shops shut in Lima", p_negative=800_000)]
    first, second = case(posts).evidence()
    assert (first.text, first.copies, first.id) == ("fires spread in Oslo", 20, "p0")
    assert (second.text, second.copies) == ("shops shut in Lima", 1)
    assert first.cluster != second.cluster


def test_at_most_two_are_of_one_author_while_there_are_others() -> None:
    loud = [
        sampled(lot, text=text, author="jo") for lot, text in enumerate(("up in flames", "shops shut", "sales halt"))
    ]
    quiet = [
        sampled(10 + lot, text=text, author=by, source=by, p_negative=600_000)
        for lot, (text, by) in enumerate(
            (("smoke in Perth", "ann"), ("a queue for refunds", "bo"), ("lawsuit filed", "cy"))
        )
    ]
    authors = Counter(post.author for post in case([*loud, *quiet]).evidence())
    assert authors == {"jo": 2, "ann": 1, "bo": 1, "cy": 1}
    assert len(case(loud).evidence()) == 3, "without others all of one"


def test_the_first_denial_is_among_the_evidence() -> None:
    posts = told("up in flames", "shops shut", "sales halt", "lawsuit filed", "queue for refunds", "smoke in Perth")
    posts.append(sampled(9, text="Apple denies the report", p_negative=100_000, negative=0, sentiment="neutral"))
    assert "Apple denies the report" in texts(case(posts))
    assert len(texts(case(posts))) == MOST_POSTS


def test_only_negative_posts_drive_a_negative_measure() -> None:
    posts = [sampled(0, text="lovely phone", negative=0, p_negative=1_000), sampled(1, text="up in flames")]
    assert texts(case(posts)) == ["up in flames"]
    assert case(posts).spread.sampled == 1
    assert case(posts, "volume").spread.sampled == 2


def test_entities_are_counted_beside_the_group_itself() -> None:
    posts = [
        sampled(0, entities=["AAPL", "TSM"], names=["Apple", "TSMC"]),
        sampled(1, entities=["TSM"], names=["TSMC"], sentiment="neutral"),
        sampled(2, entities=["FOX"], names=["Fox"]),
    ]
    assert [(one.entity, one.posts, one.negative) for one in case(posts).entities()] == [("TSM", 2, 1), ("FOX", 1, 1)]


def test_phrases_that_grew_are_named_and_the_groups_own_name_is_not() -> None:
    looks: dict[str, Any] = {"entities": ["AAPL"], "names": ["Apple"]}
    now = told(
        "Apple halts iPhone shipments after battery fires",
        "Battery fires force Apple to halt shipments",
        "Regulators probe Apple battery fires",
        "Apple battery fires spread, shipments halted",
        "苹果公司因电池起火暂停发货",
        "苹果电池起火，暂停发货",
        "监管机构调查苹果电池起火事件",
        **looks,
    )
    earlier = ("Apple iPhone sales fine", "new iPhone looks great", "iPhone earnings tomorrow")
    before = [sampled(90 + lot, text=text, **looks) for lot, text in enumerate(earlier)]
    phrases = [phrase.phrase for phrase in case(now, before=before).phrases()]
    assert phrases[0] == "battery fires"
    assert set(phrases) == {"battery fires", "shipments", "电池起火"}


def test_the_phrase_of_one_copied_post_counts_less_than_that_of_many() -> None:
    storm = told(*["secret merger talks"] * 8)
    reports = [sampled(20 + lot, text=f"battery fires {place}", author=place) for lot, place in enumerate("abcdefgh")]
    first, *_ = case([*storm, *reports]).phrases()
    assert (first.phrase, first.posts) == ("battery fires", 8)


@pytest.mark.parametrize("texts", [[], [""], ["🚀"], ["a post"], ["一"]])
def test_few_or_no_words_are_no_phrases(texts: list[str]) -> None:
    assert grown([Told(text, 1.0) for text in texts], [], Background(), []) == []


def test_a_background_stays_small_and_keeps_what_is_frequent() -> None:
    background = Background()
    background.learn(["steady words"] * 3, keep=1.0)
    for round_ in range(4):
        background.learn([f"word{round_}x{number}" for number in range(4_000)], keep=1e-4)
        background.learn(["steady words"] * 9, keep=1.0)
    background.learn([], keep=0.0)
    background.learn(["steady words"] * 9, keep=1.0)
    assert len(background.counts) <= MOST_TERMS
    assert 9.0 <= background.count("steady words") < 9.001, "what is old has faded"
    assert background.prior("steady words") > background.prior("word0x1") == LEAST_PRIOR


post = st.builds(
    lambda lot, words, author, negative, p: sampled(
        lot, text=" ".join(words), author=author, source=author or "wire", negative=negative, p_negative=p
    ),
    st.integers(0, 10_000),
    st.lists(st.sampled_from(["fire", "shop", "电池起火", "halt", "denies", "the"]), min_size=1, max_size=6),
    st.sampled_from([None, "jo", "ann", "bo"]),
    st.integers(0, 1),
    st.integers(0, 1_000_000),
)


def varied_posts(posts: list[Sampled], measure: Measure) -> int:
    """Return how many posts of different stories there are, when at most so many of one voice count."""
    driving = [post for post in posts if post.negative or measure == "volume"] or posts
    voices = Counter(speaker(story, measure) for story in tell_apart(driving))
    return sum(min(MOST_OF_ONE, stories) for stories in voices.values())


def speaker(story: Story, measure: Measure) -> str:
    """Return whose post speaks for a story: the first one's, of a surge of negative posts the loudest's."""
    post = story.first if measure == "volume" else min(story.posts, key=lambda one: (-one.p_negative, one.at, one.id))
    return post.author or post.source


@settings(deadline=None, max_examples=40)
@given(st.lists(post, max_size=25, unique_by=lambda post: post.lot), st.sampled_from(["negative_count", "volume"]))
def test_evidence_is_varied_whatever_comes(posts: list[Sampled], measure: Measure) -> None:
    posts.sort(key=lambda post: (post.at, post.lot))
    found = case(posts, measure)
    evidence = found.evidence()
    assert len(evidence) == min(MOST_POSTS, len(evidence)) >= min(1, len(posts))
    assert len({post.id for post in evidence}) == len({post.cluster for post in evidence}) == len(evidence)
    of_one = Counter(post.author or post.source for post in evidence)
    a_denial = any("denies" in post.text for post in evidence)
    assert max(of_one.values(), default=0) <= MOST_OF_ONE + a_denial or varied_posts(posts, measure) < MOST_POSTS
    assert found.spread.stories <= found.spread.sampled
    assert found.spread.novel <= found.spread.sampled
    found.phrases()
