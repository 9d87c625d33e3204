"""Which characters a feed's bytes are: what is declared where it is true, and what is there where it is not."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNMARKED = ((b"<\0?\0", "utf-16-le"), (b"\0<\0?", "utf-16-be"))
_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_HIGH = re.compile(rb"[\x80-\xff]")
_PAIRS = re.compile(rb"(?:[\xa1-\xf7][\xa1-\xfe])+")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "cp1252"}
"""Encodings that are declared where a wider one is meant, by Python's names."""
_WESTERN = ("cp1252", "iso8859-15")
SURE_BYTES = 12
"""So many bytes beyond ASCII that happen to be valid UTF-8 are UTF-8, whatever is declared."""


class Decoded(NamedTuple):
    """A feed's text, the encoding that it has, and the one that it claims (empty: none, or the same)."""

    text: str
    encoding: str
    claimed: str = ""


def decode(body: bytes, content_type: str = "") -> Decoded:
    """Return a feed's bytes as text.

    A byte order mark counts first. Then bytes that can hardly be anything else than UTF-8 are UTF-8; then what the
    header `Content-Type` or the XML declaration says counts, if the bytes agree; then GB18030 where the bytes look
    like it, which they do too when they are declared to be Western; then Windows-1252, in which anything can be read.

    Args:
        body: The feed.
        content_type: The header of that name.

    >>> decode('<?xml version="1.0" encoding="gb2312"?><a>财报</a>'.encode("gb18030")).text[-9:-4]
    '<a>财报'
    >>> decode('<?xml version="1.0" encoding="iso-8859-1"?><a>Société Générale: dégâts à prévoir</a>'.encode())[1:]
    ('utf-8', 'iso-8859-1')
    """
    for mark, encoding in (*_BOMS, *_UNMARKED):
        if body.startswith(mark):
            start = len(mark) if (mark, encoding) in _BOMS else 0
            return Decoded(body[start:].decode(encoding, "replace"), encoding)
    declared = _declared(body, content_type)
    guesses = [*(known for name in declared if (known := _known(name)))]
    high = len(_HIGH.findall(body))
    guesses.insert(0 if high >= SURE_BYTES or not guesses else len(guesses), "utf-8")
    if high and sum(map(len, _PAIRS.findall(body))) > 0.9 * high:
        western = [place for place, guess in enumerate(guesses) if guess in _WESTERN]
        guesses.insert(western[0] if western else len(guesses), "gb18030")
    for encoding in guesses:
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        return Decoded(text, encoding, _lie(declared, encoding, high))
    return Decoded(body.decode("cp1252", "replace"), "cp1252", _lie(declared, "cp1252", high))


def _declared(body: bytes, content_type: str) -> list[str]:
    in_header, in_body = _CHARSET.search(content_type), _DECLARATION.match(body)
    names = [in_header[1] if in_header else "", in_body[1].decode() if in_body else ""]
    return [name.lower() for name in names if name]


def _known(name: str) -> str:
    """Return Python's name of a text encoding, or of the wider one that is meant; empty if there is none."""
    try:
        found = codecs.lookup(name)
        "a".encode(name)
    except (LookupError, UnicodeError):
        return ""
    return _WIDER.get(found.name, found.name)


def _lie(declared: list[str], encoding: str, high: int) -> str:
    """Return what is declared and wrong; ASCII is the same in all of them."""
    wrong = [name for name in declared if _known(name) != encoding]
    return wrong[0] if wrong and high else ""
