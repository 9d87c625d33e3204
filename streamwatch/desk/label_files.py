"""Labels out of files: CSV, JSON Lines and the JSON export of Label Studio, each label with the place where it stands.

A line of CSV or JSON Lines names the post (`post_id`) and what it is: either `task` and `gold_label` as in `label.v1`,
or one member a task (`sentiment`, `topic`, `intent`, in JSON Lines also `entities`, an object of entities and their
sentiments). `labeller`, `labelled_at` and `origin` may be left out, and the file's own are taken.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import msgspec

from streamwatch.desk.label_studio import TaskLabel, read_export
from streamwatch.errors import BadRecord
from streamwatch.jsonl import BadLine, parse_object, read_lines
from streamwatch.model.heads import HEADS, TASKS
from streamwatch.records import Label

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

FileFormat = Literal["csv", "jsonl", "label-studio"]
FORMAT_OF_SUFFIX: dict[str, FileFormat] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".json": "label-studio"}
DELIMITERS = ",;\t"
_FIELDS = ("post_id", "task", "gold_label", "entity", "labeller", "labelled_at", "origin")
_SHOWN_CHARS = 40


class FileLabel(NamedTuple):
    """A label, and the number of the line on which it stands, or of its task in an export; both from 1."""

    number: int
    label: Label


class LabelReader:
    """Read the labels of one file, and say of each bad line why it is bad.

    Args:
        labeller: Who labelled, where a line does not say.
        labelled_at: When, where a line does not say. The same for each reading of a file, so that reading it again
            gives the same labels.
        origin: Where the labels come from, where a line does not say.
        new_labels: Whether topics and intents may be other than those of the model: the desk's own.
    """

    def __init__(self, *, labeller: str, labelled_at: datetime, origin: str, new_labels: bool = False) -> None:
        self._given = {"labeller": labeller, "labelled_at": labelled_at, "origin": origin}
        self._new_labels = new_labels

    def read(self, file: BinaryIO, form: FileFormat) -> Iterator[FileLabel | BadLine]:
        """Yield each label of a file, and each line that holds none.

        Raises:
            BadRecord: The file as a whole is not of this format: the columns of a CSV, the JSON of an export.
        """
        if form == "csv":
            return self._rows(_csv_rows(file))
        if form == "jsonl":
            return self._rows(_json_rows(file))
        return self._tasks(file)

    def _rows(self, rows: Iterator[tuple[int, Mapping[str, Any] | BadLine]]) -> Iterator[FileLabel | BadLine]:
        for number, row in rows:
            if isinstance(row, BadLine):
                yield row
                continue
            try:
                found = [self.label(said) for said in _said(row)]
            except (BadRecord, msgspec.ValidationError) as error:
                yield BadLine(number, str(error), msgspec.json.encode(row, enc_hook=str))
            else:
                yield from (FileLabel(number, label) for label in found)

    def _tasks(self, file: BinaryIO) -> Iterator[FileLabel | BadLine]:
        for number, found in enumerate(read_export(file.read()), 1):
            for said in found:
                yield self._annotated(number, said)

    def _annotated(self, number: int, said: TaskLabel | BadLine) -> FileLabel | BadLine:
        if isinstance(said, BadLine):
            return said._replace(number=number)
        try:
            return FileLabel(number, self.label(said._asdict()))
        except (BadRecord, msgspec.ValidationError) as error:
            return BadLine(number, str(error), msgspec.json.encode(said._asdict()))

    def label(self, said: Mapping[str, Any]) -> Label:
        """Return the label of these members; what is empty counts as left out.

        Raises:
            BadRecord: Topic or intent are unknown.
            msgspec.ValidationError: It is not `label.v1`.
        """
        given = {name: value for name, value in said.items() if value not in (None, "")}
        label = msgspec.convert(self._given | given, Label)
        names = TASKS.get(label.task, ())
        if not self._new_labels and label.task != "entity" and label.gold_label not in names:
            message = f"{label.task} {label.gold_label!r}: expected {', '.join(names)}, or labels of your own allowed"
            raise BadRecord(message)
        return label


def format_of(name: str) -> FileFormat:
    """Return the format that a file's name tells.

    >>> format_of("labels.csv"), format_of("project-7-at-2026-01-05.json")
    ('csv', 'label-studio')

    Raises:
        BadRecord: It tells none.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        message = f"{name}: the name ends in {suffix or 'nothing'}, expected {', '.join(FORMAT_OF_SUFFIX)}"
        raise BadRecord(message)
    return FORMAT_OF_SUFFIX[suffix]


def _said(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a line says, a mapping for each label."""
    common = {name: row.get(name) for name in _FIELDS}
    if row.get("task") or row.get("gold_label"):
        return [common]
    found = [common | {"task": task, "gold_label": row[task]} for task in TASKS if row.get(task)]
    entities = row.get("entities") or {}
    if not isinstance(entities, Mapping):
        message = f"`entities`: found {str(entities)[:_SHOWN_CHARS]}, expected an object of entities and sentiments"
        raise BadRecord(message)
    found += [common | {"task": "entity", "entity": name, "gold_label": said} for name, said in entities.items()]
    if not found:
        message = f"no label: found neither `task` and `gold_label` nor any of {', '.join([*TASKS, 'entities'])}"
        raise BadRecord(message)
    return found


def _json_rows(file: BinaryIO) -> Iterator[tuple[int, Mapping[str, Any] | BadLine]]:
    for line in read_lines(file):
        try:
            members = parse_object(line)
            yield line.number, {name: msgspec.json.decode(raw) for name, raw in members.items()}
        except (BadRecord, msgspec.DecodeError, RecursionError) as error:
            yield line.number, BadLine(line.number, str(error), line.data)


def _csv_rows(file: BinaryIO) -> Iterator[tuple[int, Mapping[str, Any] | BadLine]]:
    """Yield the rows of a CSV with their lines; what is no UTF-8 comes through as a bad row."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        header = text.readline()
        delimiter = max(DELIMITERS, key=header.count)
        columns = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        _check_columns(columns)
        yield from _cells(csv.reader(text, delimiter=delimiter), columns)
    finally:
        text.detach()  # the file stays its owner's to close


def _cells(reader: CsvReader, columns: list[str]) -> Iterator[tuple[int, Mapping[str, Any] | BadLine]]:
    while True:
        number = reader.line_num + 2
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, BadLine(number, f"not CSV: {error}", b"")
            continue
        if any(cells):
            yield number, _csv_row(number, columns, cells)


def _csv_row(number: int, columns: list[str], cells: list[str]) -> Mapping[str, Any] | BadLine:
    content = ",".join(cells).encode(errors="surrogateescape")
    if len(cells) != len(columns):
        return BadLine(number, f"found {len(cells)} cells, expected {len(columns)} as in the first line", content)
    try:
        content.decode()
    except UnicodeDecodeError:
        return BadLine(number, "invalid UTF-8: save the file as UTF-8", content)
    return {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}


def _check_columns(columns: list[str]) -> None:
    known = {*_FIELDS, *HEADS}
    labelled = {"task", "gold_label"} <= set(columns) or any(task in columns for task in TASKS)
    if "post_id" not in columns or not labelled:
        found = ", ".join(sorted(known & set(columns))) or "none that is known"
        message = (
            f"the first line has the columns {found}; expected `post_id`, and `task` with `gold_label` "
            f"or any of {', '.join(TASKS)}"
        )
        raise BadRecord(message)
