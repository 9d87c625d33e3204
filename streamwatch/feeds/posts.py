"""A feed's entries as posts, with ids that do not depend on when they were read."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from streamwatch.feeds.document import Document, Entry
from streamwatch.feeds.language import language_of
from streamwatch.feeds.subscriptions import Subscription
from streamwatch.records import Post

MAX_AUTHOR_CHARS = 256
MAX_URL_CHARS = 2_048


class Gathered(NamedTuple):
    """The posts of a document by their dates, how many entries made none, and what is odd about them.

    Attributes:
        posts: Oldest first.
        old: Entries that are too old.
        warnings: What was found, and what was done about it.
    """

    posts: list[Post]
    old: int
    warnings: list[str]


def posts_of(document: Document, feed: Subscription, now: datetime) -> Gathered:
    """Return the posts of a document.

    Args:
        document: The entries.
        feed: Where they come from.
        now: The date of entries without one, and the latest that one may have.
    """
    told = [entry for entry in document.entries if entry.title or entry.summary]
    posts = {post.id: post for entry in reversed(told) for post in [post_of(entry, feed, document.lang, now)]}
    recent = [post for post in posts.values() if now - post.published_at <= feed.max_age]
    ahead = sum(entry.published_at is not None and entry.published_at > now for entry in told)
    odd = {
        "without a word, left out": len(document.entries) - len(told),
        "that stand there twice, read once": len(told) - len(posts),
        "dated in the future, taken as of now": ahead,
    }
    warnings = [f"{count} entries {what}" for what, count in odd.items() if count]
    return Gathered(sorted(recent, key=lambda post: post.published_at), len(posts) - len(recent), warnings)


def post_of(entry: Entry, feed: Subscription, feed_lang: str, now: datetime) -> Post:
    r"""Return an entry as a post.

    The id is made of the feed's name, a hash of what names the entry and, where a changed text is to be a new post,
    a hash of the text.

    >>> feed = Subscription(name="ecb", url="https://example.com/rss")
    >>> entry = Entry(key="https://example.com/1", title="Rates unchanged", summary="The bank holds.")
    >>> post = post_of(entry, feed, "en-GB", datetime(2026, 1, 5, tzinfo=UTC))
    >>> post.id, post.text, post.lang
    ('ecb:f2f9784142e4d11e:5f7d4757', 'Rates unchanged\nThe bank holds.', 'en')
    """
    text = _text(entry)
    name = f"{feed.name}:{_hash(entry.key, 16)}"
    return Post(
        id=f"{name}:{_hash(text, 8)}" if feed.updates else name,
        source=feed.source or feed.name,
        published_at=_date(entry.published_at, now),
        text=text,
        lang=feed.lang or language_of(text, entry.lang, feed_lang),
        url=entry.link if 0 < len(entry.link) <= MAX_URL_CHARS else None,
        author=entry.author[:MAX_AUTHOR_CHARS] or None,
        tickers=feed.tickers,
    )


def _text(entry: Entry) -> str:
    """Return title and summary; one of them where it says what the other does."""
    title, summary = entry.title, entry.summary
    if summary.casefold().startswith(title.rstrip("….").casefold()):
        return summary or title
    return f"{title}\n{summary}" if summary else title


def _date(published_at: datetime | None, now: datetime) -> datetime:
    """Return when a post was published: not before 1970, which no stream takes, and not in the future."""
    if published_at is None or published_at < datetime(1970, 1, 2, tzinfo=UTC):
        return now
    return min(published_at, now)


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:digits]
