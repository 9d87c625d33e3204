"""A hash of what a text says, so that copies of it are seen to be copies."""

from __future__ import annotations

import hashlib

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

URL = r"(?:https?://|www\.)\S+|\bhttps?(?:…|\.\.\.)|\bhttps?$"
RETWEET = r"^\s*(?:rt\s*[@＠][\w\-·]+\s*[:：]?\s*)+|\s(?:via|h/t)\s+[@＠]\w+"
CHAINED = r"//\s*[@＠][\w\-·]+\s*[:：]"
MENTION = r"[@＠][\w\-·]+"
MASK = r"<(?:email|phone|card|iban|id|ssn|ip|token|contact)>"
MINUS = r"(^|\s)[-−–](\d)"
MARKS = r"[^\p{L}\p{N}]+"


def novelty(texts: pa.Array) -> pa.Array:
    """Hash each text's words (int64): copies that differ in links, mentions, marks and case share the hash.

    The words are lower-cased after NFKC normalisation. A text without words (a link, emoji) is hashed as it
    stands, so two different links are no copies. The hash is the first 8 bytes of BLAKE2b, signed: it stays the
    same over versions of streamwatch and Python. Null counts as an empty text.

    >>> posts = ["RT @jo: Apple soars! https://t.co/a1", "apple SOARS…", "Apple falls"]
    >>> first, copy, other = novelty(pa.array(posts)).to_pylist()
    >>> first == copy, first == other
    (True, False)
    """
    whole = pl.Series("text", pc.utf8_lower(pc.utf8_normalize(texts.cast(pa.string()).fill_null(""), "NFKC")))
    said = whole
    for pattern, replacement in (
        (URL, " "),
        (RETWEET, " "),
        (CHAINED, " "),
        (MENTION, " "),
        (MASK, " "),
        (MINUS, "$1 minus $2"),
        (MARKS, " "),
    ):
        said = said.str.replace_all(pattern, replacement)
    said = said.str.strip_chars()
    return pa.array([_hash(words or text.strip()) for words, text in zip(said, whole, strict=True)], pa.int64())


def _hash(words: str) -> int:
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big", signed=True)
