"""Evidence: what an alert says of the posts that drove it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from streamwatch.ingest.aliases import aliases
from streamwatch.records import EntityCount, EvidencePost, Phrase, Spread
from streamwatch.watch.corroboration import denies, measure_spread, voice
from streamwatch.watch.groups import PPM
from streamwatch.watch.instants import from_us
from streamwatch.watch.monitors import Measure
from streamwatch.watch.phrases import Background, Told, grown
from streamwatch.watch.samples import Sampled
from streamwatch.watch.stories import Story, tell_apart, weights

MOST_POSTS = 5
MOST_OF_ONE = 2
"""Posts of one source or author among the evidence, while there are others."""
MOST_ENTITIES = 8
OF_ALL_POSTS = ("volume", "sources", "novel_count")
"""The measures that all posts drive, not the negative ones."""


class Case:
    """The posts of one group's window, and what they show.

    Args:
        group: The group.
        measure: What the monitor watches: it says which posts drive it, the negative ones or all.
        now: A sample of the window, by time.
        before: A sample of the group before the window.
        background: What is usual in all groups.
    """

    def __init__(
        self,
        group: str,
        measure: Measure,
        *,
        now: Sequence[Sampled],
        before: Sequence[Sampled],
        background: Background,
    ) -> None:
        self._group = group
        self._now = now
        self._before = before
        self._background = background
        self._is_negative = measure not in OF_ALL_POSTS
        driving = [post for post in now if post.negative] if self._is_negative else []
        chosen = {post.lot for post in driving or now}
        self._stories = tell_apart([post for post in now if post.lot in chosen])
        self._others = tell_apart([post for post in now if post.lot not in chosen])
        self.spread: Spread = measure_spread(self._stories, self._others)

    def evidence(self) -> list[EvidencePost]:
        """Return the posts that drove it: the loudest of each story, large stories first, and not all of one voice.

        If somebody denies it, the first who does is among them.
        """
        ranked = sorted(self._stories, key=self._rank)
        chosen = _varied([Chosen(self._speaker(story), len(story.posts), story.cluster) for story in ranked])
        denying = [story for story in (*self._stories, *self._others) if denies(story.first)]
        if denying and not any(denies(one.post) for one in chosen):
            story = denying[0]
            others = [one for one in chosen if one.cluster != story.cluster]
            chosen = [*others[: MOST_POSTS - 1], Chosen(story.first, len(story.posts), story.cluster)]
        return [_evidence_post(one) for one in chosen]

    def phrases(self) -> list[Phrase]:
        """Return the phrases that grew; a copy counts one part of its rank."""
        weight = weights([*self._stories, *tell_apart(self._before)])
        driving = [post for story in self._stories for post in story.posts]
        now, before = ([Told(post.text, weight[post.lot]) for post in posts] for posts in (driving, self._before))
        return grown(now, before, self._background, self._names())

    def entities(self) -> list[EntityCount]:
        """Return which entities the posts speak of beside the group's own, the most spoken of first."""
        own = set(self._group.split("|"))
        posts: Counter[str] = Counter()
        negative: Counter[str] = Counter()
        for post in self._now:
            for entity in post.entities or ():
                posts[entity] += 1
                negative[entity] += post.sentiment == "negative"
        ranked = sorted((-count, entity) for entity, count in posts.items() if entity and entity not in own)
        return [
            EntityCount(entity=entity, posts=-count, negative=negative[entity])
            for count, entity in ranked[:MOST_ENTITIES]
        ]

    def _rank(self, story: Story) -> tuple[float, int, str]:
        loudness = self._speaker(story).p_negative if self._is_negative else PPM
        return -loudness * (1.0 + math.log(len(story.posts))), story.first.at, story.first.id

    def _speaker(self, story: Story) -> Sampled:
        if not self._is_negative:
            return story.first
        return min(story.posts, key=lambda post: (-post.p_negative, post.at, post.id))

    def _names(self) -> Collection[str]:
        own = set(self._group.split("|"))
        pairs = (
            (entity, name)
            for post in (*self._now, *self._before)
            for entity, name in zip(post.entities or (), post.names or (), strict=True)
        )
        told = {name for entity, name in pairs if entity in own and name}
        return own.union(told, *(aliases().get(part, frozenset()) for part in own))


class Chosen(NamedTuple):
    """A post that speaks for its story."""

    post: Sampled
    copies: int
    cluster: str


def _varied(ranked: Sequence[Chosen]) -> list[Chosen]:
    """Return the first posts, of which at most two are of one source or voice while there are others."""
    of_one: Counter[str] = Counter()
    chosen, spare = [], []
    for one in ranked:
        speakers = {one.post.source, voice(one.post)}
        if all(of_one[speaker] < MOST_OF_ONE for speaker in speakers):
            of_one.update(speakers)
            chosen.append(one)
        else:
            spare.append(one)
    kept = {id(one) for one in [*chosen, *spare][:MOST_POSTS]}
    return [one for one in ranked if id(one) in kept]


def _evidence_post(one: Chosen) -> EvidencePost:
    post = one.post
    return EvidencePost(
        id=post.id,
        source=post.source,
        published_at=from_us(post.at),
        text=post.text,
        sentiment=post.sentiment or "unknown",
        negative_prob=post.p_negative / PPM,
        author=post.author,
        lang=post.lang,
        cluster=one.cluster,
        copies=one.copies,
    )
