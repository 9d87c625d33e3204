"""Where tokens stand in the text that a person wrote: through its simplification, its tokens, and back to its words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from streamwatch.model.tokenizer import HANDLE, LINK, REFERENCE, AlignedText, TextTokenizer, unescaped

_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
"""Thai, Lao, Burmese and Khmer letters; Chinese, Japanese and emoji are known by their width."""

Span = tuple[int, int]


class Traced(NamedTuple):
    """A text, and for each of its characters which ones it comes from in the text before all changes."""

    text: str
    origins: list[Span]

    @classmethod
    def unchanged(cls, text: str) -> Traced:
        """Return a text as it is."""
        return cls(text, [(at, at + 1) for at in range(len(text))])

    def sub(self, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> Traced:
        """Replace as `pattern.sub` does; what is put in comes from all that it replaces.

        >>> Traced.unchanged("a-b").sub(re.compile("-"), lambda _: "..").origins
        [(0, 1), (1, 2), (1, 2), (2, 3)]
        """
        parts, origins, at = [], [], 0
        for match in pattern.finditer(self.text):
            begin, end = match.span()
            new = replace(match)
            whole = (self.origins[begin][0], self.origins[end - 1][1])
            parts += [self.text[at:begin], new]
            origins += self.origins[at:begin]
            origins += self.origins[begin:end] if new == match[0] else [whole] * len(new)
            at = end
        return Traced("".join([*parts, self.text[at:]]), origins + self.origins[at:])


def traced_simplified(text: str) -> Traced:
    """Return what `tokenizer.simplified` makes of a text, with where each of its characters comes from.

    >>> traced_simplified("AT&amp;T @jane").text, traced_simplified("AT&amp;T @jane").origins[2:5]
    ('AT&T @user', [(2, 7), (7, 8), (8, 9)])
    """
    plain = Traced.unchanged(text).sub(REFERENCE, unescaped)
    return plain.sub(LINK, lambda _: "http").sub(HANDLE, lambda _: "@user")


def aligned(tokenizer: TextTokenizer, text: str, max_tokens: int) -> AlignedText:
    """Return a text's token ids as the scorer's encoder gets them, and where each token stands in the text itself."""
    traced = traced_simplified(text)
    found = tokenizer.encode_aligned(traced.text, max_tokens)
    spans = [
        (traced.origins[start][0], traced.origins[end - 1][1]) if end > start else (0, 0) for start, end in found.spans
    ]
    return AlignedText(found.ids, tuple(spans))


def words(text: str, spans: Sequence[Span]) -> list[list[int]]:
    """Put those tokens together that make one word of a text; tokens that stand for no characters are left out.

    Where words are written without spaces, as in Chinese, each token is a word, and so is each emoji.

    Args:
        text: The text.
        spans: For each token the characters that it stands for, in order.

    >>> words("falling 股价暴跌", [(0, 0), (0, 4), (4, 7), (8, 10), (10, 12), (0, 0)])
    [[1, 2], [3], [4]]
    """
    real = [token for token, (start, end) in enumerate(spans) if end > start]
    groups = [[token] for token in real[:1]]
    for before, after in pairwise(real):
        if _joined(text, spans[before][1], spans[after][0]):
            groups[-1].append(after)
        else:
            groups.append([after])
    return groups


def _joined(text: str, end: int, start: int) -> bool:
    """Say whether a token that ends at `end` and the next one, from `start` on, belong to one word."""
    return start < end or (start == end and not (_stands_alone(text[end - 1]) or _stands_alone(text[start])))


def _stands_alone(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF" or bool(_UNSPACED.match(character))
