"""The demo's screen, drawn with rich from what the view holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.align import Align
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from streamwatch.cli.demo_view import LEAST_POSTS, DemoView
from streamwatch.cli.output import printable
from streamwatch.records import Alert, EvidencePost, Window

BARS = " ▁▂▃▄▅▆▇█"
SHARE_CELLS = 12
HEAD_LINES = 2
LEAST_EVIDENCE = 2
MOST_EVIDENCE = 5
STATE_STYLES = {"up": "green", "starting": "yellow", "waiting": "red"}
SEVERITY_STYLES = {"critical": "bold white on red", "page": "bold white on red", "warning": "bold black on yellow"}


def draw(view: DemoView, width: int, height: int) -> RenderableType:
    """Return the screen, `width` by `height` characters; 80 by 24 is the least that shows everything."""
    screen = Layout()
    screen.split_column(Layout(_header(view), size=3), Layout(name="chain", size=8), Layout(name="watch"))
    screen["chain"].split_row(Layout(_flow(view), ratio=3), Layout(_stages(view), ratio=2, minimum_size=34))
    rows = max(3, height - 11 - 4)
    side = max(36, width * 2 // 5)
    screen["watch"].split_row(Layout(_groups(view, rows), size=side), Layout(_alerts(view, rows)))
    return screen


def sparkline(values: Sequence[float], width: int) -> str:
    """Return the last `width` values as bars of eight heights.

    >>> sparkline([0, 1, 4, 8], width=4)
    ' ▁▄█'
    """
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    return "".join(BARS[round(value / top * 8)] if top else " " for value in shown)


def _header(view: DemoView) -> RenderableType:
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(no_wrap=True, overflow="ellipsis")
    bar.add_column(justify="center", no_wrap=True)
    bar.add_column(justify="right", no_wrap=True)
    clock = Text.assemble(("posts of ", "dim"), _time(view.event_time), ("  watermark ", "dim"), _time(view.watermark))
    minutes, seconds = divmod(int(view.elapsed_s), 60)
    bar.add_row(
        Text.assemble(("streamwatch ", "bold cyan"), view.title),
        clock,
        Text.assemble((view.phase, "bold"), f"  {minutes}:{seconds:02d}"),
    )
    return Panel(bar, box=box.ROUNDED, border_style="cyan")


def _flow(view: DemoView) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(width=8, style="dim")
    grid.add_column(ratio=1)
    grid.add_column(justify="right", min_width=6)
    counts = view.counts
    for name, value, style in (
        ("sent", view.sent, "blue"),
        ("scored", counts.scored, "cyan"),
        ("stored", counts.archived, "green"),
    ):
        grid.add_row(name, ProgressBar(total=max(1, view.total), completed=value, complete_style=style), f"{value:,}")
    speed = view.speeds[-1] if view.speeds else 0.0
    line = Text(sparkline(view.speeds, 60), style="cyan", no_wrap=True, overflow="crop")
    grid.add_row("posts/s", line, f"{speed:,.0f}")
    tail = Text.assemble(
        (f"{counts.windows:,}", "bold"),
        " windows   ",
        (f"{counts.dead_letters:,}", "bold"),
        " dead letters   ",
        (f"{view.memory_bytes / 2**30:.1f}", "bold"),
        " GiB",
    )
    return Panel(
        Group(grid, Rule(style="dim"), Align.left(tail)), title="Chain", title_align="left", border_style="dim"
    )


def _stages(view: DemoView) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    for name, justify in (("stage", "left"), ("state", "left"), ("lag", "right"), ("restarts", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    for stage in view.stages:
        state = Text(f"● {stage.state}", style=STATE_STYLES.get(stage.state, "red"))
        lag = "-" if stage.lag is None else f"{stage.lag:,}"
        table.add_row(stage.name, state, lag, str(max(0, stage.restarts)))
    content = table if view.stages else Text("the monitor is starting: Ray, the model, the stages", style="dim")
    return Panel(content, title="Stages", title_align="left", border_style="dim")


def _groups(view: DemoView, rows: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    table.add_column("group", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("posts", justify="right")
    table.add_column("negative", width=SHARE_CELLS + 5, no_wrap=True)
    shown = view.most_negative(rows)
    for window in shown:
        table.add_row(printable(window.group), f"{window.count:,}", _share(window))
    quiet = f"no company has {LEAST_POSTS} posts right now" if view.windows else "no window has closed yet"
    content = table if shown else Text(quiet, style="dim")
    return Panel(content, title="Most negative now", title_align="left", border_style="dim")


def _share(window: Window) -> Text:
    share = window.negative / window.count
    full = round(share * SHARE_CELLS)
    style = "red" if share >= 0.5 else "yellow" if share >= 0.25 else "green"
    return Text.assemble(("█" * full, style), ("░" * (SHARE_CELLS - full), "dim"), f" {share:4.0%}")


def _alerts(view: DemoView, rows: int) -> RenderableType:
    firing = sum(alert.status == "firing" for alert in view.alerts.values())
    shown = view.newest_alerts(max(1, rows // (HEAD_LINES + LEAST_EVIDENCE)))
    evidence = min(MOST_EVIDENCE, max(LEAST_EVIDENCE, rows // max(1, len(shown)) - HEAD_LINES))
    lines: list[RenderableType] = [
        line for alert in shown for line in _alert(alert, view.peaks[alert.fingerprint], evidence)
    ]
    content = Group(*lines) if lines else Text("none: nothing is unusual so far", style="dim")
    style = "red" if firing else "dim"
    title = f"Alerts: {firing} firing, {len(view.alerts) - firing} passed"
    return Panel(content, title=title, title_align="left", border_style=style)


def _alert(alert: Alert, peak: Alert, evidence: int) -> list[Text]:
    firing = alert.status == "firing"
    badge = SEVERITY_STYLES.get(alert.severity, "bold white on blue") if firing else "dim"
    until = "" if firing else f" to {_time(alert.ended_at)}"
    head = Text.assemble(
        (f" {alert.severity} " if firing else " passed ", badge),
        (f" {printable(alert.group)}", "bold"),
        f"  {_time(alert.onset)}{until}  ",
        (printable(alert.monitor), "dim"),
    )
    figures = Text(f"  {printable(peak.annotations.get('summary', '')) or _figures(peak)}")
    lines = [head, figures, *(_evidence(post) for post in peak.evidence[:evidence])]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
        if not firing:
            line.stylize("dim")
    return lines


def _figures(alert: Alert) -> str:
    return f"{alert.negative} of {alert.count} posts negative; {alert.seen:.3g} seen, {alert.expected:.2g} expected"


def _evidence(post: EvidencePost) -> Text:
    return Text.assemble((f"  {_time(post.published_at)} ", "dim"), (printable(post.text), "italic"))


def _time(instant: datetime | None) -> str:
    return f"{instant:%H:%M}" if instant else "--:--"
