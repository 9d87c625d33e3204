"""Corroboration: whether independent voices say it, one story is copied, or it is denied."""

from __future__ import annotations

from collections.abc import Sequence

from streamwatch.records import Corroboration, Spread
from streamwatch.watch.denials import ASKING, is_denial
from streamwatch.watch.samples import Sampled
from streamwatch.watch.stories import Story

LEAST_VOICES = 3
"""So many independent voices corroborate each other."""
STORM_PART = 0.5
"""A story whose copies are more than this part of the posts is a storm: what is copied is not confirmed by it."""
LEAST_DENIALS = 2
DENIED_PART = 1 / 3
"""A story is retracted when so many independent voices deny it for each that reports it."""
RANKS: tuple[Corroboration, ...] = ("unconfirmed", "corroborated", "retracted")
"""While an alert is open it moves only to the right."""


def voice(post: Sampled) -> str:
    """Return who speaks: the author, or the source where none is known."""
    return f"{post.source} {post.author}" if post.author else post.source


def denies(post: Sampled) -> bool:
    """Say whether a post takes a story back."""
    return is_denial(post.text, post.intent)


def measure_spread(stories: Sequence[Story], others: Sequence[Story]) -> Spread:
    """Return who says it in a sample.

    A question corroborates nothing and a denial reports nothing, so neither lends its voice; copies have none.

    Args:
        stories: Of the posts that drive an alert.
        others: Of the other posts of its window, which may deny it.
    """
    denying = {voice(story.first) for story in (*stories, *others) if denies(story.first)}
    telling = {voice(story.first) for story in stories if not denies(story.first) and story.first.intent not in ASKING}
    return Spread(
        sampled=sum(len(story.posts) for story in stories),
        stories=len(stories),
        largest_story=max((len(story.posts) for story in stories), default=0),
        sources=len({post.source for story in stories for post in story.posts}),
        voices=len(telling),
        novel=round(sum(story.weight for story in stories), 3),
        denials=len(denying),
    )


def is_storm(spread: Spread) -> bool:
    """Say whether the copies of one story are most of the posts.

    >>> is_storm(Spread(sampled=50, largest_story=45)), is_storm(Spread(sampled=2, largest_story=1))
    (True, False)
    """
    return spread.largest_story > max(1.0, STORM_PART * spread.sampled)


def corroborate(spread: Spread, before: Corroboration = "unconfirmed") -> Corroboration:
    """Return what a sample says of an alert; what was corroborated or retracted `before` is so to its end.

    >>> corroborate(Spread(sampled=9, stories=8, largest_story=2, voices=8))
    'corroborated'
    >>> corroborate(Spread(sampled=9, stories=1, largest_story=9, voices=1))
    'unconfirmed'
    >>> corroborate(Spread(sampled=9, stories=4, largest_story=5, voices=3, denials=2))
    'retracted'
    """
    found: Corroboration = "unconfirmed"
    if spread.denials >= max(LEAST_DENIALS, DENIED_PART * spread.voices):
        found = "retracted"
    elif spread.voices >= LEAST_VOICES and not is_storm(spread):
        found = "corroborated"
    return max(found, before, key=RANKS.index)
