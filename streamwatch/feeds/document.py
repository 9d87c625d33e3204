"""A feed's bytes as entries: what feedparser makes of them, in plain text."""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import feedparser
from msgspec import Struct

from streamwatch.errors import FeedError
from streamwatch.feeds.charset import Decoded, decode
from streamwatch.feeds.plain_text import one_line, plain_text, shorten
from streamwatch.feeds.wellformed import SafeXml, make_safe

MAX_ENTRIES = 500
"""So many entries of a feed are read, the first ones."""
MAX_TITLE_CHARS = 1_000
MAX_SUMMARY_CHARS = 2_000
_HTML = re.compile(r"^\s*(?:<!--.{0,500}?-->\s*)*<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"<link\b[^>]{0,500}>", re.IGNORECASE)
_HREF = re.compile(r"""href\s*=\s*["']([^"'>]{1,500})["']""", re.IGNORECASE)


class Entry(Struct, frozen=True, kw_only=True):
    """One entry, its texts without HTML. What it does not have is empty or None.

    `key` names the entry in its feed: its id, else its link, else its title.
    """

    key: str
    title: str = ""
    summary: str = ""
    link: str = ""
    author: str = ""
    lang: str = ""
    published_at: datetime | None = None


class Document(Struct, frozen=True, kw_only=True):
    """A feed: its entries in their order, its language, and what is wrong with it and was put up with."""

    entries: list[Entry]
    lang: str = ""
    warnings: list[str] = []


def read_document(body: bytes, content_type: str = "") -> Document:
    """Return the entries of an RSS or Atom feed.

    feedparser has regular expressions that a hostile text keeps busy for minutes: call this where it can be stopped,
    as `reading` does.

    Args:
        body: What the server gave.
        content_type: The header of that name.

    Raises:
        FeedError: It is no feed, or a broken one; it says what was found and what to do.
    """
    decoded = decode(body, content_type)
    _refuse_what_is_no_xml(decoded.text)
    xml = make_safe(decoded.text, MAX_ENTRIES)
    parsed = feedparser.parse(
        io.BytesIO(xml.text.encode()),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    if not parsed.version:
        found = f"XML with the root <{xml.root[:60]}>, neither RSS nor Atom"
        raise FeedError(found, "check the address: it is not that of a feed")
    entries = [_entry(found) for found in parsed.entries]
    warnings = _warnings(decoded, xml, len(entries))
    return Document(entries=entries, lang=str(parsed.feed.get("language", ""))[:35], warnings=warnings)


def _refuse_what_is_no_xml(text: str) -> None:
    start = text.lstrip()[:1]
    if not start:
        found, advice = "an empty body", "it is tried again; if it stays empty, check the address"
    elif _HTML.match(text):
        named = next((link for tag in _LINK.findall(text[:200_000]) if (link := _feed_of(tag))), "")
        found, advice = "an HTML page in place of a feed", "look in the page for the feed's own address"
        advice = f"the page says that its feed is at {named}" if named else advice
    elif start != "<":
        kind = "JSON" if start in "{[" else "no XML"
        found, advice = f"{kind} that begins with {one_line(text[:40])!r}", "only RSS and Atom are read"
    else:
        return
    raise FeedError(found, advice)


def _feed_of(link_tag: str) -> str:
    """Return the address of the feed that a page's `<link>` names; empty if it names none."""
    href = _HREF.search(link_tag) if "+xml" in link_tag else None
    return one_line(href[1]) if href else ""


def _warnings(decoded: Decoded, xml: SafeXml, entries: int) -> list[str]:
    found = []
    if decoded.claimed:
        found.append(f"says that it is {decoded.claimed}, and is read as {decoded.encoding}: tell its owner")
    if xml.fault:
        found.append(f"broken XML ({xml.fault}), read as far as it goes: tell its owner")
    if xml.more:
        found.append(f"more than {MAX_ENTRIES} entries, of which the first are read")
    if not entries:
        found.append("no entries: if it stays so, check the address")
    return found


def _entry(found: Mapping[str, Any]) -> Entry:
    title = plain_text(str(found.get("title", "")))[:MAX_TITLE_CHARS]
    content = found.get("content") or [{}]
    link = str(found.get("link", "")).strip()
    return Entry(
        key=str(found.get("id") or link or title),
        title=title,
        summary=shorten(plain_text(str(found.get("summary") or content[0].get("value", ""))), MAX_SUMMARY_CHARS),
        link=link if link.startswith(("http://", "https://")) else "",
        author=one_line(str(found.get("author", ""))[:1_000]),
        lang=str((found.get("title_detail") or {}).get("language") or "")[:35],
        published_at=_instant(found),
    )


def _instant(found: Mapping[str, Any]) -> datetime | None:
    """Return when an entry was published, else when it was last changed, in UTC."""
    for name in ("published_parsed", "updated_parsed"):
        if name in found and found[name]:
            try:
                return datetime.fromtimestamp(calendar.timegm(found[name]), UTC)
            except (ValueError, OverflowError, OSError, TypeError):
                continue
    return None
