"""Samples: some posts of every pane and group, drawn by lot, from which alerts are explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from streamwatch.watch.frames import Parts
from streamwatch.watch.groups import SUMS, Bools, Mentions, Posts, entity_names
from streamwatch.watch.keys import Ints, Places, recoded

WINDOW_POSTS = 96
"""Posts of a group that are drawn from one window, as long as its panes are equally busy."""
LEAST_PANE_POSTS = 8
TEXT_CHARS = 500
OF_POSTS = ("novelty", "id", "source", "author", "lang", "intent", "sentiment", "text")
BETWEEN = "\x1f"
"""Between entities, which are kept as one text: Polars moves lists of texts ten times as slowly."""
DRAWN = dict.fromkeys(("place", "lot", "negative", "p_negative", "post"), pl.Int64)
POSTS = {
    **dict.fromkeys(("at", "novelty"), pl.Int64),
    **dict.fromkeys((*OF_POSTS[1:], "entities", "names"), pl.String),
}
NEGATIVE, P_NEGATIVE = SUMS.index("negative"), SUMS.index("p_negative")


class Sampled(NamedTuple):
    """A post of a sample. `negative` and `p_negative` (millionths) are those of the entity where it has its own."""

    pane: int
    group: str
    lot: int
    negative: int
    p_negative: int
    at: int
    novelty: int | None
    id: str
    source: str
    author: str | None
    lang: str | None
    intent: str | None
    sentiment: str | None
    text: str
    entities: list[str]
    names: list[str]


def pane_posts(panes: int) -> int:
    """Return how many posts of each group to draw from a pane, when a window has so many panes.

    >>> pane_posts(6), pane_posts(24)
    (16, 8)
    """
    return max(-(-WINDOW_POSTS // panes), LEAST_PANE_POSTS)


class Samples:
    """For each pane and group the posts with the least lots: a uniform sample that can be merged.

    Such a bottom-k sample (Cohen and Kaplan 2007) of a whole is the sample of the samples of its parts, so the way
    posts come in does not show, and memory is bounded for each key. While a pane has fewer posts, it has all.

    A million mentions a second leave no time to move texts. So of a place that is full the largest lot is the bar for
    all that follow, and most posts of a loud group fail it; what is drawn refers to its post, which is stored once;
    and posts to which nothing refers any more are dropped when they are the half.

    Args:
        most: Posts of each pane and group.
        places: Pane and group in one number.
    """

    def __init__(self, most: int, places: Places) -> None:
        self._most = most
        self._places = places
        self._first_needed = int(np.iinfo(np.int64).min)
        self._full = np.zeros(0, np.int64)
        self._bars = np.zeros(0, np.int64)
        self._drawn = Parts(pl.DataFrame(schema=DRAWN), self._draw)
        self._posts = [pl.DataFrame(schema=POSTS)]
        self._stored = 0

    def add(self, places: Ints, found: Mentions, posts: Posts, batch: pa.RecordBatch) -> None:
        """Add a micro-batch.

        Args:
            places: Where each mention belongs.
            found: The mentions, by row.
            posts: As `groups.read_posts` gives them.
            batch: What `found.rows` counts in.
        """
        lots = posts.lots[found.rows]
        drawn = np.flatnonzero(self._passes(places, lots))
        drawn = np.sort(drawn[self._least(places[drawn], lots[drawn])])
        rows = found.rows[drawn]
        is_next = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
        columns = {
            "place": places[drawn],
            "lot": lots[drawn],
            "negative": found.sums[NEGATIVE, drawn],
            "p_negative": found.sums[P_NEGATIVE, drawn],
            "post": self._stored + np.cumsum(is_next) - 1,
        }
        self._posts.append(_told(batch, posts, rows[is_next]))
        self._stored += self._posts[-1].height
        self._drawn.add(pl.DataFrame(columns))

    def _passes(self, places: Ints, lots: Ints) -> Bools:
        """Say which posts are drawn, as far as that is known."""
        if not len(self._full):
            return np.ones(len(places), bool)
        at = np.minimum(np.searchsorted(self._full, places), len(self._full) - 1)
        passes: Bools = (lots < self._bars[at]) | (self._full[at] != places)
        return passes

    def _draw(self, parts: pl.DataFrame) -> pl.DataFrame:
        parts = parts.filter(pl.col("place") >= self._first_needed)
        needed = self._full >= self._first_needed
        self._full, self._bars = self._full[needed], self._bars[needed]
        return self._only_stored(parts[self._least(parts["place"].to_numpy(), parts["lot"].to_numpy())])

    def _least(self, place: Ints, lot: Ints) -> Ints:
        """Return which posts have the least lots of their place, and set the bars of the places that are full."""
        order = np.argsort(place)
        sizes = _sizes(place[order])
        is_full = sizes >= self._most
        if not is_full.any():
            return order
        is_crowded = np.repeat(is_full, sizes)
        crowded = order[is_crowded]
        crowded = crowded[np.lexsort((lot[crowded], place[crowded]))]
        ranks = _ranks(sizes[is_full])
        last = crowded[ranks == self._most - 1]
        self._raise_bars(place[last], lot[last])
        return np.concatenate([order[~is_crowded], crowded[ranks < self._most]])

    def _raise_bars(self, places: Ints, lots: Ints) -> None:
        full = np.concatenate([places, self._full])
        bars = np.concatenate([lots, self._bars])
        order = np.lexsort((bars, full))
        firsts = order[np.append(True, np.diff(full[order]) != 0)]
        self._full, self._bars = full[firsts], bars[firsts]

    def _only_stored(self, drawn: pl.DataFrame) -> pl.DataFrame:
        """Drop the posts that are not drawn any more, if they are the half."""
        if self._stored <= 2 * drawn.height + Parts.LEAST_ROWS:
            return drawn
        used, numbers = np.unique(drawn["post"].to_numpy(), return_inverse=True)
        self._posts = [pl.concat(self._posts)[used]]
        self._stored = len(used)
        return drawn.with_columns(post=numbers)

    def of(self, groups: Mapping[int, str], start_us: int, end_us: int) -> dict[str, list[Sampled]]:
        """Return the posts of some groups in the panes that start in `[start, end)`, by time.

        Args:
            groups: By code.
            start_us: Start of the first pane.
            end_us: End of the last.
        """
        drawn, places = self._drawn.whole(), self._places
        place = drawn["place"].to_numpy()
        wanted = (place >= places.first(start_us)) & (place < places.first(end_us))
        wanted &= np.isin(places.code(place), list(groups))
        found = self._with_posts(drawn.filter(pl.Series(wanted))).sort("at", "lot")
        by_group: dict[str, list[Sampled]] = {group: [] for group in groups.values()}
        panes, codes = places.pane_us(found["place"].to_numpy()), places.code(found["place"].to_numpy())
        for pane, code, row in zip(panes.tolist(), codes.tolist(), found.drop("place").rows(), strict=True):
            post = Sampled._make((pane, groups[code], *row[:-2], *_distinct(*row[-2:])))
            by_group[post.group].append(post)
        return by_group

    def _with_posts(self, drawn: pl.DataFrame) -> pl.DataFrame:
        self._posts = [pl.concat(self._posts)]
        return drawn.drop("post").hstack(self._posts[0][drawn["post"]])

    def take(self, until_us: int) -> list[str]:
        """Take out the panes that start before an instant, and return the texts of their posts, by pane and lot."""
        drawn = self._drawn.whole()
        old = pl.col("place") < self._places.first(until_us)
        taken = drawn.filter(old)
        if not taken.height:
            return []
        self._drawn.replace(drawn.filter(~old))
        texts: list[str] = self._with_posts(taken).sort("place", "lot")["text"].to_list()
        return texts

    def forget(self, before_us: int) -> None:
        """Drop the panes that start before an instant, when the parts are next put together."""
        self._first_needed = self._places.first(before_us)

    def codes(self) -> Ints:
        """Return the distinct codes of the groups."""
        return np.unique(self._places.code(self._drawn.whole()["place"].to_numpy()))

    def recode(self, codes: Ints) -> None:
        """Give groups other codes: `codes` has the new one where the old one points."""
        self._full, self._bars = self._full[:0], self._bars[:0]
        self._drawn.replace(recoded(self._drawn.whole(), self._places, codes))

    def whole(self) -> pl.DataFrame:
        """Return every post."""
        return self._with_posts(self._drawn.whole())

    def restore(self, frame: pl.DataFrame) -> None:
        """Put back what `whole` gave."""
        self._posts, self._stored = [frame.select(list(POSTS))], frame.height
        self._drawn.replace(frame.with_columns(post=pl.int_range(pl.len())).select(list(DRAWN)))


def _sizes(places: Ints) -> Ints:
    """Return how often each place comes, in order."""
    firsts = np.flatnonzero(np.append(True, places[1:] != places[:-1])[: len(places)])
    return np.diff(firsts, append=len(places))


def _ranks(sizes: Ints) -> Ints:
    """Return 0, 1, 2 and so on for groups of these sizes.

    >>> _ranks(np.array([3, 2])).tolist()
    [0, 1, 2, 0, 1]
    """
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _told(batch: pa.RecordBatch, posts: Posts, rows: Ints) -> pl.DataFrame:
    """Return what an alert tells of some rows."""
    at = pa.array(rows)
    columns = [column.take(at) for column in batch.select(OF_POSTS).columns]
    named = _named(batch.column("entities")).take(at)
    for names in (entity_names(named.values), named.values.field("name")):
        columns.append(pc.binary_join(pa.ListArray.from_arrays(named.offsets, names.fill_null("")), BETWEEN))
    told = pl.DataFrame(pl.from_arrow(pa.table(columns, names=[*OF_POSTS, "entities", "names"])))
    if told["text"].str.len_bytes().to_numpy().max(initial=0) > TEXT_CHARS:
        told = told.with_columns(pl.col("text").str.slice(0, TEXT_CHARS))
    return told.insert_column(0, pl.Series("at", posts.at_us[rows]))


def _named(lists: pa.ListArray) -> pa.ListArray:
    """Return lists of entities with nothing but their names and tickers."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    flat = pc.list_flatten(lists)
    fields = [pc.struct_field(flat, name).cast(pa.string()) for name in ("name", "ticker")]
    entities = pa.StructArray.from_arrays(fields, names=["name", "ticker"])
    return pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)).astype(np.int32), entities)


def _distinct(entities: str, names: str) -> tuple[list[str], list[str]]:
    """Return each entity once, with the name that it has first."""
    found: dict[str, str] = {}
    for entity, name in zip(entities.split(BETWEEN), names.split(BETWEEN), strict=False):
        if entity:
            found.setdefault(entity, name)
    return list(found), list(found.values())


def windows_apart(posts: Sequence[Sampled], start_us: int) -> tuple[list[Sampled], list[Sampled]]:
    """Return the posts of the panes before an instant, and those from it on."""
    return [post for post in posts if post.pane < start_us], [post for post in posts if post.pane >= start_us]
