"""Read a file of labelled texts for one task, and let the scorer say what it makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamwatch.errors import BadRecord
from streamwatch.ingest.masking import mask_text
from streamwatch.jsonl import Line, parse_object
from streamwatch.learn.examples import part_in_set
from streamwatch.model.heads import ENTITY, HEADS
from streamwatch.model.tokenizer import simplified
from streamwatch.records import MAX_TEXT_CHARS

if TYPE_CHECKING:
    from streamwatch.model.scorer import Scorer

CHUNK_TEXTS = 256
SHOWN_CHARS = 40
EXPECTED: dict[Any, str] = {str: "a string", dict[str, str]: "an object of names and labels"}


class GoldText(NamedTuple):
    """A text with what a person says of it: one class of the task, or one for each entity that is named.

    Attributes:
        text: As it stands in the file.
        classes: Places of the labels among those of the task.
        mentions: For the task `entity`, how each entity is spelt.
        parent: The text that it answers; empty where it answers none.
        lang: Empty where the line has none; so are the next two.
        set: The set that it comes from.
        source: Who published it.
        part: The part in which training has it.
    """

    text: str
    classes: tuple[int, ...]
    mentions: tuple[str, ...]
    parent: str
    lang: str
    set: str
    source: str
    part: str

    @property
    def verdicts(self) -> str:
        """Whether its entities are judged alike."""
        return "mixed" if len(set(self.classes)) > 1 else "alike"


class Predictions(NamedTuple):
    """Probabilities of each class, `(labels, classes)`, and how many entities did not stand in their texts."""

    probabilities: NDArray[np.float32]
    not_in_text: int


def gold_text(line: Line, task: str) -> GoldText:
    """Read a labelled line; members of other tasks are not looked at.

    Raises:
        BadRecord: It is not JSON, or lacks text or label, or the label is unknown.

    >>> gold_text(Line(1, b'{"text": "Shares fall", "sentiment": "negative", "lang": "en"}'), "sentiment").classes
    (0,)
    """
    fields = parse_object(line)
    text = _member(fields, "text", str)
    if not text.strip():
        message = "`text`: found nothing but blanks, expected a text"
        raise BadRecord(message)
    if task == ENTITY:
        said: dict[str, str] = _member(fields, "entities", dict[str, str])
        mentions, labels = tuple(map(simplified, said)), list(said.values())
    else:
        mentions, labels = (), [_member(fields, task, str)]
    if not labels or "" in mentions:
        message = f"`entities`: found {'an empty name' if labels else 'none'}, expected {EXPECTED[dict[str, str]]}"
        raise BadRecord(message)
    classes = tuple(_place(label, task) for label in labels)
    parent, lang, name, source = (_optional(fields, key) for key in ("parent", "lang", "set", "source"))
    return GoldText(text, classes, mentions, parent, lang, name, source, part_in_set(text, parent, name))


def predictions(texts: Sequence[GoldText], task: str, scorer: Scorer) -> Iterator[Predictions]:
    """Yield what the model says, a chunk of the texts at a time.

    It reads what it reads in the stream: the masked text. An entity that does not stand there has its text's own
    sentiment, as in the stream.
    """
    for start in range(0, len(texts), CHUNK_TEXTS):
        chunk = texts[start : start + CHUNK_TEXTS]
        masked, parents = (
            mask_text(pa.array([text[:MAX_TEXT_CHARS] for text in texts], pa.string()))
            for texts in ([gold.text for gold in chunk], [gold.parent for gold in chunk])
        )
        scores = scorer.predict(masked, [gold.mentions for gold in chunk], parents)
        if task != ENTITY:
            yield Predictions(scores.probabilities(task), 0)
            continue
        read = map(simplified, masked.to_pylist())
        absent = sum(name not in text for gold, text in zip(chunk, read, strict=True) for name in gold.mentions)
        yield Predictions(np.stack([found for row in scores.entities for found in row]), absent)


def _member(fields: Mapping[str, msgspec.Raw], name: str, kind: Any) -> Any:
    raw = fields.get(name)
    if raw is None or bytes(raw) == b"null":
        message = f"`{name}`: found none, expected {EXPECTED[kind]}"
        raise BadRecord(message)
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = bytes(raw).decode()
        found = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}..."
        message = f"`{name}`: found {found}, expected {EXPECTED[kind]}"
        raise BadRecord(message) from error


def _optional(fields: Mapping[str, msgspec.Raw], name: str) -> str:
    absent = name not in fields or bytes(fields[name]) == b"null"
    return "" if absent else str(_member(fields, name, str))


def _place(label: str, task: str) -> int:
    names = HEADS[task]
    if label not in names:
        message = f"found the label {label!r}, expected one of {', '.join(names)}"
        raise BadRecord(message)
    return names.index(label)
