"""What `streamwatch backtest` prints."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer

from streamwatch.cli.options import Format
from streamwatch.cli.output import cell, emit, emit_json, note
from streamwatch.watch.episodes import KINDS

if TYPE_CHECKING:
    from streamwatch.store.trial import Trial
    from streamwatch.watch.episodes import Change

COLUMNS = ("change", "monitor", "group", "severity", "fired", "minutes", "seen", "expected")
BEFORE = ("severity_before", "fired_before", "ended_before", "fingerprint_before")
MORE_COLUMNS = ("surprise", "onset", "ended", "fingerprint", *BEFORE)


def show(trial: Trial, output: Format) -> None:
    """Print a trial: for people what changes, counts by monitor and a summary; for programs all of it."""
    if output is Format.json:
        emit_json(_document(trial))
    elif output is Format.csv:
        emit([_row(change) for change in trial.changes], COLUMNS + MORE_COLUMNS, output)
    else:
        if changed := [_shown(change) for change in trial.changes if change.kind != "same"]:
            emit(changed, COLUMNS, output)
        counts = _counts(trial)
        emit(counts, list(counts[0]), output)
        typer.echo(_summary(trial))
        note(_about(trial))


def _row(change: Change) -> dict[str, Any]:
    before, after, found = change.before, change.after, change.episode
    return {
        "change": change.kind,
        "monitor": found.monitor,
        "group": found.group,
        "severity": after.severity if after else None,
        "fired": after.fired_at if after else None,
        "minutes": change.minutes if before and after else None,
        "seen": found.seen,
        "expected": found.expected,
        "surprise": found.surprise,
        "onset": found.onset,
        "ended": after.ended_at if after else None,
        "fingerprint": after.fingerprint if after else None,
        "severity_before": before.severity if before else None,
        "fired_before": before.fired_at if before else None,
        "ended_before": before.ended_at if before else None,
        "fingerprint_before": before.fingerprint if before else None,
    }


def _shown(change: Change) -> dict[str, Any]:
    """Return a row for people: in one cell what the severity was and is; of what is gone, when it fired before."""
    row = _row(change)
    severities = dict.fromkeys(severity for severity in (row["severity_before"], row["severity"]) if severity)
    return row | {"severity": " → ".join(severities), "fired": row["fired"] or row["fired_before"]}


def _counts(trial: Trial) -> list[dict[str, Any]]:
    """Return a row for each monitor of either file; one that a file lacks has no count there."""
    before, after = ([rule.name for rule in file.monitors] for file in (trial.current, trial.changed))
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys([*after, *before]):
        mine = [change for change in trial.changes if change.episode.monitor == name]
        kinds = Counter(change.kind for change in mine)
        told: dict[str, int | None] = {
            "before": len(mine) - kinds["new"] if name in before else None,
            "after": len(mine) - kinds["gone"] if name in after else None,
        }
        rows.append({"monitor": name} | told | {str(kind): kinds[kind] for kind in KINDS})
    return rows


def _totals(trial: Trial) -> dict[str, int]:
    counts = _counts(trial)
    return {name: sum(row[name] or 0 for row in counts) for name in counts[0] if name != "monitor"}


def _summary(trial: Trial) -> str:
    totals = _totals(trial)
    words = {"severity": "of another severity", "same": "the same"}
    kinds = ", ".join(f"{totals[kind]:,} {words.get(kind, kind)}" for kind in KINDS)
    return f"{totals['before']:,} alerts before, {totals['after']:,} after: {kinds}"


def _about(trial: Trial) -> str:
    watched = f"{trial.posts:,} posts watched, from {cell(trial.first_post)} to {cell(trial.end)} UTC"
    if trial.start is None:
        return f"{watched}; without --from the first alerts rest on baselines that know little"
    if trial.is_warm:
        return f"{watched}; the baselines were warm at {cell(trial.start)}"
    need, have = (span / timedelta(days=1) for span in (trial.warm_up, trial.start - trial.first_post))
    known = f"the baselines would need {need:.0f} days before --from, and have {max(have, 0):.1f}"
    return f"{watched}; {known}: other alerts may come than with more"


def _document(trial: Trial) -> dict[str, Any]:
    return {
        "from": trial.start,
        "to": trial.end,
        "posts": trial.posts,
        "first_post": trial.first_post,
        "warm_up_s": trial.warm_up.total_seconds(),
        "is_warm": trial.is_warm,
        "monitors_hash": trial.changed.hash,
        "monitors_hash_before": trial.current.hash,
        "summary": _totals(trial),
        "monitors": _counts(trial),
        "changes": [_row(change) for change in trial.changes],
    }
