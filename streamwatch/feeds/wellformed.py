"""XML that is safe and quick to parse: no entities of its own, no depth, no more entries than wanted, well-formed.

feedparser reads what is not well-formed with a slow and patient parser: a hostile 100 KB keeps it busy for half a
minute. So small faults are mended here, and after a large one a feed is read up to its last whole entry.
"""

from __future__ import annotations

import html.entities
import re
from typing import NamedTuple
from xml.parsers import expat

from streamwatch.errors import FeedError

MAX_DEPTH = 100
MAX_ELEMENTS = 100_000
MAX_ATTRIBUTES = 10_000
MAX_NAMESPACES = 50
ENTRY = frozenset({"item", "entry"})

_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,500}\?>\s*")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE = re.compile(r"&(?:#\d{1,7};|#x[0-9a-fA-F]{1,6};|(\w{1,31});)?")
_XML_NAMES = frozenset({"amp", "lt", "gt", "quot", "apos"})


class SafeXml(NamedTuple):
    """A document that parses.

    Attributes:
        text: The document, without an XML declaration.
        root: The name of its outermost element.
        fault: What was wrong with it, empty if nothing was.
        more: Whether there were more entries than wanted.
    """

    text: str
    root: str
    fault: str
    more: bool


def make_safe(text: str, max_entries: int) -> SafeXml:
    r"""Return a document as one that parses.

    Args:
        text: The document.
        max_entries: How many entries are wanted, the first ones.

    Raises:
        FeedError: It declares entities, is built to exhaust its reader, or is broken before its first entry ends.

    >>> make_safe("<rss><item><title>A & B&nbsp;C</title></item></rss>", 9)[0]
    '<rss><item><title>A &amp; B\xa0C</title></item></rss>'
    >>> make_safe("<rss><item>a</item><item>b</rss>", 9)[0]
    '<rss><item>a</item></rss>'
    """
    text = _DECLARATION.sub(lambda found: "\n" * found[0].count("\n"), text, count=1)  # lines keep their numbers
    scan = _Scan(text, max_entries)
    if not scan.fault:
        return scan.safe("")
    mended = _REFERENCE.sub(_mend_reference, _CONTROL.sub(" ", text))
    again = _Scan(mended, max_entries)
    if not again.fault or again.entries:
        return again.safe(scan.fault)
    found = f"broken XML: {scan.fault}"
    raise FeedError(found, "tell the feed's owner, or take another feed")


def _mend_reference(match: re.Match[str]) -> str:
    """Write out a reference that only HTML knows, and take a lone `&` for what it stands for."""
    name = match[1]
    if match[0] == "&":
        return "&amp;"
    if name is None:
        return match[0] if _is_character(match[0][2:-1]) else " "
    if name in _XML_NAMES:
        return match[0]
    return html.entities.html5.get(f"{name};", f"&amp;{name};")


def _is_character(reference: str) -> bool:
    """Say whether XML knows the character of a number, such as `169` or `xA9`."""
    number = int(reference[1:], 16) if reference[0] == "x" else int(reference)
    return number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0x10000 <= number < 0x110000


class _Scan:
    """One pass over a document: where its entries end, and where it stops to be XML."""

    def __init__(self, text: str, max_entries: int) -> None:
        self._data = text.encode("utf-8", "replace")
        self._max_entries = max_entries
        self._open: list[str] = []
        self._elements = self._attributes = self._namespaces = 0
        self._whole = 0
        self._open_then: list[str] = []
        self.entries = 0
        self.root = ""
        self.more = False
        self.fault = ""
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.namespace_prefixes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartNamespaceDeclHandler = self._namespace
        self._parser.EntityDeclHandler = self._entity
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            self.fault = f"{expat.ErrorString(error.code)} in line {error.lineno}"

    def safe(self, fault: str) -> SafeXml:
        """Return the document, up to its last whole entry where it is not to be read further."""
        data = self._data
        if self.fault or self.more:
            closing = "".join(f"</{name}>" for name in reversed(self._open_then))
            data = data[: self._whole] + closing.encode()
        return SafeXml(data.decode(), self.root, fault, self.more)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        parts = name.split(" ")
        qualified = f"{parts[2]}:{parts[1]}" if len(parts) == 3 else parts[-1]
        self.root = self.root or qualified
        self._open.append(qualified)
        self._elements += 1
        self._attributes += len(attributes)
        _limit("elements in one another", len(self._open), MAX_DEPTH)
        _limit("attributes", self._attributes, MAX_ATTRIBUTES)
        if not self.more:
            _limit("elements", self._elements, MAX_ELEMENTS)

    def _end(self, _name: str) -> None:
        name = self._open.pop().rpartition(":")[2]
        if name not in ENTRY:
            return
        if self.entries == self._max_entries:
            self.more = True
        else:
            self.entries += 1
            self._whole = self._data.index(b">", self._parser.CurrentByteIndex) + 1
            self._open_then = list(self._open)

    def _namespace(self, _prefix: str | None, _uri: str) -> None:
        self._namespaces += 1
        _limit("namespace declarations", self._namespaces, MAX_NAMESPACES * (1 + self._elements))

    def _entity(self, name: str, *_: object) -> None:
        found = f"XML that declares entities of its own, such as {name[:40]!r}"
        raise FeedError(found, "that can fill the memory, and no feed needs it: tell its owner, or take another feed")


def _limit(what: str, count: int, most: int) -> None:
    if count > most:
        found = f"XML with more than {most:,} {what}"
        raise FeedError(found, "no feed is built so: check the address")
