"""Stories: posts that say the same, told apart from posts that say something else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from streamwatch.ingest.novelty import differing_bits
from streamwatch.watch.samples import Sampled

NEAR_BITS = 11
"""Hashes that differ in so many of their 64 bits at most are of near copies: two thirds of the words are shared."""


class Story(NamedTuple):
    """A post and its copies, exact or near, by time: the rank of a post is its place here, from 1."""

    posts: tuple[Sampled, ...]

    @property
    def first(self) -> Sampled:
        """The post that the others repeat."""
        return self.posts[0]

    @property
    def cluster(self) -> str:
        """16 hexadecimal digits: the hash of the first post, or its lot where it has none."""
        words = self.first.lot if self.first.novelty is None else self.first.novelty
        return f"{words & (2**64 - 1):016x}"

    @property
    def weight(self) -> float:
        """What its posts count when each copy counts one part of its rank."""
        return sum(rank_weight(rank) for rank in range(1, len(self.posts) + 1))


def rank_weight(rank: int) -> float:
    """Return what the so-manyth post of a story counts: the second copy a half, the third a third.

    >>> rank_weight(1), rank_weight(4)
    (1.0, 0.25)
    """
    return 1.0 / rank


def tell_apart(posts: Sequence[Sampled]) -> list[Story]:
    """Return the stories of some posts, by the time of their first.

    Each post joins the story whose first post is nearest, if it is near enough, and begins one otherwise (leader
    clustering, Hartigan 1975). A post without a hash is a story of its own.

    Args:
        posts: By time.
    """
    leaders = np.zeros(len(posts), np.int64)
    stories: list[list[Sampled]] = []
    for post in posts:
        place = _nearest(leaders[: len(stories)], post)
        if place is None:
            leaders[len(stories)] = post.lot if post.novelty is None else post.novelty
            stories.append([post])
        else:
            stories[place].append(post)
    return [Story(tuple(story)) for story in stories]


def _nearest(leaders: np.ndarray, post: Sampled) -> int | None:
    if post.novelty is None or not len(leaders):
        return None
    bits = differing_bits(leaders, np.array([post.novelty]))
    place = int(bits.argmin())
    return place if bits[place] <= NEAR_BITS else None


def weights(stories: Iterable[Story]) -> dict[int, float]:
    """Return by lot what each post counts: one part of its rank in its story."""
    return {post.lot: rank_weight(rank) for story in stories for rank, post in enumerate(story.posts, start=1)}
