"""Personal data is masked before a post is stored: addresses, numbers that name a person, handles, secrets in links.

Most is found and replaced by Polars over the whole column. Numbers need a closer look (check digits, country
codes, what stands around them), which only the few rows with enough digits get.
"""

from __future__ import annotations

import hashlib

import polars as pl
import pyarrow as pa

from streamwatch.ingest.identifiers import MAYBE_PERSONAL, mask_numbers

EMAIL = r"[\p{Latin}0-9._%+\-]+[@＠][A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,24}"
HANDLE = r"(^|[^A-Za-z0-9_])[@＠](?:\d{1,2}[A-Za-z_]{4}|[A-Za-z_\p{Han}])[\w\-·]{0,29}(?:@[\w.\-]+)*"
USER_INFO = r"\b([A-Za-z][A-Za-z0-9+.\-]{1,15}://)[^\s/?#]*@"
PROFILE_LINK = r"(?i)\b((?:twitter|x)\.com)/\w{1,30}/status(?:es)?/"
SECRET_PARAMETER = (
    r"(?i)([?&#;](?:[a-z_\-]*token|auth|authorization|api[_\-]?key|key|sig|signature|[a-z_\-]*secret|password|passwd|pwd"
    r"|session|session_?id|sid|code|jwt|credential|x-amz-[a-z\-]+)=)[^&#;\s]+"
)
WECHAT = (
    r"(?i)((?:加微信|加V信|加VX|微信号?\s*[:：]|V信\s*[:：]|(?-u:\b)wechat\s*(?:id)?\s*[:：])\s*)[A-Za-z0-9_\-]{5,20}"
)
QQ = r"((?-u:\b)QQ(?:群|号)*\s*[:：]?\s*)\d{5,12}(?-u:\b)"
IPV4 = r"(?-u:\b)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?-u:\b)"

REPLACEMENTS = (
    (USER_INFO, "$1"),
    (SECRET_PARAMETER, "$1<token>"),
    (PROFILE_LINK, "$1/i/status/"),
    (EMAIL, "<email>"),
    (HANDLE, "$1@user"),
    (WECHAT, "$1<contact>"),
    (QQ, "$1<contact>"),
    (IPV4, "<ip>"),
)
MAX_PASSES = 8
PSEUDONYM_BYTES = 8


def mask_text(texts: pa.Array) -> pa.Array:
    """Mask what names or reaches a person in each text; null stays null. Masking twice changes nothing more.

    >>> posts = pa.array(["mail jo@example.com or @jo_trades, 13812345678", "AAPL +3.25% at 189.50 on 2026-01-05"])
    >>> mask_text(posts).to_pylist()
    ['mail <email> or @user, <phone>', 'AAPL +3.25% at 189.50 on 2026-01-05']
    """
    masked = pl.Series("text", texts).cast(pl.String)
    for _ in range(MAX_PASSES):
        before = masked
        masked = _pass(before)
        if masked.equals(before, null_equal=True):
            break
    return masked.to_arrow().cast(pa.string())


def mask_url(urls: pa.Array) -> pa.Array:
    """Mask user names, passwords, secret parameters and addresses in links; null stays null.

    >>> mask_url(pa.array(["https://jo:pw@example.com/a?token=abc&page=2", None])).to_pylist()
    ['https://example.com/a?token=<token>&page=2', None]
    """
    masked = pl.Series("url", urls).cast(pl.String)
    for pattern, mask in (
        (USER_INFO, "$1"),
        (SECRET_PARAMETER, "$1<token>"),
        (PROFILE_LINK, "$1/i/status/"),
        (EMAIL, "<email>"),
    ):
        masked = masked.str.replace_all(pattern, mask)
    return masked.to_arrow().cast(pa.string())


def pseudonym(authors: pa.Array, key: bytes) -> pa.Array:
    """Give each author a name that says nothing: 16 hexadecimal digits of keyed BLAKE2b (RFC 7693).

    Equal authors get equal pseudonyms under one key; without the key nobody can tell who it was by trying names.

    Args:
        authors: The authors, null where none is known; null stays null.
        key: A secret of at least 16 bytes.

    Raises:
        ValueError: The key is too short to keep anything secret.
    """
    if len(key) < 16:
        message = f"the key of pseudonyms has {len(key)} bytes, expected 16 or more"
        raise ValueError(message)
    short_key = key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(key).digest()
    coded = authors.cast(pa.string()).dictionary_encode()
    names = [
        hashlib.blake2b(name.encode(), key=short_key, digest_size=PSEUDONYM_BYTES).hexdigest()
        for name in coded.dictionary.to_pylist()
    ]
    return pa.array(names, pa.string()).take(coded.indices)


def _pass(texts: pl.Series) -> pl.Series:
    for pattern, mask in REPLACEMENTS:
        texts = texts.str.replace_all(pattern, mask)
    rows = texts.str.contains(MAYBE_PERSONAL).arg_true()
    if len(rows) == 0:
        return texts
    return texts.scatter(rows, [mask_numbers(text) for text in texts.gather(rows)])
