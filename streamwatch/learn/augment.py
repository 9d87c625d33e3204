"""Texts made a little other, so that the model learns what they say and not how they are written.

Each way is a share: the probability that a text (or a token) is changed. All are off in evaluation.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources

import numpy as np
import torch

from streamwatch.learn.examples import Example, Span
from streamwatch.learn.network import Tokens
from streamwatch.records import SENTIMENTS

LEXICON_FILE = "lexicon.tsv"
_CASHTAG = re.compile(r"\$[A-Z]{1,6}\b")
_DIGIT = re.compile(r"\d")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class CodeSwitch:
    """Swaps English finance words for Chinese ones and the other way round, as bilingual posts do.

    The lexicon is the project's own: pairs a line, English, tab, Chinese.

    >>> CodeSwitch([("profit", "利润")]).swap("Profit warning", 1.0, np.random.default_rng(0))
    '利润 warning'
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._to_chinese = dict(pairs)
        self._to_english = {chinese: english for english, chinese in pairs}
        english = sorted(self._to_chinese, key=len, reverse=True)
        chinese = sorted(self._to_english, key=len, reverse=True)
        self._pattern = re.compile(
            r"\b(?:" + "|".join(map(re.escape, english)) + r")\b|" + "|".join(map(re.escape, chinese)), re.IGNORECASE
        )

    @classmethod
    def load(cls) -> CodeSwitch:
        """Read the lexicon that comes with streamwatch."""
        text = resources.files("streamwatch.learn").joinpath(LEXICON_FILE).read_text(encoding="utf-8")
        pairs = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
        return cls([(english, chinese) for english, chinese in pairs])

    def swap(self, text: str, share: float, draw: np.random.Generator) -> str:
        """Swap each word of the lexicon with probability `share`."""

        def other(match: re.Match[str]) -> str:
            word = match[0]
            if draw.random() >= share:
                return word
            if word in self._to_english:
                return f" {self._to_english[word]} "
            # Ignoring case, `s` also matches the long `ſ`, whose lower case is itself.
            return self._to_chinese.get(word.lower(), word)

        return self._pattern.sub(other, text)


def disguise(text: str, draw: np.random.Generator) -> str:
    """Give a text's cashtags other letters and its numbers other digits: neither says what the text is about.

    >>> disguise("$AAPL up 3.5%", np.random.default_rng(0))
    '$WQNH up 3.0%'
    """
    text = _CASHTAG.sub(lambda match: "$" + "".join(draw.choice(list(_LETTERS), len(match[0]) - 1)), text)
    return _DIGIT.sub(lambda _: str(draw.integers(10)), text)


def join(first: Example, second: Example) -> Example:
    """Return two texts as one, with the entities of both: what is said of each still stands beside it alone.

    >>> from streamwatch.learn.examples import Span
    >>> up = Example("A rises", "en", "x", "train", {"sentiment": 2}, (Span(0, 1, 2),))
    >>> join(up, Example("B falls", "en", "x", "train", {}, (Span(0, 1, 0),))).spans
    (Span(start=0, end=1, sentiment=2), Span(start=9, end=10, sentiment=0))
    """
    text = f"{first.text}; "
    moved = (Span(start + len(text), end + len(text), said) for start, end, said in second.spans)
    return replace(first, text=text + second.text, labels={}, spans=(*first.spans, *moved))


class Augmenter:
    """Changes examples at random, by the shares of a recipe.

    Args:
        train: All that is learnt from, to join texts with.
        joined: Share of the texts about entities that are joined with another of the same set, of another verdict: so
            that a network cannot take a text's tone for each entity's.
        disguised: Share of texts whose cashtags and numbers are replaced.
        switched: Share of texts in which half of the lexicon's words change their language.
        dropped: Share of tokens that become the unknown token.
        seed: Of all draws.
    """

    def __init__(
        self,
        train: Sequence[Example],
        *,
        joined: float,
        disguised: float,
        switched: float,
        dropped: float,
        seed: int,
    ) -> None:
        self._joined = joined
        self._about: dict[tuple[str, int], list[Example]] = defaultdict(list)
        for example in train if joined else ():
            for verdict in {span.sentiment for span in example.spans}:
                self._about[example.set, verdict].append(example)
        self._disguised = disguised
        self._switched = switched
        self._dropped = dropped
        self._draw = np.random.default_rng(seed)
        self._code_switch = CodeSwitch.load() if switched else None

    def text(self, example: Example) -> Example:
        """Return an example with another text; where entities have places in it, only what stands behind changes."""
        if example.spans:
            return self._with_another(example)
        text = example.text
        if self._draw.random() < self._disguised:
            text = disguise(text, self._draw)
        if self._code_switch and self._draw.random() < self._switched:
            text = self._code_switch.swap(text, 0.5, self._draw)
        return example if text is example.text else replace(example, text=text)

    def _with_another(self, example: Example) -> Example:
        if self._draw.random() >= self._joined:
            return example
        first = example.spans[0].sentiment
        verdict = (first + 1 + int(self._draw.integers(len(SENTIMENTS) - 1))) % len(SENTIMENTS)
        others = self._about[example.set, verdict]
        if not others:
            return example
        other = others[self._draw.integers(len(others))]
        return join(example, other) if self._draw.random() < 0.5 else join(other, example)

    def tokens(self, tokens: Tokens, unknown_id: int) -> Tokens:
        """Return a batch in which some tokens are unknown, never the first and the last of a text."""
        if not self._dropped:
            return tokens
        places = torch.arange(tokens.ids.shape[1])[None, :]
        inner = (places > 0) & (places < tokens.lengths[:, None] - 1)
        chosen = torch.from_numpy(self._draw.random(tuple(tokens.ids.shape)) < self._dropped)
        return tokens._replace(ids=torch.where(inner & chosen, unknown_id, tokens.ids))
