"""Which companies a post is about: from its tickers, its cashtags and the names in its text.

Every spelling of a company gives one entity, under its canonical ticker: GOOG and Google are both GOOGL, 腾讯 is
0700.HK. A cashtag that nobody knows is an entity too, named as it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from streamwatch.ingest.gazetteer import Spellings, read_spellings

MAX_ENTITIES = 16
"""Most entities of a post; of a longer list of tickers the first count."""

FOUND = pa.struct([("name", pa.string()), ("ticker", pa.string())])

URL = r"(?i)\b(?:https?://|www\.)[^\s，。）)]+"
WORD = r"[A-Za-z0-9_\x{C0}-\x{52F}]+"
CASHTAG = r"(?:^|[^A-Za-z0-9$])\$[A-Za-z]{1,6}(?:[.\-][A-Z]{1,2})?(?-u:\b)"
STOCK_LINK = r"\$[^$\s(（]{1,20}[(（](?:[A-Z]{0,2}\d{5,6}|[A-Z.]{1,6})[)）]\$"
A_SHARE = r"(?-u:\b)(?:SH|SZ)\d{6}(?-u:\b)"
SYMBOL_IN = r"([A-Za-z0-9.\-]+)[)）]?\$?$"


class Found(NamedTuple):
    """The entities of each post, lists of `FOUND`, and how each is spelt in the text, "" if it does not stand there."""

    entities: pa.ListArray
    mentions: pa.ListArray


class Gazetteer:
    """Knows the companies and finds them in texts. Load one a process: it takes 0.1 to 0.5 s and about 13 MB.

    >>> gazetteer = Gazetteer.load()
    >>> posts = pa.array(["$GOOG and Google up, Apple pie is not", "腾讯和Tesla"])
    >>> found = gazetteer.entities(posts, pa.nulls(2))
    >>> [[entity["ticker"] for entity in row] for row in found.entities.to_pylist()]
    [['GOOGL'], ['0700.HK', 'TSLA']]
    >>> found.mentions.to_pylist()
    [['GOOG'], ['腾讯', 'Tesla']]
    """

    def __init__(self, known: Spellings) -> None:
        self._names = pl.DataFrame(
            {"spelling": list(known.names), "company": list(known.names.values())},
            schema={"spelling": pl.String, "company": pl.Int64},
        ).with_columns(word=pl.col("spelling").str.extract(rf"^({WORD})"))
        self._symbols = _symbol_frame(known.symbols)
        self._companies = pl.DataFrame(
            {
                "company": range(len(known.companies)),
                "name": [company.name for company in known.companies],
                "ticker": [company.ticker for company in known.companies],
            },
            schema={"company": pl.Int64, "name": pl.String, "ticker": pl.String},
        )

    @classmethod
    def load(cls) -> Gazetteer:
        """Read the companies that come with streamwatch and `pytickersymbols`."""
        return cls(read_spellings())

    def entities(self, texts: pa.Array, tickers: pa.Array) -> Found:
        """Find the companies of each post, in the order in which they come up, tickers of the post first.

        Args:
            texts: The texts, not masked yet: a company's @handle is lost by masking.
            tickers: The tickers that the source gave, a list for each post, or null.

        Returns:
            At most `MAX_ENTITIES` for each post.
        """
        clean = pl.Series("text", texts).cast(pl.String).fill_null("").str.replace_all(URL, " ")
        frame = pl.DataFrame({"row": pl.Series(range(len(texts)), dtype=pl.Int64), "text": clean})
        symbols = pl.concat([_given(tickers), _cashtags(frame)])
        return _lists(pl.concat([self._resolve(symbols), self._named(frame)]), len(texts))

    def spelt(self, texts: Sequence[str], entity: str) -> list[str]:
        """Return how an entity is spelt in each text, "" where it does not stand there.

        Args:
            texts: The texts.
            entity: Its ticker, or its name, as a group of a monitor has it.
        """
        found = self.entities(pa.array(texts, pa.string()), pa.nulls(len(texts)))
        rows = zip(found.entities.to_pylist(), found.mentions.to_pylist(), strict=True)
        return [
            next((mention for at, mention in zip(*row, strict=True) if entity in (at["ticker"], at["name"])), "")
            for row in rows
        ]

    def _resolve(self, symbols: pl.DataFrame) -> pl.DataFrame:
        """Give each symbol its company; an unknown one in capitals stands for itself, another is no symbol."""
        found = (
            symbols.with_columns(canonical=_canonical(pl.col("symbol")))
            .join(self._symbols, left_on="canonical", right_on="symbol", how="left")
            .join(self._companies, on="company", how="left")
        )
        unknown = pl.col("company").is_null()
        shouted = pl.col("symbol") == pl.col("symbol").str.to_uppercase()
        return found.filter(~unknown | (shouted & (pl.col("canonical") != ""))).select(
            "row",
            "at",
            mention=pl.when(pl.col("at") < 0).then(pl.lit("")).otherwise("symbol"),
            name=pl.when(unknown).then("canonical").otherwise("name"),
            ticker=pl.when(unknown).then("canonical").otherwise("ticker"),
        )

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Find names in the texts: whole words only, the longest of those that overlap."""
        spellings = self._spellings_for(frame["text"]).implode()
        found = (
            frame.select(
                "row",
                at=pl.col("text").str.find_many(spellings, overlapping=True),
                spelling=pl.col("text").str.extract_many(spellings, overlapping=True),
            )
            .filter(pl.col("at").list.len() > 0)
            .explode("at", "spelling")
            .with_columns(pl.col("at").cast(pl.Int64), end=pl.col("at") + pl.col("spelling").str.len_bytes())
        )
        whole = found.filter(_whole_words(frame["text"], found))
        longest = whole.sort("row", "at", "end", descending=[False, False, True]).filter(
            pl.col("end") > pl.col("end").cum_max().shift(1).over("row").fill_null(-1)
        )
        return (
            longest.join(self._names, on="spelling", how="left")
            .join(self._companies, on="company", how="inner")
            .select("row", "at", pl.col("spelling").alias("mention"), "name", "ticker")
        )

    def _spellings_for(self, texts: pl.Series) -> pl.Series:
        """Return the spellings whose first word stands in one of the texts: building the automaton costs most."""
        words = texts.str.extract_all(WORD).explode().unique().drop_nulls()
        return self._names.filter(pl.col("word").is_null() | pl.col("word").is_in(words.implode()))["spelling"]


def _symbol_frame(symbols: Mapping[str, int]) -> pl.DataFrame:
    columns = {"symbol": list(symbols), "company": list(symbols.values())}
    return pl.DataFrame(columns, schema={"symbol": pl.String, "company": pl.Int64})


def _given(tickers: pa.Array) -> pl.DataFrame:
    """Return the tickers that the source gave: they stand before anything in the text."""
    lists = pl.Series("symbol", tickers.cast(pa.list_(pa.string())))
    frame = pl.DataFrame({"row": pl.Series(range(len(lists)), dtype=pl.Int64), "symbol": lists})
    given = frame.filter(pl.col("symbol").list.len() > 0).explode("symbol")
    place = pl.int_range(pl.len()).over("row").cast(pl.Int64) - 1_000
    return given.select("row", at=place, symbol=pl.col("symbol").str.to_uppercase())


def _cashtags(frame: pl.DataFrame) -> pl.DataFrame:
    """Find `$AAPL`, `$BRK.B`, `$NAME(SH600519)$` and `SZ000858` in the texts."""
    tagged = frame.filter(pl.col("text").str.contains(r"\$|SH|SZ"))
    patterns = (CASHTAG, STOCK_LINK, A_SHARE)
    found = pl.concat(
        tagged.with_columns(tag=pl.col("text").str.extract_all(pattern))
        .filter(pl.col("tag").list.len() > 0)
        .explode("tag")
        for pattern in patterns
    )
    at = pl.col("text").str.find(pl.col("tag"), literal=True).cast(pl.Int64)
    return found.select("row", at=at, symbol=pl.col("tag").str.extract(SYMBOL_IN))


def _canonical(symbol: pl.Expr) -> pl.Expr:
    """Write a symbol as the gazetteer does: no exchange before it, 600519.SS and 0700.HK for Chinese shares."""
    return (
        symbol.str.strip_chars("$ ")
        .str.to_uppercase()
        .str.replace(r"^[A-Z]+:|\.US$", "")
        .str.replace(r"^SH(\d{6})$|^(\d{6})\.SH$", "$1$2.SS")
        .str.replace(r"^SZ(\d{6})$", "$1.SZ")
        .str.replace(r"^(?:HK)?0(\d{4})(?:\.HK)?$", "$1.HK")
    )


def _whole_words(texts: pl.Series, found: pl.DataFrame) -> pl.Series:
    """Say which finds stand as whole words: no letter or digit goes on before or after, but a CJK one may.

    Chinese is written without spaces, so a name in it needs no boundary, nor does a Latin name within Chinese.
    """
    arrow = texts.rechunk().to_arrow().cast(pa.large_string())
    starts = np.frombuffer(arrow.buffers()[1], dtype=np.int64)[arrow.offset :]
    # Two bytes of padding at either end stand for "no letter", so that the ends of the data need no care.
    data = np.concatenate(
        [np.zeros(2, np.uint8), np.frombuffer(arrow.buffers()[2] or b"", np.uint8), np.zeros(2, np.uint8)]
    )
    rows = found["row"].to_numpy()
    first, last = starts[rows], starts[rows + 1]
    begin, end = first + found["at"].to_numpy(), first + found["end"].to_numpy()
    cjk = _lead_is_cjk(data[begin + 2])
    before = (begin > first) & _letter_ends(data[begin], data[begin + 1])
    after = (end < last) & _letter_starts(data[end + 2])
    return pl.Series(cjk | ~(before | after))


def _is_word(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    digit = (byte >= ord("0")) & (byte <= ord("9"))
    letter = ((byte | 0x20) >= ord("a")) & ((byte | 0x20) <= ord("z"))
    word: npt.NDArray[np.bool_] = digit | letter | (byte == ord("_"))
    return word


def _lead_is_alphabetic(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Say which lead bytes begin a letter of U+00C0 to U+052F: accented Latin, Greek, Cyrillic."""
    return (byte >= 0xC3) & (byte <= 0xD4)


def _lead_is_cjk(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return byte >= 0xE3


def _letter_starts(byte: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return _is_word(byte) | _lead_is_alphabetic(byte)


def _letter_ends(second_last: npt.NDArray[np.uint8], last: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return _is_word(last) | ((last >= 0x80) & _lead_is_alphabetic(second_last))


def _lists(mentions: pl.DataFrame, rows: int) -> Found:
    """Gather mentions (row, at, mention, name, ticker) into one list of entities for each of `rows` posts.

    An entity's first spelling in the text counts, even if the source has given its ticker before.
    """
    entity = ["row", "name", "ticker"]
    spelt = pl.col("mention").filter(pl.col("mention") != "").first().over(entity).fill_null("")
    ordered = (
        mentions.sort("row", "at", maintain_order=True)
        .with_columns(mention=spelt)
        .unique(entity, keep="first", maintain_order=True)
        .filter(pl.int_range(pl.len()).over("row") < MAX_ENTITIES)
    )
    counts = np.bincount(ordered["row"].to_numpy(), minlength=rows) if len(ordered) else np.zeros(rows, np.int64)
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    columns = {name: ordered[name].to_arrow().cast(pa.string()) for name in ("name", "ticker", "mention")}
    entities = pa.StructArray.from_arrays([columns["name"], columns["ticker"]], fields=list(FOUND))
    return Found(pa.ListArray.from_arrays(ends, entities), pa.ListArray.from_arrays(ends, columns["mention"]))
