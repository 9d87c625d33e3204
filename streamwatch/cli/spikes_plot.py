"""A count series as a picture: what was seen, what was expected, where alerts opened. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from streamwatch.watch.series import Point, Row

INK, MUTED, GRID, SEEN, EXPECTED, ALERT = "#1f2933", "#6b7785", "#e4e8ec", "#7f9cb5", "#1b5e8c", "#c8102e"
DOTS_PER_INCH = 160
BINS = 2_500
"""More rows than this are drawn as the highest of each of so many stretches, so that no burst is lost."""
LINEAR_UP_TO = 5.0
"""From this multiple of what is usually expected on, the axis is logarithmic: bursts are a hundred times as high."""


def draw_series(rows: Sequence[Row], points: Sequence[Point], name: str) -> bytes:
    """Return a PNG.

    Args:
        rows: Of the series.
        points: What was said of each.
        name: Of the series.
    """
    figure = Figure((12.0, 4.2), DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    size = -(-len(rows) // BINS)
    starts = np.arange(0, len(rows), size)
    instants = _instants([rows[start] for start in starts.tolist()])
    seen = np.maximum.reduceat(np.array([row.value for row in rows], float), starts)
    expected = np.array([np.nan if point.expected is None else point.expected for point in points])
    known = expected[np.isfinite(expected)]
    axes.plot(instants, seen, color=SEEN, linewidth=0.7, label="seen")
    axes.plot(instants, np.fmax.reduceat(expected, starts), color=EXPECTED, linewidth=1.1, label="expected")
    opened = [row for row, point in zip(rows, points, strict=True) if point.opens]
    _mark(axes, opened)
    if known.size:
        axes.set_yscale("symlog", linthresh=LINEAR_UP_TO * max(float(np.median(known)), 1.0))
    _label(axes, f"{name}: {len(opened):,} alerts in {len(rows):,} rows")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _instants(rows: Sequence[Row]) -> NDArray[np.datetime64]:
    return np.array([row.at_us for row in rows], "datetime64[us]")


def _mark(axes: Axes, opened: Sequence[Row]) -> None:
    instants, counts = _instants(opened), [row.value for row in opened]
    for instant in instants:
        axes.axvline(instant, color=ALERT, linewidth=0.9, alpha=0.35)
    axes.plot(instants, counts, "v", color=ALERT, markersize=6, label="alert opens", clip_on=False, linestyle="none")


def _label(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=INK, pad=12)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.legend(loc="upper right", ncols=3, frameon=False, fontsize=9, bbox_to_anchor=(1.0, 1.12))
