"""Score the lines of a JSON Lines file, a chunk at a time, so that a file may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from streamwatch.errors import BadRecord
from streamwatch.ingest.masking import mask_text
from streamwatch.jsonl import BadLine, Line, parse_object
from streamwatch.records import INTENTS, MAX_TEXT_CHARS, SENTIMENTS, TOPICS

if TYPE_CHECKING:
    from streamwatch.model.scorer import Scorer
    from streamwatch.model.scores import Scores

CHUNK_LINES = 1_024
CHUNK_BYTES = 32 * 1024 * 1024
HEADS = {"sentiment": SENTIMENTS, "topic": TOPICS, "intent": INTENTS}
ADDED = (*HEADS, *(f"{head}_probs" for head in HEADS))
PROB_DECIMALS = 6

_STRING = msgspec.json.Decoder(str)


class ScoredChunk(NamedTuple):
    """What came of a chunk of lines: those with scores, as JSON Lines, and those that cannot be used."""

    data: bytes
    posts: int
    replaced: int
    bad: list[BadLine]


class _Parsed(NamedTuple):
    fields: dict[str, msgspec.Raw]
    text: str
    parent: str


def chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Cut lines into chunks of at most `CHUNK_LINES` lines, and of `CHUNK_BYTES` where lines are long."""
    chunk: list[Line] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line.data)
        if len(chunk) == CHUNK_LINES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def score_chunk(lines: Sequence[Line], scorer: Scorer) -> ScoredChunk:
    """Add scores to lines: their own members stay as they stand there, to the digit, and in order.

    A member of the same name as an added one is replaced. The model reads what it reads in the stream: the masked
    text, up to the length that a post may have.
    """
    good: list[_Parsed] = []
    bad: list[BadLine] = []
    for line in lines:
        try:
            good.append(_parse(line))
        except BadRecord as error:
            bad.append(BadLine(line.number, str(error), line.data))
    if not good:
        return ScoredChunk(b"", 0, 0, bad)
    texts, parents = (
        mask_text(pa.array([text[:MAX_TEXT_CHARS] for text in column], pa.string()))
        for column in ([parsed.text for parsed in good], [parsed.parent for parsed in good])
    )
    added = _added(scorer.predict(texts, parents=parents))
    rows = [{**parsed.fields, **scores} for parsed, scores in zip(good, added, strict=True)]
    replaced = sum(any(name in parsed.fields for name in ADDED) for parsed in good)
    return ScoredChunk(msgspec.json.Encoder().encode_lines(rows), len(good), replaced, bad)


def _parse(line: Line) -> _Parsed:
    fields = parse_object(line)
    if "text" not in fields:
        message = "no `text`"
        raise BadRecord(message)
    text = _string(fields, "text")
    if not text.strip():
        message = "`text` is empty"
        raise BadRecord(message)
    return _Parsed(fields, text, _string(fields, "parent") if "parent" in fields else "")


def _string(fields: dict[str, msgspec.Raw], name: str) -> str:
    try:
        return _STRING.decode(fields[name])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"`{name}` is no string: {error}"
        raise BadRecord(message) from error


def _added(scores: Scores) -> list[dict[str, Any]]:
    """Return for each text what its line gains: three labels, and three maps from label to probability."""
    columns = scores.columns()
    labels = {head: columns[head].to_pylist() for head in HEADS}
    maps = {f"{head}_probs": _maps(columns[f"{head}_probs"], names) for head, names in HEADS.items()}
    members = labels | maps
    return [dict(zip(members, row, strict=True)) for row in zip(*members.values(), strict=True)]


def _maps(vectors: pa.ListArray, names: Sequence[str]) -> list[dict[str, float]]:
    matrix = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, len(names))
    rounded = np.round(matrix.astype(np.float64), PROB_DECIMALS).tolist()
    return [dict(zip(names, row, strict=True)) for row in rounded]
