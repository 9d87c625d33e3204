"""Who says it, and who repeats it: near copies, independent voices, denials."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.records import Spread
from streamwatch.watch.corroboration import corroborate, is_storm, measure_spread
from streamwatch.watch.denials import is_denial
from streamwatch.watch.samples import Sampled
from streamwatch.watch.stories import tell_apart
from tests.sampled_posts import sampled, told

WORDS = (
    "battery burnt desk shop refused sell smoke phone recalled again fire plant workers saw truck hospital police said "
    "customer angry refund factory halted line inspector sealed warehouse night alarm queue airport banned flight crew "
    "charger melted cable supplier lawsuit filed court"
).split()
RUMOUR = "Acme's batteries catch fire in three countries and shops stop selling them"


def test_a_storm_of_one_rumour_is_one_story_and_unconfirmed() -> None:
    texts = [RUMOUR, f"RT @jo: {RUMOUR}", f"{RUMOUR} https://t.co/a", f"BREAKING: {RUMOUR}!", f"{RUMOUR} (unverified)"]
    stories = tell_apart(told(*(text for text in texts for _ in range(20))))
    assert [len(story.posts) for story in stories] == [100]
    spread = measure_spread(stories, [])
    assert (spread.stories, spread.largest_story, spread.voices) == (1, 100, 1)
    assert 5 < spread.novel < 6, "a hundred copies count as the first hundred terms of the harmonic series"
    assert is_storm(spread)
    assert corroborate(spread) == "unconfirmed"


def test_independent_reports_corroborate_each_other() -> None:
    texts = [" ".join(Random(lot).sample(WORDS, 9)) for lot in range(40)]
    spread = measure_spread(tell_apart(told(*texts)), [])
    assert spread.voices == len(texts)
    assert spread.stories == spread.novel == 40
    assert corroborate(spread) == "corroborated"


def test_many_posts_of_one_author_are_one_voice() -> None:
    posts = [
        sampled(lot, text=text, author="jo") for lot, text in enumerate(("fires spread", "shops shut", "sales halt"))
    ]
    spread = measure_spread(tell_apart(posts), [])
    assert (spread.stories, spread.voices) == (3, 1)
    assert corroborate(spread) == "unconfirmed"


def test_questions_corroborate_nothing() -> None:
    posts = told("is it true they burn", "what happened to the shops", "are sales halted now", intent="question")
    assert measure_spread(tell_apart(posts), []).voices == 0


def test_denials_are_found_among_all_posts_and_two_retract() -> None:
    driving = tell_apart(told(RUMOUR, f"RT @jo: {RUMOUR}"))
    one = told("Acme denies the report of burning batteries")
    two = [*one, sampled(9, text="监管机构辟谣：该消息不实", author="cn")]
    assert corroborate(measure_spread(driving, tell_apart(one))) == "unconfirmed"
    spread = measure_spread(driving, tell_apart(two))
    assert spread.denials == 2
    assert corroborate(spread) == "retracted"


def test_few_denials_of_what_many_report_retract_nothing() -> None:
    assert corroborate(Spread(sampled=50, stories=40, largest_story=3, voices=40, denials=2)) == "corroborated"


def test_corroboration_never_goes_back() -> None:
    storm = Spread(sampled=50, stories=1, largest_story=50, voices=1)
    assert corroborate(storm, "corroborated") == "corroborated"
    assert corroborate(storm, "retracted") == "retracted"


@pytest.mark.parametrize(
    "text",
    [
        "Acme denies it is in takeover talks",
        "CEO denied the allegations on Monday",
        "Rumors are false, says Acme",
        "There is no truth to the report",
        "Fact check: no, Acme is not bankrupt",
        "Reuters retracts story on Acme",
        "These claims are baseless",
        "Acme dismisses the rumours",
        "公司否认收购传闻",
        "官方辟谣：网传裁员消息不实",
        "该传闻纯属谣言",
        "公司发布澄清公告，称报道与事实不符",
    ],
)
def test_what_takes_a_story_back_is_a_denial(text: str) -> None:
    assert is_denial(text, "inform")


@pytest.mark.parametrize(
    "text",
    [
        "Acme did not deny the report",
        "Acme declines to confirm or deny the talks",
        "Undeniably a good quarter",
        "Acme retracts its guidance for the year",
        "FDA denied access to the site",
        "Acme's batteries burn",
        "公司未否认收购传闻",
        "公司拒绝否认该消息",
        "电池起火，股价大跌",
    ],
)
def test_what_does_not_is_none(text: str) -> None:
    assert not is_denial(text, "inform")


def test_a_post_without_a_hash_is_a_story_of_its_own() -> None:
    assert len(tell_apart([sampled(0, novelty=None), sampled(1, novelty=None)])) == 2


posts = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 255), max_size=30).map(
    lambda hashes: [sampled(lot, novelty=novelty) for lot, novelty in enumerate(hashes)]
)


@settings(deadline=None)
@given(posts)
def test_every_post_is_in_one_story_near_its_first_and_stories_differ(posts: list[Sampled]) -> None:
    stories = tell_apart(posts)
    assert sorted(post.lot for story in stories for post in story.posts) == [post.lot for post in posts]
    assert [story.first.lot for story in stories] == sorted(story.first.lot for story in stories)
    for story in stories:
        assert all(bits(post, story.first) <= 11 for post in story.posts)
    firsts = [story.first for story in stories]
    assert all(bits(one, other) > 11 for one in firsts for other in firsts if one is not other)


def bits(one: Sampled, other: Sampled) -> int:
    return (((one.novelty or 0) ^ (other.novelty or 0)) & (2**64 - 1)).bit_count()
