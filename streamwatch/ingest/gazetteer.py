"""Which companies there are and how they are spelt: the gazetteer behind the entities of a post.

The companies are the index members of `pytickersymbols` (MIT) and the project's own `companies.csv`: Chinese and
Indian companies, common short forms, former symbols. `ordinary_words.txt` says which names are ordinary words.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources

from pytickersymbols import PyTickerSymbols

LEGAL_FORM = re.compile(
    r"(?:,?\s+(?:Inc|Incorporated|Corp|Corporation|Company|Co|plc|Ltd|Limited|SE|AG|SA|S\.A|NV|N\.V|AB|KGaA|SCA|LLC"
    r"|& Co)\.?)+$"
)
SOFT_FORM = re.compile(
    r"(?:,?\s+(?:Holdings?|Group|International|Industries|Enterprises|Technolog(?:y|ies)|Companies|Brands|Platforms|Financial"
    r"|Pharmaceuticals?|Corporation|Company|& Company|REIT|Motors?|Energy))+$"
)
REMARK = re.compile(r"\s*\([^)]*\)")
LEGAL_FORMS_SAID = ("Inc", "Corp", "Corporation", "Company", "plc", "PLC", "Group", "Ltd", "AG", "SE")
LEAST_NAME_CHARS = 4
LEAST_SHOUTED_CHARS = 5
US_SYMBOL = re.compile(r"[A-Z]{4,5}")


@dataclass
class Company:
    """A company: the name and the ticker that stand for it, what it is called, what its shares are called."""

    name: str
    ticker: str | None
    aliases: set[str] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Spellings:
    """What to look for: index into `companies` by spelling; -1 hides a phrase that names no company."""

    companies: list[Company]
    names: dict[str, int]
    symbols: dict[str, int]


def read_spellings() -> Spellings:
    """Read the companies and work out how each may be spelt."""
    words, phrases = _ordinary()
    companies = _companies()
    names: dict[str, int] = {}
    symbols: dict[str, int] = {}
    for row, company in enumerate(companies):
        for alias in company.aliases:
            names.setdefault(alias, row)
        if company.ticker:
            symbols.setdefault(company.ticker.upper(), row)
    for row, company in enumerate(companies):
        for alias in _derived(company, words):
            names.setdefault(alias, row)
        for symbol in company.symbols:
            symbols.setdefault(symbol.upper(), row)
    for symbol, row in list(symbols.items()):
        symbols.setdefault(symbol.split(".")[0], row)
        if US_SYMBOL.fullmatch(symbol) and symbol not in words:
            names.setdefault(symbol, row)
    names.update(dict.fromkeys(phrases, -1))
    return Spellings(companies, names, symbols)


def _companies() -> list[Company]:
    """Return the project's companies, joined with the index members by ticker; the project's come first."""
    companies: list[Company] = []
    by_ticker: dict[str, Company] = {}
    for row in _table("companies.csv"):
        company = Company(row["name"], row["ticker"] or None, _split(row["aliases"]), _split(row["symbols"]))
        companies.append(company)
        if company.ticker:
            by_ticker[company.ticker] = company
    for name, ticker, symbols in _index_members():
        known = by_ticker.get(ticker) if ticker else None
        if known is None:
            known = Company(legal_name(name), ticker)
            companies.append(known)
            if ticker:
                by_ticker[ticker] = known
        known.symbols |= symbols
        if " " in name:
            known.aliases.add(name)
    return companies


def _index_members() -> Iterator[tuple[str, str | None, set[str]]]:
    """Yield name, ticker and further US symbols of every index member."""
    for stock in PyTickerSymbols().get_all_stocks():
        listed = {entry["yahoo"] for entry in stock.get("symbols", []) if entry["currency"] == "USD"}
        on_exchange = {
            entry["google"].split(":")[-1] for entry in stock.get("symbols", []) if entry["currency"] == "USD"
        }
        yield REMARK.sub("", stock["name"]), stock.get("symbol"), listed | on_exchange


def _derived(company: Company, words: frozenset[str]) -> Iterator[str]:
    """Yield the spellings that follow from a company's name: without legal form, in capitals, without accents."""
    plain = {company.name} | {legal_name(alias) for alias in company.aliases}
    plain |= {SOFT_FORM.sub("", name).strip(" ,&") for name in plain}
    for name in sorted(plain):
        if name in words or (len(name) < LEAST_NAME_CHARS and name.isascii()):
            yield from (f"{name} {form}" for form in LEGAL_FORMS_SAID)
            continue
        for spelling in {name, unaccented(name), name.replace("'", ""), name.replace("'", "’")}:
            yield spelling
            if len(spelling) >= LEAST_SHOUTED_CHARS:
                yield spelling.upper()


def legal_name(name: str) -> str:
    """Return a company's name without its legal form, article and remarks.

    >>> legal_name("Target Corporation"), legal_name("The Hershey Company"), legal_name("Eli Lilly and Company")
    ('Target', 'Hershey', 'Eli Lilly')
    """
    name = REMARK.sub("", name).replace("’", "'").replace("–", "-").removeprefix("The ")
    return LEGAL_FORM.sub("", name).removesuffix(" and").strip(" ,&")


def unaccented(name: str) -> str:
    """Return a name with its accents left out.

    >>> unaccented("Nestlé")
    'Nestle'
    """
    return "".join(mark for mark in unicodedata.normalize("NFD", name) if not unicodedata.combining(mark))


def _ordinary() -> tuple[frozenset[str], frozenset[str]]:
    """Return the words that name no company alone, and the phrases that hide one."""
    text = resources.files(__package__).joinpath("ordinary_words.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    phrases = text.split("# Phrases\n")[1].splitlines()
    words = {word for line in lines[: -len(phrases)] for word in line.split()}
    return frozenset(words), frozenset(phrases)


def _table(name: str) -> Iterator[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())


def _split(cell: str) -> set[str]:
    return {part for part in cell.split("|") if part}
