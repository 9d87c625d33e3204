"""SQL over the tables, for reading only."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import polars as pl
from polars.exceptions import ColumnNotFoundError, PanicException, PolarsError

from streamwatch.errors import StoreError

_LEADING = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
_FILE_FUNCTION = re.compile(r"\b(?:read|scan)_\w+", re.IGNORECASE)


def run_query(sql: str, tables: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Answer one SELECT, in the SQL of Polars.

    >>> run_query("SELECT max(count) AS most FROM windows", {"windows": pl.LazyFrame({"count": [3, 5]})}).item()
    5

    Raises:
        StoreError: The statement does not only read these tables, is wrong, or names an unknown table or column.
    """
    _check_reads_only(sql)
    context = pl.SQLContext(tables, register_globals=False)
    try:
        return context.execute(sql, eager=False).collect()
    except ColumnNotFoundError as error:
        raise StoreError(_unknown_column(str(error), tables)) from error
    except (PolarsError, PanicException, OSError, ValueError, TypeError) as error:
        raise StoreError(_explained(str(error), tables)) from error


def _check_reads_only(sql: str) -> None:
    """Refuse what does more than read the tables; Polars SQL would read any file through `read_csv` and its kin.

    The functions are looked for in the whole text, strings and comments too: no way of quoting slips through.
    """
    start = _LEADING.match(sql)
    first = re.match(r"\w*", sql[start.end() if start else 0 :])
    word = first.group().upper() if first else ""
    if word not in ("SELECT", "WITH"):
        message = f"only SELECT and WITH ... SELECT are allowed, this begins with {word or 'nothing'}"
        raise StoreError(message)
    found = _FILE_FUNCTION.search(sql)
    if found:
        message = f"{found.group()} is not allowed: only the tables can be read"
        raise StoreError(message)


def _unknown_column(reason: str, tables: Mapping[str, pl.LazyFrame]) -> str:
    quoted = re.search(r'"([^"]+)"', reason)
    name = quoted.group(1) if quoted else reason
    columns = {table: frame.collect_schema().names() for table, frame in tables.items()}
    every = sorted({column for names in columns.values() for column in names})
    near = difflib.get_close_matches(name, every, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    listed = "; ".join(f"{table}: {', '.join(names)}" for table, names in columns.items())
    return f"unknown column {name!r}: {hint}Columns of {listed}"


def _explained(reason: str, tables: Mapping[str, pl.LazyFrame]) -> str:
    line = reason.split("\n", 1)[0]
    missing = re.search(r"relation '([^']*)' was not found", line)
    if missing:
        return f"unknown table {missing.group(1)!r}: there are {', '.join(tables)}"
    return line
