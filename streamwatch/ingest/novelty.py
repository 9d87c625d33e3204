"""A hash of what a text says: copies of it share the hash, and near copies differ from it in few bits."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from rensa import RMinHash

URL = r"(?:https?://|www\.)\S+|\bhttps?(?:…|\.\.\.)|\bhttps?$"
RETWEET = r"^\s*(?:rt\s*[@＠][\w\-·]+\s*[:：]?\s*)+|\s(?:via|h/t)\s+[@＠]\w+"
CHAINED = r"//\s*[@＠][\w\-·]+\s*[:：]"
MENTION = r"[@＠][\w\-·]+"
MASK = r"<(?:email|phone|card|iban|id|ssn|ip|token|contact)>"
MINUS = r"(^|\s)[-−–](\d)"
MARKS = r"[^\p{L}\p{N}]+"
Hashes = npt.NDArray[np.int64]

BITS = 64
SEED = 1
PIECES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff_]+")
"""A word, or one character of a script that writes none apart."""


def novelty(texts: pa.Array) -> pa.Array:
    """Hash each text's words (int64): copies that differ in links, mentions, marks and case share the hash.

    The hash is locality-sensitive: 64 minima of the text's words and pairs of words (MinHash, Broder 1997), of each
    one bit (b-bit minwise hashing, Li and König 2010). Of two texts whose sets of words have the Jaccard similarity
    J, `32 (1 - J)` of the bits differ, on average. The words are as `said` gives them; a text without words (a link,
    emoji) is hashed as it stands, so two different links are no copies. Null counts as an empty text.

    >>> posts = ["RT @jo: Apple soars! https://t.co/a1", "apple SOARS…", "Apple falls"]
    >>> first, copy, other = novelty(pa.array(posts)).to_pylist()
    >>> first == copy, first == other
    (True, False)
    """
    whole = pl.Series("text", texts.cast(pa.string()).fill_null(""))
    pieces = [_pieces(words) or [text.strip()] for words, text in zip(said(whole), whole, strict=True)]
    return pa.array(_signatures(pieces), pa.int64())


def said(texts: pl.Series) -> pl.Series:
    """Return the words of each text, lower-cased after NFKC normalisation, with one space between them.

    Links, mentions, masks, marks and what a retweet puts in front are left out.

    >>> said(pl.Series(["RT @jo: Apple soars! https://t.co/a1"])).to_list()
    ['apple soars']
    """
    words = pl.Series("text", pc.utf8_lower(pc.utf8_normalize(texts.to_arrow().cast(pa.string()), "NFKC")))
    for pattern, replacement in (
        (URL, " "),
        (RETWEET, " "),
        (CHAINED, " "),
        (MENTION, " "),
        (MASK, " "),
        (MINUS, "$1 minus $2"),
        (MARKS, " "),
    ):
        words = words.str.replace_all(pattern, replacement)
    return words.str.strip_chars()


def differing_bits(one: Hashes, other: Hashes) -> npt.NDArray[np.uint8]:
    """Return in how many bits hashes differ; arrays of int64 that broadcast.

    >>> differing_bits(np.array([0, -1]), np.array([1, 1])).tolist()
    [1, 63]
    """
    bits: npt.NDArray[np.uint8] = np.bitwise_count(one.view(np.uint64) ^ other.view(np.uint64))
    return bits


def _pieces(words: str) -> list[str]:
    single = PIECES.findall(words)
    return single + [f"{first} {second}" for first, second in zip(single[:-1], single[1:], strict=True)]


def _signatures(pieces: Sequence[Sequence[str]]) -> Hashes:
    if not pieces:
        return np.zeros(0, np.int64)
    minima = np.array(RMinHash.digest_matrix_from_token_sets(pieces, BITS, SEED).to_rows(), np.uint32)
    return np.packbits((minima & 1).astype(np.uint8), axis=1).view(">i8").ravel().astype(np.int64)
