from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from streamwatch.cli.explain_view import html_page, runs, strongest, terminal_text
from streamwatch.cli.main import run_command
from streamwatch.model.encoder import load_encoder
from streamwatch.model.explain import Explanation, Piece
from streamwatch.model.heads import ENTITY, HEADS, Head
from streamwatch.model.trained import EncoderId, save_trained
from tests.tiny_encoder import HIDDEN, write_encoder

TEXT = "apple shares fall after tesla results"
BAD = '<script>alert("x")</script> & \x1b[31m\u202efall'
CONTRAST = 4.5
"""Of text, WCAG 2.2, 1.4.3."""


def explanation(text: str, attributions: dict[str, float], **changes: object) -> Explanation:
    pieces = []
    for match in re.finditer(r"\S+", text):
        pieces.append(Piece(match[0], *match.span(), attributions.get(match[0], 0.0)))
    found = {
        "text": text,
        "task": "sentiment",
        "entity": None,
        "label": "negative",
        "probability": 0.9,
        "baseline_probability": 0.1,
        "pieces": tuple(pieces),
        "error": 0.0042,
        "places": 31,
        "model_version": "e5s-00000000-torch-fp32",
    }
    return Explanation(**{**found, **changes})  # type: ignore[arg-type]


@pytest.fixture
def explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command with a small model of random weights."""
    folder = write_encoder(tmp_path / "tiny")
    encoder, draw = load_encoder(str(folder)), np.random.default_rng(4)
    heads = {
        name: Head(
            draw.normal(0, 1, (len(labels), 2 * HIDDEN if name == ENTITY else HIDDEN)).astype(np.float32),
            np.zeros(len(labels), np.float32),
        )
        for name, labels in HEADS.items()
    }
    save_trained(tmp_path, heads, {}, EncoderId(encoder.name, encoder.sha256), {}, {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamwatch.toml").write_text(
        f'[model]\nbase = "{folder}"\nweights = "{tmp_path}"\nmax_tokens = 32\n', encoding="utf-8"
    )
    return lambda *args: run_command(["explain", *args])


def test_text_says_the_verdict_the_words_and_the_error(
    explain: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(TEXT) == 0
    out, err = capsys.readouterr()
    assert re.match(r"sentiment: (negative|neutral|positive) 0\.\d{3}\n", out)
    assert re.search(r"completeness error 0\.00\d\d", " ".join(out.split()))
    assert re.search(r"[+-]0\.\d{3}  [█▒]+ +(apple|shares|fall|after|tesla|results)\n", out)
    assert "\x1b" not in out
    assert err == ""


def test_json_holds_everything(explain: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(TEXT, "--task", "topic", "--label", "earnings", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["task"], found["label"], found["entity"], found["text"]) == ("topic", "earnings", None, TEXT)
    assert [piece["text"] for piece in found["pieces"]] == TEXT.split()
    assert all(TEXT[piece["start"] : piece["end"]] == piece["text"] for piece in found["pieces"])
    total = sum(piece["attribution"] for piece in found["pieces"])
    gained = found["probability"] - found["baseline_probability"]
    assert abs(total - gained) == pytest.approx(found["error"], abs=1e-9)


def test_a_page_goes_to_a_file(explain: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(TEXT, "-o", "html", "--out", "why.html") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "why.html" in err
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "completeness error" in page
    assert len(page) < 20_000


def test_an_entity_goes_by_ticker_name_or_spelling(
    explain: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TSLA", "tesla", "Tesla"):
        assert explain("Apple falls, Tesla soars", "--entity", name, "-o", "json") == 0
        assert json.loads(capsys.readouterr().out)["entity"] == "Tesla"
    assert explain("the old bank falls", "--entity", "the old bank", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["entity"] == "the old bank"


def test_personal_data_is_masked_as_in_the_stream(
    explain: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("mail jo@example.com, shares fall", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["text"] == "mail <email>, shares fall"


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["--label", "bullish"], "its labels are negative, neutral, positive"),
        (["--task", "mood"], "intent"),
        (["--entity", "NVDA"], "it names Apple"),
        (["--task", "topic", "--entity", "apple"], "the sentiment alone"),
        (["-o", "pdf"], "html"),
    ],
)
def test_a_wrong_option_says_what_is_right(
    args: list[str], hint: str, explain: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("Apple shares fall", *args) == 2
    said = re.sub(r"[│╭╮╰╯─\s]+", " ", capsys.readouterr().err)
    assert hint in said


def test_an_empty_text_is_refused(explain: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("  ") == 2
    assert "the text is empty" in capsys.readouterr().err


def test_the_whole_text_is_shown_with_the_words_marked() -> None:
    found = explanation("Profit  slumps, they say.\nWell.", {"slumps,": 0.5, "say.": -0.3, "Well.": 0.02})
    shown = list(runs(found))
    assert "".join(run.text for run in shown) == found.text
    assert {run.text: round(run.strength, 2) for run in shown if run.strength} == {
        "slumps,": 1.0,
        "say.": -0.6,
        "Well.": 0.04,
    }
    assert [run.text for run in strongest(found)] == ["slumps,", "say.", "Well."]


def test_noise_looks_like_noise() -> None:
    found = explanation("up down", {"up": 0.001, "down": -0.0005})
    assert strongest(found) == []
    assert "no word adds or takes anything" in terminal_text(found, terminal=False)
    assert "<mark" not in html_page(found)


def test_the_terminal_has_colours_that_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    found = explanation("Profit slumps they say", {"slumps": 0.5, "say": -0.3})
    coloured, plain = terminal_text(found, terminal=True), terminal_text(found, terminal=False)
    assert "\x1b[1;36mslumps" in coloured
    assert "Profit slumps[+0.50] they say[-0.30]" in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).split() == plain.split()


def test_what_is_not_to_be_trusted_is_said() -> None:
    sure = terminal_text(explanation("up", {"up": 0.8}), terminal=False)
    assert "0.01 or more" not in sure
    found = explanation("up and not read", {"up": 0.8}, error=0.02, places=257, pieces=(Piece("up", 0, 2, 0.8),))
    said = " ".join(terminal_text(found, terminal=False).split())
    assert "completeness error 0.0200" in said
    assert "The error is 0.01 or more" in said
    assert "it did not read the last 12 characters" in said


class _Reader(HTMLParser):
    """Collect tags, attributes and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("marked", [{}, {part: 0.5 for part in BAD.split()}], ids=["plain", "marked"])
def test_a_page_escapes_the_text(marked: dict[str, float]) -> None:
    page = html_page(explanation(BAD, marked, entity=BAD))
    read = _Reader(page)
    assert "script" not in read.tags
    assert not {name for name in read.names if name.startswith("on") or name in {"src", "href"}}
    assert '<script>alert("x")</script>' in read.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", page)
    assert "default-src 'none'" in page


def channel(value: int) -> float:
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def luminance(colour: list[int]) -> float:
    """Return the relative luminance of an sRGB colour (WCAG 2.2)."""
    red, green, blue = map(channel, colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def hexadecimal(colour: str) -> list[int]:
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    return [int(digits[at : at + 2], 16) for at in (0, 2, 4)]


def test_marked_words_have_contrast_in_the_light_and_in_the_dark() -> None:
    page = html_page(explanation("up", {"up": 0.8}))
    share = float(re.search(r"calc\(var\(--strength\) \* ([\d.]+)\)", page)[1])  # type: ignore[index]
    schemes = re.findall(
        r"--page: #(\w+); --ink: #(\w+); --quiet: #(\w+);[^}]*?--hue: ([\d ]+);\s+--other: ([\d ]+);", page
    )
    assert len(schemes) == 2
    for page_colour, ink, quiet, *sides in schemes:
        behind = hexadecimal(page_colour)
        mixed = [
            [round(share * int(over) + (1 - share) * under) for over, under in zip(side.split(), behind, strict=True)]
            for side in sides
        ]
        for text, ground in [(ink, behind), (quiet, behind), *((ink, colour) for colour in mixed)]:
            light, dark = sorted((luminance(hexadecimal(text)), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= CONTRAST
