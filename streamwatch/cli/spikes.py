"""`streamwatch spikes`: the alerts of a count series in a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from streamwatch.cli.files import STANDARD, open_input, open_output
from streamwatch.cli.options import Format, Output
from streamwatch.cli.output import emit, emit_json, note
from streamwatch.cli.stopping import sigterm_interrupts
from streamwatch.errors import BadRecord, PackageMissing

if TYPE_CHECKING:
    from streamwatch.cli.spikes_file import ReadRow
    from streamwatch.watch.series import Point

EXAMPLE = "Example: streamwatch spikes mentions.csv alerts.csv --plot alerts.png"
ALERT_COLUMNS = ("timestamp", "value", "expected", "surprise")
BAD_ROWS_SHOWN = 10


class Judged(NamedTuple):
    """A usable row and what is said of it."""

    read: ReadRow
    point: Point


Keep = Callable[[Judged], None]
Draw = Callable[[list[Judged], str], bytes]


def command(
    source: Annotated[
        Path, typer.Argument(metavar="SERIES.csv", help="Rows of `timestamp,value`, by time; - is stdin.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.csv", help="`timestamp,alert` for every row; - is stdout.")],
    *,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the series, what was expected, and the alerts.")
    ] = None,
    output: Output = Format.table,
) -> None:
    """Find the surges of any count series, with the detector that watches the posts.

    Every row is judged by the rows before it alone: `alert` is 1 on the row where an alert opens, else 0; a surge is
    one alert. The step between rows, the level, the rhythm of hours and weekends and the usual bursts are learned
    on the way; there is no setting. The first ten rows, and the first day, bring no alert. A row that cannot be read
    is named with its line and gets 0.
    """
    if target == STANDARD and output is not Format.table:
        message = "stdout takes the rows: name a file for them"
        raise typer.BadParameter(message, param_hint="OUT.csv")
    draw = _plotter() if plot else None
    judged: list[Judged] = []
    alerts: list[Judged] = []

    def keep(row: Judged) -> None:
        if draw:
            judged.append(row)
        if row.point.opens:
            alerts.append(row)

    with sigterm_interrupts():
        summary = _run(source, target, keep)
        if plot and draw:
            with open_output(plot) as picture:
                picture.write(draw(judged, source.stem))
    _show(summary, [_alert(row) for row in alerts], output, to_stdout=target == STANDARD)
    if plot:
        note(f"the picture is in {plot}")


def _run(source: Path, target: Path, keep: Keep) -> dict[str, Any]:
    """Judge every row as it comes; return what was done."""
    from streamwatch.cli.spikes_file import read_series
    from streamwatch.watch.series import Series

    place = "stdin" if source == STANDARD else str(source)
    series, rows, bad = Series(), 0, 0
    with open_input(source) as lines, open_output(target) as out:
        text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=target == STANDARD)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("timestamp", "alert"))
        for read in read_series(lines, place):
            rows += 1
            opens = False
            if read.row is None:
                bad += 1
                _report(place, read, bad)
            else:
                point = series.add(read.row)
                opens = point.opens
                keep(Judged(read, point))
            writer.writerow((read.text, int(opens)))
        if bad == rows:
            message = f"{place}: found {bad:,} bad rows and no other, expected rows of timestamp,value"
            raise BadRecord(message)
        text.detach()
    if bad > BAD_ROWS_SHOWN:
        note(f"{place}: {bad:,} bad rows in all")
    step_s = None if series.step_us is None else series.step_us / 1e6
    return {"file": place, "output": str(target), "rows": rows, "bad_rows": bad, "step_s": step_s}


def _report(place: str, read: ReadRow, bad: int) -> None:
    if bad <= BAD_ROWS_SHOWN:
        note(f"{place}:{read.number}: {read.reason}")


def _alert(row: Judged) -> dict[str, Any]:
    count = row.read.row.value if row.read.row else 0
    return dict(zip(ALERT_COLUMNS, (row.read.text, count, row.point.expected, row.point.surprise), strict=True))


def _show(summary: dict[str, Any], alerts: list[dict[str, Any]], output: Format, *, to_stdout: bool) -> None:
    if output is Format.json:
        emit_json({**summary, "alerts": alerts})
        return
    note(f"{summary['rows']:,} rows, {summary['bad_rows']:,} of them bad; {len(alerts):,} alerts")
    if not to_stdout:
        emit(alerts, ALERT_COLUMNS, output)


def _plotter() -> Draw:
    """Return what draws a series; what it needs is looked for before the work is done."""
    try:
        from streamwatch.cli.spikes_plot import draw_series
    except ModuleNotFoundError as error:
        message = f"--plot needs {error.name}, which is not installed: run `pip install 'matplotlib>=3.10'`"
        raise PackageMissing(message) from error

    def draw(judged: list[Judged], name: str) -> bytes:
        rows = [(row.read.row, row.point) for row in judged if row.read.row is not None]
        return draw_series([row for row, _ in rows], [point for _, point in rows], name)

    return draw
