"""Labelled texts in JSON Lines, several files as one set: each text once, with whatever is known of it.

Files label only some of the tasks, and a headline may stand in one with its sentiment and in another with that of
its companies. Three parts: `train`; `dev`, on which training stops and probabilities are calibrated; `validation`,
which nothing is chosen on. A text's part follows from a hash of its words alone, so copies of it with other links
stand in the same one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from streamwatch.errors import ModelError
from streamwatch.model.heads import TASKS
from streamwatch.model.tokenizer import simplified
from streamwatch.records import SENTIMENTS

Part = Literal["train", "dev", "validation"]
VALIDATION_PERCENT = 15
DEV_PERCENT = 5
OWN_SETS = "streamwatch_"
OWN_VALIDATION_PERCENT = 20
"""The project's own texts are few, so more of them are held back."""
OWN_FILES = ("chinese", "companies", "replies")
FILES = ("sentiment", "entity_sentiment", "topic", "intent")

_NOISE = re.compile(r"https?://\S+|[\W_]+")


class LabelledText(msgspec.Struct, frozen=True):
    """A line of a set; members that no task knows are ignored."""

    text: str
    parent: str = ""
    sentiment: str | None = None
    topic: str | None = None
    intent: str | None = None
    entities: dict[str, str] = {}
    lang: str = ""
    set: str = ""


class Span(NamedTuple):
    """Where an entity is named, in characters, and what is said of it: a place in `SENTIMENTS`."""

    start: int
    end: int
    sentiment: int


@dataclass(frozen=True)
class Example:
    """A text, simplified, with its classes by task and its entities, where it comes from, and its part.

    `parent` is the text that it answers; empty: none.
    """

    text: str
    lang: str
    set: str
    part: Part
    labels: dict[str, int] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    parent: str = ""

    @property
    def length(self) -> int:
        """Characters that are read, those of the parent included."""
        return len(self.text) + len(self.parent)


def training_files(data: Path) -> list[Path]:
    """Return the files of a folder that the shipped model learns from, and the project's own."""
    return [data / f"{name}.train.jsonl" for name in FILES] + own_files()


def own_files() -> list[Path]:
    """Return the files of texts that the project wrote itself."""
    folder = Path(str(resources.files("streamwatch.learn")))
    return [folder / f"{name}.jsonl" for name in OWN_FILES]


def read_examples(files: Iterable[Path]) -> list[Example]:
    """Read labelled texts; of a text that comes twice the labels are joined, the first of each task counts.

    Raises:
        ModelError: A file cannot be read, or holds a line without text or with an unknown label.
    """
    found: dict[tuple[str, str], Example] = {}
    for file in files:
        for number, line in enumerate(_lines(file), 1):
            if not line.strip():
                continue
            try:
                example = _example(msgspec.json.decode(line, type=LabelledText))
            except (msgspec.DecodeError, ValueError) as error:
                message = f"{file}:{number}: {error}"
                raise ModelError(message) from error
            key = example.text, example.parent
            known = found.get(key)
            found[key] = _joined(known, example) if known else example
    return list(found.values())


def part_of(text: str, validation_percent: int = VALIDATION_PERCENT) -> Part:
    """Return a text's part; it depends on its words alone, so it holds in every set.

    >>> part_of("Apple  up! https://t.co/a") == part_of("apple up https://t.co/b")
    True
    >>> from collections import Counter
    >>> Counter(part_of(f"text {i}") for i in range(1000)).most_common()
    [('train', 801), ('validation', 135), ('dev', 64)]
    """
    essence = _NOISE.sub(" ", text.casefold()).strip() or text
    percent = int.from_bytes(hashlib.sha256(essence.encode()).digest()[:4], "big") % 100
    if percent < validation_percent:
        return "validation"
    return "dev" if percent < validation_percent + DEV_PERCENT else "train"


def part_in_set(text: str, parent: str, name: str) -> Part:
    """Return the part of a text that answers `parent` and stands in the set `name`."""
    return part_of(f"{text} {parent}", OWN_VALIDATION_PERCENT if name.startswith(OWN_SETS) else VALIDATION_PERCENT)


def _example(row: LabelledText) -> Example:
    text = simplified(row.text)
    labels = {task: _place(names, getattr(row, task)) for task, names in TASKS.items() if getattr(row, task)}
    named = [(simplified(name), _place(SENTIMENTS, said)) for name, said in row.entities.items()]
    spans = [(text.find(name), name, said) for name, said in named]
    if not labels and not spans:
        message = f"no label: a line has one of {', '.join([*TASKS, 'entities'])}"
        raise ValueError(message)
    return Example(
        text,
        row.lang,
        row.set,
        part_in_set(row.text, row.parent, row.set),
        labels,
        tuple(Span(at, at + len(name), said) for at, name, said in spans if at >= 0),
        simplified(row.parent),
    )


def _place(names: Sequence[str], label: str) -> int:
    if label not in names:
        message = f"found the label {label!r}, expected one of {', '.join(names)}"
        raise ValueError(message)
    return names.index(label)


def _joined(known: Example, more: Example) -> Example:
    labels = more.labels | known.labels
    return replace(known, labels=labels, spans=known.spans or more.spans)


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise ModelError(message) from error
