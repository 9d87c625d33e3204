"""Structured logs: one line an event, its fields as `key=value` or as JSON.

Whatever a call gives as `extra` becomes a field, so a message names what happened and the fields say where:
`log.warning("dead letter", extra={"stream": name, "partition": 3, "offset": 17})`.
"""

from __future__ import annotations

import json as json_text
import logging
from datetime import UTC, datetime
from typing import TextIO

OURS = ("streamwatch", "jobs", "serve")
"""Our own loggers. The rest (Kafka's and Ray's clients) speak from WARNING on."""
CHATTY = ("kafka.net.selector", "kafka.coordinator.consumer")
"""These warn of what is as it should be; they speak from ERROR on."""

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class KeyValueFormatter(logging.Formatter):
    """Write a record as time, level, logger, message and its fields.

    >>> record = logging.LogRecord("jobs.score", logging.INFO, "", 0, "committed", None, None)
    >>> record.__dict__ |= {"created": 0.0, "stream": "streamwatch.posts", "partition": 3, "reason": "no value"}
    >>> KeyValueFormatter().format(record)
    '1970-01-01T00:00:00.000Z INFO jobs.score committed stream=streamwatch.posts partition=3 reason="no value"'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, a traceback below it."""
        parts = [_instant(record), record.levelname, record.name, _one_line(record.getMessage())]
        parts += [f"{name}={_quoted(value)}" for name, value in _fields(record).items()]
        if record.exc_info:
            parts.append("\n" + self.formatException(record.exc_info))
        return " ".join(parts)


class JsonFormatter(logging.Formatter):
    """Write a record as one JSON object.

    >>> record = logging.LogRecord("jobs", logging.INFO, "", 0, "committed", None, None)
    >>> record.__dict__ |= {"created": 0.0, "partition": 3}
    >>> JsonFormatter().format(record)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "INFO", "logger": "jobs", "event": "committed", "partition": 3}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, its traceback in `exception`."""
        entry: dict[str, object] = {
            "time": _instant(record),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry |= _fields(record)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json_text.dumps(entry, default=str, ensure_ascii=False)


def configure_logging(stream: TextIO | None = None, json: bool = False, *, level: int = logging.INFO) -> None:
    """Send every log of this process to `stream`; calling it again replaces what it set before.

    Args:
        stream: Where the lines go; none: stderr.
        json: JSON objects in place of `key=value`.
        level: Least level of our own loggers.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if json else KeyValueFormatter())
    remove_logging()
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in OURS:
        logging.getLogger(name).setLevel(level)


def remove_logging() -> None:
    """Send logs nowhere any more that `configure_logging` sent somewhere."""
    root = logging.getLogger()
    for handler in [old for old in root.handlers if isinstance(old.formatter, KeyValueFormatter | JsonFormatter)]:
        root.removeHandler(handler)


def _instant(record: logging.LogRecord) -> str:
    stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN and name[0] != "_"}


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _quoted(value: object) -> str:
    text = str(value)
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json_text.dumps(text, ensure_ascii=False)
