"""A confusion matrix as a picture: counts in the cells, shaded by the share of their row. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e4e8ec"
SHADES = [(0, "#ffffff"), (0.1, "#d6e6f4"), (0.3, "#a3cae6"), (0.6, "#4a97c9"), (0.8, "#2171b5"), (1, "#08306b")]
"""Colours by share of the row; what is rare is set off from nothing, as most confusions are rare."""
DARK_SHARE = 0.5
"""From this share of its row on, a cell is so dark that its count is written in white."""
DOTS_PER_INCH = 160
MANY = 10
"""More classes than this are drawn smaller, the predicted ones' names aslant."""


def draw_confusion(counts: NDArray[np.int64], labels: Sequence[str], title: str, subtitle: str = "") -> bytes:
    """Return a PNG of a confusion matrix.

    Args:
        counts: `(classes, classes)`: how often class `i` was taken for class `j`.
        labels: Of the classes, in order.
        title: What is shown.
        subtitle: Smaller, below the title.
    """
    classes = len(labels)
    side = classes * (0.42 if classes > MANY else 0.8 if classes > 4 else 1.1)
    longest = max(map(len, labels)) * 0.075
    figure = Figure((side + longest + 2.2, side + longest * 0.8 + 1.5), DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = LinearSegmentedColormap.from_list("shares", SHADES)
    image = axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    _write_counts(axes, counts, shares, size=7.5 if classes > MANY else 10.5)
    _label(axes, labels, counts.sum(axis=1).tolist())
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=24, pad=0.02, format=PercentFormatter(1))
    bar.set_label("share of the gold class", color=MUTED, fontsize=8.5)
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)
    bar.outline.set_visible(False)
    axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=INK, pad=24)
    axes.annotate(
        subtitle, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", fontsize=8.5, color=MUTED
    )
    image_file = io.BytesIO()
    figure.savefig(image_file, format="png", bbox_inches="tight", pad_inches=0.2)
    return image_file.getvalue()


def _write_counts(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64], size: float) -> None:
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] >= DARK_SHARE else INK if count else "#c3cad2"
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=size, fontweight=weight)


def _label(axes: Axes, labels: Sequence[str], support: Sequence[int]) -> None:
    places, many = range(len(labels)), len(labels) > MANY
    size = 8 if many else 10
    axes.set_xticks(places, labels, rotation=45 if many else 0, ha="right" if many else "center", fontsize=size)
    axes.set_yticks(
        places, [f"{label}  ({rows:,})" for label, rows in zip(labels, support, strict=True)], fontsize=size
    )
    if many:
        for tick in axes.get_xticklabels():
            tick.set_rotation_mode("anchor")
    axes.set_xlabel("predicted", color=MUTED, fontsize=9.5)
    axes.set_ylabel("gold (rows)", color=MUTED, fontsize=9.5)
    axes.tick_params(length=0, labelcolor=INK)
    edges = np.arange(len(labels) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
