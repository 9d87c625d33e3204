"""How an explanation looks: in the terminal, and as a page that needs nothing but itself."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator
from string import Template
from typing import TYPE_CHECKING, NamedTuple

from streamwatch.cli.output import printable
from streamwatch.model.explain import TOLERANCE, Explanation

if TYPE_CHECKING:
    from rich.text import Text

STRONGEST_SHOWN = 10
FULL_STRENGTH = 0.1
"""A word that adds so much is marked at full strength, even if others add more: noise is to look like noise."""
NUMBERED = 0.25
"""In the terminal's text a word of this strength has its number beside it."""
FAINT = 0.02
BAR_CELLS = 20
TITLE_CHARS = 60


class Run(NamedTuple):
    """A part of the text; `strength` is from -1, against the label, to 1, for it, and 0 between the words."""

    text: str
    attribution: float
    strength: float


def runs(explanation: Explanation) -> Iterator[Run]:
    """Yield the whole text in parts: the words, and what stands between them."""
    full = max([FULL_STRENGTH, *(abs(piece.attribution) for piece in explanation.pieces)])
    at = 0
    for piece in explanation.pieces:
        if piece.start > at:
            yield Run(_shown(explanation.text[at : piece.start]), 0.0, 0.0)
        yield Run(_shown(piece.text), piece.attribution, piece.attribution / full)
        at = piece.end
    if at < len(explanation.text):
        yield Run(_shown(explanation.text[at:]), 0.0, 0.0)


def _shown(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def strongest(explanation: Explanation) -> list[Run]:
    """Return the words that add or take most, those that matter at all."""
    ranked = sorted(runs(explanation), key=lambda run: -abs(run.strength))[:STRONGEST_SHOWN]
    return [run for run in ranked if abs(run.strength) >= FAINT]


def verdict(explanation: Explanation) -> str:
    """Return what is explained, in one line."""
    about = f" about {printable(explanation.entity)}" if explanation.entity else ""
    return f"{explanation.task}{about}: {explanation.label} {explanation.probability:.3f}"


def notes(explanation: Explanation) -> list[str]:
    """Return what is to be known of the numbers, the error first."""
    total = sum(piece.attribution for piece in explanation.pieces)
    gained = explanation.probability - explanation.baseline_probability
    lines = [
        f"Without its words the text has {explanation.label} {explanation.baseline_probability:.3f}. The words add up "
        f"to {total:+.4f}, the difference is {gained:+.4f}: completeness error {explanation.error:.4f}."
    ]
    if explanation.error >= TOLERANCE:
        lines.append(f"The error is {TOLERANCE} or more: a word's number may be off by as much.")
    if explanation.unread:
        lines.append(f"The model cuts texts: it did not read the last {len(explanation.unread):,} characters.")
    method = f"Integrated gradients, {explanation.places} places, fp32; model {explanation.model_version}."
    return [*lines, method]


def terminal_text(explanation: Explanation, *, terminal: bool) -> str:
    """Return an explanation as lines for people; on a terminal in colour, and as wide as it is."""
    from rich.console import Console
    from rich.text import Text

    file = io.StringIO()
    console = Console(file=file, highlight=False, force_terminal=terminal, width=None if terminal else 100)
    console.print(Text(verdict(explanation), style="bold"))
    console.print()
    text = Text()
    for run in runs(explanation):
        text.append(run.text, style=_style(run.strength))
        if abs(run.strength) >= NUMBERED:
            text.append(f"[{run.attribution:+.2f}]", style="dim")
    console.print(text)
    console.print()
    console.print(_bars(explanation), end="")
    for line in notes(explanation):
        console.print(Text(line, style="dim"))
    return file.getvalue()


def _style(strength: float) -> str:
    """Return rich's style: cyan speaks for the label, yellow against it, bold the more."""
    if abs(strength) < FAINT:
        return ""
    colour = "cyan" if strength > 0 else "yellow"
    return f"bold {colour}" if abs(strength) >= NUMBERED else colour


def _bars(explanation: Explanation) -> Text:
    from rich.text import Text

    lines = Text()
    for run in strongest(explanation):
        bar = ("█" if run.strength > 0 else "▒") * max(1, round(BAR_CELLS * abs(run.strength)))
        lines.append(f"  {run.attribution:+.3f}  ")
        lines.append(f"{bar:<{BAR_CELLS}}", style=_style(run.strength))
        lines.append(f"  {run.text}\n")
    return lines.append("\n") if lines else Text("  no word adds or takes anything\n\n")


def html_page(explanation: Explanation) -> str:
    """Return an explanation as a page: one file, no script, readable in the light and in the dark."""
    rows = "".join(
        f"<tr><td>{html.escape(run.text)}</td><td class=number>{run.attribution:+.3f}</td>"
        f'<td><span class="bar {_side(run)}" style="width:{abs(run.strength) * 100:.0f}%"></span></td></tr>\n'
        for run in strongest(explanation)
    )
    title = verdict(explanation)
    text = " ".join(printable(explanation.text).split())
    short = text if len(text) <= TITLE_CHARS else text[: TITLE_CHARS - 1] + "…"
    return _PAGE.substitute(
        title=html.escape(f"{title}: {short}"),
        verdict=html.escape(title),
        summary=html.escape(_summary(explanation)),
        text="".join(map(_marked, runs(explanation))),
        rows=rows or "<tr><td colspan=3>no word adds or takes anything</td></tr>\n",
        notes="".join(f"<p>{html.escape(line)}</p>\n" for line in notes(explanation)),
    )


def _summary(explanation: Explanation) -> str:
    about = f" of what the text says about {printable(explanation.entity)}" if explanation.entity else ""
    return (
        f"How much each word adds to the probability of {explanation.label}{about}, or takes from it. "
        "Solid underlines speak for the label, dashed ones against it; the stronger the colour, the more."
    )


def _side(run: Run) -> str:
    return "for" if run.strength > 0 else "against"


def _marked(run: Run) -> str:
    text = html.escape(run.text)
    if abs(run.strength) < FAINT:
        return text
    shade = f"--strength:{abs(run.strength):.2f}"
    return f'<mark class={_side(run)} style="{shade}" title="{run.attribution:+.4f}">{text}</mark>'


_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --page: #fff; --ink: #1a1c20; --quiet: #55595f; --line: #d9dce1; --hue: 37 99 235;
  --other: 217 119 6; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14161a; --ink: #f1f2f4; --quiet: #a9aeb6; --line: #353a42; --hue: 59 130 246; --other: 202 108 8; }
}
body { max-width: 44rem; margin: 2.5rem auto; padding: 0 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
.summary, .notes, th { color: var(--quiet); font-size: .9rem; }
.text { margin: 1.5rem 0; padding: 1rem 1.25rem; border: 1px solid var(--line); border-radius: .5rem;
  font-size: 1.15rem; line-height: 2; white-space: pre-wrap; overflow-wrap: anywhere; }
mark { color: inherit; border-radius: .2em; padding: .05em .1em; text-underline-offset: .25em;
  background: rgb(var(--side) / calc(var(--strength) * .5)); text-decoration: underline 2px rgb(var(--side)); }
.for { --side: var(--hue); }
.against { --side: var(--other); text-decoration-style: dashed; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: normal; }
th, td { padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line); }
td:first-child { overflow-wrap: anywhere; }
td:last-child { width: 50%; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; text-align: right; }
.bar { display: block; height: .7rem; min-width: 2px; border-radius: .15rem; background: rgb(var(--side)); }
.bar.against { background: repeating-linear-gradient(90deg, rgb(var(--side)) 0 5px, transparent 5px 7px); }
</style>
</head>
<body>
<main>
<h1>$verdict</h1>
<p class="summary">$summary</p>
<div class="text" dir="auto" lang="">$text</div>
<h2>The strongest words</h2>
<table>
<thead><tr><th scope="col">word</th><th scope="col" class="number">adds</th><th scope="col"></th></tr></thead>
<tbody>
$rows</tbody>
</table>
<div class="notes">
<h2>How far to trust this</h2>
$notes</div>
</main>
</body>
</html>
""")
