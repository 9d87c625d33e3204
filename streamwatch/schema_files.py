"""The files in `schemas/`: JSON Schemas made from the records, one example in each.

After a change of `records.py`, write them again:
`python -c "from streamwatch.schema_files import write_schemas; write_schemas('schemas')"`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from streamwatch.records import (
    RECORDS,
    Alert,
    Brief,
    CurvePoint,
    EntityCount,
    EvidencePost,
    Label,
    Phrase,
    Post,
    Provenance,
    Spread,
    Window,
    json_schema,
)

EXAMPLES: dict[str, msgspec.Struct] = {
    "post.v1": Post(
        id="wire-20260105-0042",
        source="wire",
        published_at=datetime(2026, 1, 5, 14, 31, 7, tzinfo=UTC),
        text="$AAPL halts shipments after battery fires, shares slide",
        lang="en",
        url="https://wire.example/20260105/42",
        author="newsdesk",
        tickers=["AAPL"],
    ),
    "label.v1": Label(
        post_id="wire-20260105-0042",
        task="sentiment",
        gold_label="negative",
        labeller="ann",
        labelled_at=datetime(2026, 1, 5, 15, 2, tzinfo=UTC),
        origin="dashboard",
    ),
    "window.v1": Window(
        monitor="negative-surge",
        group="AAPL",
        window_start=datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
        window_end=datetime(2026, 1, 5, 14, 45, tzinfo=UTC),
        count=52,
        negative=41,
        measure=0.79,
        expected=0.22,
        surprise=15.3,
    ),
    "alert.v1": Alert(
        fingerprint="8c1f0a63d27be954",
        monitor="negative-surge",
        group="AAPL",
        group_by="entity",
        severity="page",
        status="firing",
        onset=datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
        window_start=datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
        window_end=datetime(2026, 1, 5, 14, 45, tzinfo=UTC),
        updated_at=datetime(2026, 1, 5, 14, 45, tzinfo=UTC),
        ended_at=None,
        measure="negative_share",
        seen=0.79,
        expected=0.22,
        surprise=15.3,
        count=52,
        negative=41,
        evidence=[
            EvidencePost(
                id="wire-20260105-0042",
                source="wire",
                published_at=datetime(2026, 1, 5, 14, 31, 7, tzinfo=UTC),
                text="$AAPL halts shipments after battery fires, shares slide",
                sentiment="negative",
                negative_prob=0.97,
                author="1f0c8d3e5a7b9240",
                lang="en",
                cluster="3b7e19d0c4a5f682",
                copies=9,
            )
        ],
        annotations={"summary": "Negative posts about AAPL surge"},
        provenance=Provenance(
            model_version="e5-small-heads-1",
            monitors_hash="5f0c2b",
            watermark=datetime(2026, 1, 5, 14, 45, tzinfo=UTC),
            source_offsets={"0": 1_203, "1": 1_187},
        ),
        corroboration="corroborated",
        reasons=["7 independent voices report it."],
        spread=Spread(sampled=41, stories=12, largest_story=9, sources=4, voices=7, novel=19.4, denials=0),
        phrases=[Phrase(phrase="battery fires", posts=23, expected=0.4, z=2.9)],
        curve=[CurvePoint(window_end=datetime(2026, 1, 5, 14, 45, tzinfo=UTC), seen=0.79, expected=0.22)],
        entities=[EntityCount(entity="TSM", posts=6, negative=4)],
        volumes={"12h": 131, "24h": 204, "3d": 466, "7d": 1_020},
        brief=Brief(
            en="AAPL: 79% of 52 posts negative in the 15 minutes to 14:45 UTC on 5 January, against 22% expected. "
            "Corroborated: 7 independent voices in 12 different stories, from 4 sources. "
            "New in the posts: “battery fires”; also named: TSM (6).",
            zh="AAPL：截至1月5日14:45（UTC）的15分钟内，52条帖子中79%为负面，预期22%。"
            "已获印证：7个独立信源、12种不同说法，来自4个平台或媒体。"
            "新出现的说法：“battery fires”；同时提及：TSM（6）。",
        ),
        incident="AAPL",
        related=["0d4f7a1b92c38e65"],
    ),
}


def schema_text(name: str) -> str:
    """Return the file of one record's JSON Schema.

    >>> schema_text("label.v1").splitlines()[2]
    '  "$id": "label.v1.json",'
    """
    schema = json_schema(name) | {"examples": [msgspec.to_builtins(EXAMPLES[name])]}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: str | Path) -> None:
    """Write the JSON Schema of every record as `<folder>/<name>.json`."""
    for name in RECORDS:
        Path(folder, f"{name}.json").write_text(schema_text(name), encoding="utf-8")
