"""Texts to token ids, the same way for every encoder: one batch call, truncated, never padded."""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from streamwatch.model.e5_file import Pieces

CHARS_PER_TOKEN = 20
"""A text is cut to this many characters for each token that is kept: longer than any piece of the vocabulary."""
LINK = re.compile(r"https?://\S+")
HANDLE = re.compile(r"(?<![\w.])@[A-Za-z0-9_]{1,30}\b")
REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
"""What `html.unescape` looks at."""
LONGEST_REFERENCE = 40


def unescaped(reference: re.Match[str]) -> str:
    """Return what HTML spells by a reference.

    `html.unescape` fails on numbers of thousands of digits; the number of a character has seven at most.
    """
    return html.unescape(reference[0]) if len(reference[0]) <= LONGEST_REFERENCE else "\ufffd"


def simplified(text: str) -> str:
    """Return a text without what tells a model nothing: where a link leads, who is addressed, HTML's spellings.

    A third of a tweet's tokens are the letters of its links, so this makes scoring half as fast again; and what was
    trained on names of accounts sees them masked later.

    >>> simplified("RT @jane: AT&amp;T up https://t.co/Xy1 $T")
    'RT @user: AT&T up http $T'
    """
    if "&" in text:
        text = REFERENCE.sub(unescaped, text)
    if "://" in text:
        text = LINK.sub("http", text)
    return HANDLE.sub("@user", text) if "@" in text else text


class MarkedText(NamedTuple):
    """A text's token ids, and for each of its spans the first token and the one behind the last.

    The last `context` of the ids are not the text's own: they belong to the post that it answers.
    """

    ids: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]
    context: int = 0

    @property
    def own(self) -> int:
        """How many tokens are the text's own."""
        return len(self.ids) - self.context

    def answering(self, parent: NDArray[np.int64]) -> MarkedText:
        """Return the text with the token ids of the post that it answers behind its own.

        >>> MarkedText(np.array([0, 7, 2]), ()).answering(np.array([0, 8, 9, 2]))
        MarkedText(ids=array([0, 7, 2, 8, 9, 2]), spans=(), context=3)
        """
        return MarkedText(np.concatenate([self.ids, parent[1:]]), self.spans, len(parent) - 1)


class AlignedText(NamedTuple):
    """A text's token ids, and for each token its first character and the one behind its last.

    Tokens that stand for no character but spaces, such as the special ones, have the empty span `(0, 0)`.
    """

    ids: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]


class TextTokenizer:
    """A fast tokenizer with the normalisation that its encoder was trained with.

    Args:
        tokenizer: From the `tokenizers` library, special tokens included.
        normalisation: Code points to replace after NFC; None leaves texts as they are.
        pad_id: What fills the rest of a shorter row.
        unknown_id: What stands for a piece that the vocabulary does not hold.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        normalisation: dict[int, str] | None = None,
        *,
        pad_id: int,
        unknown_id: int,
    ) -> None:
        self.pad_id = pad_id
        self.unknown_id = unknown_id
        self._tokenizer = tokenizer
        self._normalisation = normalisation
        self._tokenizer.no_padding()

    @property
    def library(self) -> Tokenizer:
        """The tokenizer itself, without normalisation."""
        return self._tokenizer

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[NDArray[np.int64]]:
        """Return the token ids of each text, special tokens included, at most `max_tokens` of them."""
        if not texts:
            return []
        self._tokenizer.enable_truncation(max_tokens)
        longest = max_tokens * CHARS_PER_TOKEN
        encodings = self._tokenizer.encode_batch_fast([self._prepare(text[:longest]) for text in texts])
        return [np.array(encoding.ids, np.int64) for encoding in encodings]

    def encode_marked(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]], max_tokens: int
    ) -> list[MarkedText]:
        """Return token ids as `encode` does, and which tokens hold the given characters of each text.

        Args:
            texts: The texts.
            spans: For each text, pairs of a first character and the one behind the last.
            max_tokens: Most tokens of a text. A span behind them becomes the last one.
        """
        self._tokenizer.enable_truncation(max_tokens)
        longest = max_tokens * CHARS_PER_TOKEN
        prepared = [self._prepare(text[:longest]) for text in texts]
        marked = []
        for text, encoding, pairs in zip(texts, self._tokenizer.encode_batch(prepared), spans, strict=True):
            # The offsets are those of the prepared text: a prefix of it tells where a character has moved to.
            ends = [end for start, end in encoding.offsets if end > start] or [0]
            moved = [tuple(min(len(self._prepare(text[:at])), ends[-1]) for at in pair) for pair in pairs]
            found = tuple(_covered(encoding.offsets, begin, end) for begin, end in moved)
            marked.append(MarkedText(np.array(encoding.ids, np.int64), found))
        return marked

    def encode_aligned(self, text: str, max_tokens: int) -> AlignedText:
        """Return token ids as `encode` does, and which characters of the text each token stands for."""
        self._tokenizer.enable_truncation(max_tokens)
        text = text[: max_tokens * CHARS_PER_TOKEN]
        prepared, ends = self._prepare(text), self._prepared_ends(text)
        encoding = self._tokenizer.encode(prepared)
        spans = (_stripped(prepared, start, end) for start, end in encoding.offsets)
        return AlignedText(np.array(encoding.ids, np.int64), tuple(_moved_back(ends, span) for span in spans))

    def _prepared_ends(self, text: str) -> list[int]:
        """Return for each number of a text's first characters how many of the prepared text come of them."""
        if self._normalisation is None:
            return list(range(len(text) + 1))
        ends = [0]
        for cluster in _clusters(text):
            width = len(unicodedata.normalize("NFC", cluster).translate(self._normalisation))
            ends += [ends[-1] + width] * len(cluster)
        return ends

    def _prepare(self, text: str) -> str:
        if self._normalisation is None:
            return _without_surrogates(text)
        if not text.isascii():
            text = unicodedata.normalize("NFC", _without_surrogates(text))
        return text.translate(self._normalisation)


def _clusters(text: str) -> list[str]:
    r"""Cut a text into the runs of characters that NFC puts together.

    >>> [len(cluster) for cluster in _clusters("cafe\u0301s")]
    [1, 1, 1, 2, 1]
    """
    clusters: list[str] = []
    for character in text:
        if clusters and _composes(clusters[-1], character):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _composes(before: str, character: str) -> bool:
    if unicodedata.combining(character):
        return True
    both = (unicodedata.normalize("NFC", part) for part in (before, character))
    return unicodedata.normalize("NFC", before + character) != "".join(both)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span without the spaces at its ends.

    >>> _stripped("a bc ", 1, 5), _stripped("a bc ", 4, 5)
    ((2, 4), (0, 0))
    """
    part = text[start:end]
    return (start + len(part) - len(part.lstrip()), start + len(part.rstrip())) if part.strip() else (0, 0)


def _moved_back(ends: Sequence[int], span: tuple[int, int]) -> tuple[int, int]:
    """Return the characters that a span of a changed text comes from.

    Args:
        ends: For each number of characters before the change, how many come of them; never falling.
        span: In the changed text.

    >>> _moved_back([0, 1, 4, 5], (2, 5)), _moved_back([0, 1, 1, 2], (0, 1)), _moved_back([0, 1, 1], (0, 0))
    ((1, 3), (0, 2), (0, 0))
    """
    if span[0] == span[1]:
        return 0, 0
    start = bisect_right(ends, span[0]) - 1
    return start, max(bisect_right(ends, span[1] - 1), bisect_right(ends, span[1]) - 1)


def _covered(offsets: Sequence[tuple[int, int]], begin: int, end: int) -> tuple[int, int]:
    """Return the tokens that hold characters `begin` to `end`, at least one.

    >>> _covered([(0, 0), (0, 4), (4, 9), (0, 0)], 5, 7), _covered([(0, 0), (0, 4), (4, 9), (0, 0)], 9, 9)
    ((2, 3), (2, 3))
    """
    real = [place for place, (start, stop) in enumerate(offsets) if stop > start]
    held = [place for place in real if offsets[place][0] < end and offsets[place][1] > begin]
    if not held:
        held = real[-1:] or [0]
    return held[0], held[-1] + 1


def _without_surrogates(text: str) -> str:
    r"""Replace lone surrogates, which no UTF-8 text holds but a JSON escape can make.

    >>> _without_surrogates("a\ud800b")
    'a?b'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def xlmr_tokenizer(pieces: Pieces) -> TextTokenizer:
    """Build the XLM-RoBERTa tokenizer, as multilingual-e5-small uses it, from what its file holds."""
    tokenizer = Tokenizer(models.Unigram(pieces.pieces, unk_id=pieces.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    special = [(pieces.pieces[i][0], i) for i in (pieces.bos, pieces.eos)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{special[0][0]} $A {special[1][0]}", special_tokens=special
    )
    return TextTokenizer(tokenizer, {0: "", **pieces.normalisation}, pad_id=pieces.pad, unknown_id=pieces.unknown)
