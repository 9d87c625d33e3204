"""How `streamwatch eval` shows what it measured: tables of at most 80 columns, one JSON object, or long CSV."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from streamwatch.cli.options import Format
from streamwatch.cli.output import emit, emit_json, emit_record
from streamwatch.learn.evaluate import most_confused

HEADLINE = ("rows", "accuracy", "macro_f1", "calibration_error", "log_loss")
MATRIX_CLASSES = 8
"""With more classes than this the matrix does not fit a terminal, and its most frequent confusions stand for it."""
CONFUSIONS = 20
GROUPS = 20
GROUP_CHARS = 24
Measured = dict[str, Any]
"""From `evaluate.evaluation`, with what was measured."""


def show(found: Measured, output: Format) -> None:
    """Print what was measured on stdout."""
    if output is Format.json:
        emit_json(found)
    elif output is Format.csv:
        emit(list(_long(found)), ("section", "name", "figure", "value"), output)
    else:
        _tables(found)


def _long(found: Measured) -> Iterator[dict[str, Any]]:
    """Yield every figure as a row of its own: it is one table for a spreadsheet to filter and to pivot."""
    for figure in HEADLINE:
        yield _row("all", "", figure, found[figure])
    for label, figures in found["classes"].items():
        yield from (_row("class", label, figure, value) for figure, value in figures.items())
    labels = found["confusion"]["labels"]
    for label, counts in zip(labels, found["confusion"]["counts"], strict=True):
        yield from (_row("confusion", label, other, count) for other, count in zip(labels, counts, strict=True))
    for way, groups in found["by"].items():
        for name, figures in groups.items():
            yield from (_row(way, name, figure, value) for figure, value in figures.items())


def _row(section: str, name: str, figure: str, value: float) -> dict[str, Any]:
    return {"section": section, "name": name, "figure": figure, "value": value}


def _tables(found: Measured) -> None:
    single = {name: value for name, value in found.items() if not isinstance(value, dict) and value is not None}
    emit_record({name: _decimals(value) for name, value in single.items()}, Format.table)
    _table("Classes", ({"class": label, **figures} for label, figures in found["classes"].items()))
    _confusion(found["confusion"]["labels"], np.array(found["confusion"]["counts"]))
    for way, groups in found["by"].items():
        rows = [_group_row(way, name, figures) for name, figures in groups.items()]
        more = f", the {GROUPS} largest of {len(rows):,}" if len(rows) > GROUPS else ""
        _table(f"By {way}{more}", rows[:GROUPS])


def _group_row(way: str, name: str, figures: dict[str, Any]) -> dict[str, Any]:
    short = name if len(name) <= GROUP_CHARS else f"{name[: GROUP_CHARS - 1]}…"
    return {way: short, **{figure.removesuffix("_error"): value for figure, value in figures.items()}}


def _confusion(labels: list[str], counts: np.ndarray[Any, Any]) -> None:
    if len(labels) <= MATRIX_CLASSES:
        rows = [
            {"": label, **dict(zip(labels, row, strict=True))}
            for label, row in zip(labels, counts.tolist(), strict=True)
        ]
        _table("Confusion: a row for each gold label, a column for each predicted one", rows)
        return
    confused = [pair._asdict() for pair in most_confused(counts, labels, CONFUSIONS)]
    wrong = int(counts.sum() - np.trace(counts))
    shown = sum(pair["rows"] for pair in confused)
    _table(f"Confusions: {shown:,} of {wrong:,}; share is that of the gold label's rows", confused)


def _table(title: str, rows: Iterable[dict[str, Any]]) -> None:
    shown = [{name: _decimals(value) for name, value in row.items()} for row in rows]
    if shown:
        sys.stdout.write(f"\n{title}\n")
        emit(shown, list(shown[0]), Format.table)


def _decimals(value: object) -> object:
    """Return a figure with as many decimals as its neighbours; a count stays a number.

    >>> _decimals(0.9), _decimals(12)
    ('0.9000', 12)
    """
    return f"{value:.4f}" if isinstance(value, float) else value
