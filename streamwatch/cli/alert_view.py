"""An alert as lines for people: what was seen, why it matters, what drove it, and what it was computed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamwatch.cli.output import cell, printable
from streamwatch.records import Alert, CurvePoint, EvidencePost

BARS = "▁▂▃▄▅▆▇█"
MOST_POINTS = 60


def alert_lines(alert: Alert) -> list[str]:
    """Return an alert as lines, with its evidence."""
    facts = list(_facts(alert))
    width = max(len(name) for name, _ in facts)
    brief = [f"  {printable(alert.brief.en)}"] if alert.brief.en else []
    return [
        f"{alert.severity.upper()} {printable(alert.group)}: {printable(alert.monitor)} "
        f"({alert.status}, {alert.corroboration})",
        *brief,
        *(f"  {name:<{width}}  {printable(text)}" for name, text in facts),
        "  evidence",
        *map(_evidence_line, alert.evidence),
    ]


def _facts(alert: Alert) -> Iterator[tuple[str, str]]:
    """Yield names and texts; what an alert does not have is left out."""
    ended = f"ended {cell(alert.ended_at)}" if alert.ended_at else "still open"
    yield "onset", f"{cell(alert.onset)} UTC, {ended}"
    yield (
        "last window",
        (f"{cell(alert.window_start)} to {cell(alert.window_end)}: {alert.negative} of {alert.count} posts negative"),
    )
    yield alert.measure, f"{cell(alert.seen)} seen, {cell(alert.expected)} expected, surprise {cell(alert.surprise)}"
    yield from _curve(alert.curve)
    if alert.reasons:
        yield "severity", f"{alert.severity}: {' '.join(alert.reasons)}"
    if alert.spread.sampled:
        yield "told by", _spread(alert)
    if alert.incident:
        yield "incident", ", with ".join([alert.incident, *([", ".join(alert.related)] if alert.related else [])])
    if alert.muted_by:
        yield "muted", f"by {alert.muted_by!r}: recorded, not posted"
    if alert.volumes:
        yield "posts in", "  ".join(f"{span} {posts:,}" for span, posts in alert.volumes.items())
    if alert.phrases:
        yield (
            "phrases",
            "; ".join(
                f"{found.phrase} ({found.posts} posts, {cell(found.expected)} expected)" for found in alert.phrases
            ),
        )
    if alert.entities:
        yield (
            "also named",
            "; ".join(f"{found.entity} ({found.posts} posts, {found.negative} negative)" for found in alert.entities),
        )
    yield from alert.annotations.items()
    yield from _provenance(alert)


def _curve(curve: Sequence[CurvePoint]) -> Iterator[tuple[str, str]]:
    if len(curve) < 2:  # noqa: PLR2004
        return
    points = curve[-MOST_POINTS:]
    expected = [point.expected for point in points]
    values = [point.seen for point in points] + [value for value in expected if value is not None]
    low, high = min([0.0, *values]), max(values)
    since = f"{cell(points[0].window_end)} to {cell(points[-1].window_end)}"
    yield "seen", f"{bars([point.seen for point in points], low, high)}  {since}"
    yield "expected", f"{bars(expected, low, high)}  to the same scale, {cell(low)} to {cell(high)}"


def bars(values: Sequence[float | None], low: float, high: float) -> str:
    """Return values as bars between two bounds; a value that is not known is a blank.

    >>> bars([0.0, None, 5.0, 10.0], 0.0, 10.0)
    '▁ ▅█'
    """
    unit = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else BARS[int((value - low) * unit + 0.5)] for value in values)


def _spread(alert: Alert) -> str:
    spread = alert.spread
    told = (
        f"{spread.voices} independent voices, {spread.sources} sources; {spread.stories} stories in "
        f"{spread.sampled} posts, the largest {spread.largest_story}"
    )
    return f"{told}; {spread.denials} voices deny it" if spread.denials else told


def _provenance(alert: Alert) -> Iterator[tuple[str, str]]:
    origin = alert.provenance
    offsets = ", ".join(f"{partition}: {offset:,}" for partition, offset in origin.source_offsets.items())
    yield "model", f"{origin.model_version}, monitors {origin.monitors_hash[:12]}"
    yield "computed from", f"source offsets up to {offsets or 'none'}; watermark {cell(origin.watermark)} UTC"
    yield "fingerprint", f"{alert.fingerprint}: `streamwatch prove {alert.fingerprint[:8]}` checks it"


def _evidence_line(post: EvidencePost) -> str:
    source, text = printable(post.source), printable(post.text)
    copies = f"  {post.copies} copies" if post.copies > 1 else ""
    return f"    {cell(post.published_at)}  {source}  negative {post.negative_prob:.2f}{copies}  {text}"
