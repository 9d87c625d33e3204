"""The language of a text: by its script where that decides, else what is declared, else by its small words."""

from __future__ import annotations

import re

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_WORDS = re.compile(r"[a-z']+")
_ENGLISH = frozenset(
    "the of and to in for on with as at by from is are was were be has have had will after over its it's that this an "
    "says said amid up than more not into but".split()
)
_TAG = re.compile(r"[A-Za-z]{2,3}(?=$|[-_])")
LETTERS_OF_A_SIGN = 3
"""A Chinese sign says as much as so many Latin letters: company names in Latin letters do not make a text English."""


def language_of(text: str, *declared: str | None) -> str | None:
    """Return a text's language as its two or three letters; None where nobody can say.

    Args:
        text: The text.
        declared: What its entry, its feed and so on say, the nearest first; templates often say what is not so, and
            the script overrules them.

    >>> language_of("特斯拉 Tesla 下调交付指引", "en-US"), language_of("Apple cuts guidance", "en-US")
    ('zh', 'en')
    >>> language_of("Shares of the bank fell in London"), language_of("Umsatz sinkt"), language_of("日本銀行は利上げ")
    ('en', None, 'ja')
    """
    counts = {lang: len(found.findall(text)) for lang, found in (("zh", _HAN), ("ja", _KANA), ("ko", _HANGUL))}
    signs = sum(counts.values())
    named = next((tag[0].lower() for name in declared if name and (tag := _TAG.match(name))), None)
    if signs and signs * LETTERS_OF_A_SIGN >= len(_LATIN.findall(text)):
        if counts["ja"] * 10 >= signs:
            return "ja"
        return "ko" if counts["ko"] * 2 >= signs else "zh"
    if named is not None and not (named in counts and not signs):
        return named
    words = _WORDS.findall(text.lower())
    return "en" if sum(word in _ENGLISH for word in words) * 8 >= len(words) > 3 else None
