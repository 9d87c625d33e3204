"""Labelled sets in JSON Lines: one text and one label a line, split by a hash of the text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamwatch.errors import ModelError
from streamwatch.model.heads import TASKS

VALIDATION_PERCENT = 15


class LabelledText(msgspec.Struct, frozen=True):
    """A line of a set: the label stands in the member that is named like the task."""

    text: str
    sentiment: str | None = None
    topic: str | None = None
    intent: str | None = None
    lang: str = ""
    set: str = ""


class LabelledSet(NamedTuple):
    """Texts with their classes, and which rows are kept for validation."""

    task: str
    texts: list[str]
    gold: NDArray[np.intp]
    validation: NDArray[np.bool_]
    langs: NDArray[np.str_]


def read_set(task: str, files: Iterable[Path]) -> LabelledSet:
    """Read the labelled texts of one task; a text that comes twice counts once.

    Raises:
        ModelError: A file cannot be read, or holds a line without text or with an unknown label.
    """
    rows: dict[str, tuple[int, str]] = {}
    for file in files:
        for number, line in enumerate(_lines(file), 1):
            place = f"{file}:{number}"
            try:
                row = msgspec.json.decode(line, type=LabelledText)
                rows.setdefault(row.text, (TASKS[task].index(getattr(row, task)), row.lang))
            except (msgspec.DecodeError, ValueError) as error:
                message = f"{place}: no text labelled with one of {', '.join(TASKS[task])}: {error}"
                raise ModelError(message) from error
    texts = list(rows)
    gold = np.array([label for label, _ in rows.values()], np.intp)
    validation = np.array([is_validation(text) for text in texts], np.bool_)
    return LabelledSet(task, texts, gold, validation, np.array([lang for _, lang in rows.values()]))


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise ModelError(message) from error


def is_validation(text: str) -> bool:
    """Say whether a text is kept for validation: it depends on the text alone, so it holds in every set.

    >>> sum(is_validation(f"text {i}") for i in range(1000))
    135
    """
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < VALIDATION_PERCENT
