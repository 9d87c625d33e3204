"""The process of one back-test: a `TrialJob` as JSON on standard input, a `TrialAnswer` on standard output."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import Any

import msgspec

from streamwatch.desk.monitor_files import read_monitors
from streamwatch.desk.trials import TrialAnswer, TrialJob
from streamwatch.errors import StreamwatchError
from streamwatch.store.tables import Tables
from streamwatch.store.trial import Trial, try_monitors
from streamwatch.watch.episodes import KINDS

NICE = 10


def tried(job: TrialJob) -> TrialAnswer:
    """Run a trial."""
    try:
        changed, current = read_monitors(job.changed), read_monitors(job.current)
        tables = Tables(job.store_url)
        return TrialAnswer(
            found=_found(try_monitors(tables, changed, current, job.watch, start=job.start, end=job.end))
        )
    except StreamwatchError as error:
        return TrialAnswer(error=str(error))


def _found(trial: Trial) -> dict[str, Any]:
    kinds = Counter(change.kind for change in trial.changes)
    return {
        "from": trial.start,
        "to": trial.end,
        "posts": trial.posts,
        "warm": trial.is_warm,
        "counts": {kind: kinds[kind] for kind in KINDS},
        "changes": [
            {"kind": change.kind, "minutes": change.minutes, "before": change.before, "after": change.after}
            for change in trial.changes
        ],
    }


def main() -> None:
    """Read the job, run it, write the answer."""
    os.nice(NICE)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=TrialJob)
    sys.stdout.buffer.write(msgspec.json.encode(tried(job)))


if __name__ == "__main__":
    main()
