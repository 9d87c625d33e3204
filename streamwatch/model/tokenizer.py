"""Texts to token ids, the same way for every encoder: one batch call, truncated, never padded."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from streamwatch.model.e5_file import Pieces

CHARS_PER_TOKEN = 20
"""A text is cut to this many characters for each token that is kept: longer than any piece of the vocabulary."""


class TextTokenizer:
    """A fast tokenizer with the prefix and the normalisation that its encoder was trained with.

    Args:
        tokenizer: From the `tokenizers` library, special tokens included.
        prefix: Put before every text, such as `query: `.
        normalisation: Code points to replace after NFC; None leaves texts as they are.
        pad_id: What fills the rest of a shorter row.
    """

    def __init__(
        self, tokenizer: Tokenizer, prefix: str = "", normalisation: dict[int, str] | None = None, *, pad_id: int
    ) -> None:
        self.pad_id = pad_id
        self._tokenizer = tokenizer
        self._prefix = prefix
        self._normalisation = normalisation
        self._tokenizer.no_padding()

    @property
    def library(self) -> Tokenizer:
        """The tokenizer itself, without prefix and normalisation."""
        return self._tokenizer

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[NDArray[np.int64]]:
        """Return the token ids of each text, special tokens included, at most `max_tokens` of them."""
        if not texts:
            return []
        self._tokenizer.enable_truncation(max_tokens)
        longest = max_tokens * CHARS_PER_TOKEN
        encodings = self._tokenizer.encode_batch_fast([self._prepare(text[:longest]) for text in texts])
        return [np.array(encoding.ids, np.int64) for encoding in encodings]

    def _prepare(self, text: str) -> str:
        if self._normalisation is None:
            return self._prefix + _without_surrogates(text)
        if not text.isascii():
            text = unicodedata.normalize("NFC", _without_surrogates(text))
        return self._prefix + text.translate(self._normalisation)


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
    return TextTokenizer(tokenizer, "query: ", {0: "", **pieces.normalisation}, pad_id=pieces.pad)
