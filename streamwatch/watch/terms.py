"""Terms: the words and pairs of words of a text; of Chinese, which writes no words apart, two to four characters."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from streamwatch.ingest.novelty import said

HAN = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
RUNS = re.compile(rf"[{HAN}]+|[^\s{HAN}]+")
IS_HAN = re.compile(rf"[{HAN}]")
GRAMS = (2, 3, 4)
LEAST_LETTERS = 3
STOP_WORDS = frozenset(
    "a about after again all also am an and any are as at be because been before being but by can could did do does "
    "don down during for from get gets go going got had has have he her here him his how i if in into is it its just "
    "let like ll m me more most my new no nor not now of off on one only or other our out over own re really s said "
    "same say says she should so some still such t than that the their them then there these they this those through "
    "to today too under until up us user ve very via was we were what when where which while who why will with would "
    "you your amp http https com www rt".split()
)
ORDINARY = frozenset(
    "stock stocks share shares price prices market markets company companies news everyone everybody anyone people man "
    "guys thing things stuff way lot lots much many even still back right look looks looking see saw think know want "
    "make made take talking talk talks tell told need buy sell hold first last next two three four five year years day "
    "days week weeks month months time good bad big great well yes lol wow omg 股价 股票 公司 市场 消息 "
    "今天 现在 已经 什么 怎么 可能 真的 大家 没有 知道 觉得 "
    "感觉 目前 表示 进行 可以 就是 还是 不是 这个 一个 我们 他们 自己".split()
)
"""Words that say little of what is new when they stand alone."""
STOP_HAN = frozenset("的了在是和与及将被等这那也都把让给其但或不吧吗呢啊我你他她它们很还又而则之因")


def words_of(texts: Sequence[str]) -> list[str]:
    """Return the words of each text, as `ingest.novelty.said` gives them."""
    return said(pl.Series(texts, dtype=pl.String)).to_list()


def terms_of(words: str) -> set[str]:
    """Return the terms of a text.

    A term neither begins nor ends with a word or character that only holds others together, and it is not an ordinary
    word alone.

    >>> sorted(terms_of("apple halts the shipments aapl"))
    ['aapl', 'apple', 'apple halts', 'halts', 'shipments', 'shipments aapl']
    >>> sorted(terms_of("电池的起火"))
    ['池的起', '池的起火', '电池', '电池的起', '起火']

    Args:
        words: As `words_of` gives them.
    """
    terms: set[str] = set()
    before = None
    for run in RUNS.findall(words):
        if IS_HAN.match(run):
            terms |= _grams(run)
            before = None
            continue
        stops = run in STOP_WORDS
        if not stops and len(run) >= LEAST_LETTERS and not run.isdigit() and run not in ORDINARY:
            terms.add(run)
        if not stops and before is not None and not (run.isdigit() and before.isdigit()):
            terms.add(f"{before} {run}")
        before = None if stops else run
    return terms


def is_within(part: str, whole: str) -> bool:
    """Say whether a term stands in another as whole words, or as characters of Chinese.

    >>> is_within("fire", "battery fires"), is_within("fires", "battery fires"), is_within("电池", "电池起火")
    (False, True, True)
    """
    return part in whole if IS_HAN.search(part) else f" {part} " in f" {whole} "


def _grams(run: str) -> set[str]:
    starts = [place for place, character in enumerate(run) if character not in STOP_HAN]
    grams = {
        run[start : start + size]
        for start in starts
        for size in GRAMS
        if start + size <= len(run) and run[start + size - 1] not in STOP_HAN
    }
    return grams - ORDINARY
