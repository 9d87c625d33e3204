"""What a reader sees of a text in HTML.

Every step takes time in proportion to the text's length; Python's own HTML parser does not, on a hostile one.
"""

from __future__ import annotations

import re
import unicodedata

from streamwatch.model.tokenizer import REFERENCE, unescaped

_UNSEEN = re.compile(r"<(!--|script\b|style\b|template\b|noscript\b|iframe\b|svg\b|math\b)", re.IGNORECASE)
_TAG = re.compile(
    r"""</?+([a-z][a-z0-9:-]*+)(?:(?:[^<>"']|"[^"<]*+"|'[^'<]*+')*+>|[^<>]*+>)|<![^<>]*+>""", re.IGNORECASE
)
_BEGUN_TAG = re.compile("<[a-z][a-z0-9]*+[ \n][^>=]*+=", re.IGNORECASE)
_WITHIN_A_LINE = frozenset(
    "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark q s samp small span strike strong sub "
    "sup time tt u var wbr".split()
)
_SPACES = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[.!?。！？…](?=\s|[^\x00-\u2fff]|$)")


def plain_text(source: str) -> str:
    """Return the text of HTML, or of what is no HTML: one line, without control characters, NFC.

    >>> plain_text('<p>AT&amp;T <b>cuts</b> guidance</p><p>Shares fall 5% &lt;after hours&gt;</p><script>x()</script>')
    'AT&T cuts guidance Shares fall 5% <after hours>'
    >>> plain_text("profit < 5% & falling")
    'profit < 5% & falling'
    """
    seen = _TAG.sub(_gap, _without_begun_tag(_without_unseen(source)))
    return one_line(REFERENCE.sub(unescaped, seen))


def _gap(tag: re.Match[str]) -> str:
    """Return what stands for a tag: nothing within a line, else a space."""
    return "" if (tag[1] or "").lower() in _WITHIN_A_LINE else " "


def _without_unseen(source: str) -> str:
    """Return HTML without comments, scripts and the like, each up to its end or the text's."""
    kept, lower, at = [], source.lower(), 0
    while opening := _UNSEEN.search(source, at):
        kept += [source[at : opening.start()], " "]
        name = opening[1].lower()
        closing = lower.find("-->" if name == "!--" else f"</{name}", opening.end())
        if closing < 0:
            return "".join(kept)
        at = closing + 3 if name == "!--" else closing
    return "".join([*kept, source[at:]])


def _without_begun_tag(source: str) -> str:
    """Return HTML that was cut within a tag up to there."""
    last = source.rfind("<")
    return source[:last] if last >= 0 and ">" not in source[last:] and _BEGUN_TAG.match(source, last) else source


def one_line(text: str) -> str:
    r"""Return a text in one line, without control and formatting characters.

    >>> one_line(" a\x00\u202eb\n\nc ")
    'ab c'
    """
    kept = "".join(character for character in _SPACES.sub(" ", text) if unicodedata.category(character)[0] != "C")
    return unicodedata.normalize("NFC", kept).strip()


def shorten(text: str, max_chars: int) -> str:
    """Return a text cut after a sentence where it can be, else after a word.

    >>> shorten("Sales rose. Profit fell sharply.", 20)
    'Sales rose.'
    >>> shorten("Sales rose and profit fell", 12)
    'Sales rose'
    """
    if len(text) <= max_chars:
        return text
    kept = text[: max_chars + 1]
    ends = [match.end() for match in _SENTENCE_END.finditer(kept) if max_chars // 2 < match.end() <= max_chars]
    if ends:
        return kept[: ends[-1]].strip()
    space = kept.rfind(" ", max_chars // 2)
    return kept[: space if space > 0 else max_chars].strip()
