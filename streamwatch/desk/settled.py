"""Settled labels as the lines that `streamwatch eval` and the training read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from streamwatch.desk.agreement import SETTLED
from streamwatch.model.heads import ENTITY, TASKS
from streamwatch.model.tokenizer import simplified

SET = "desk"
Spell = Callable[[Sequence[str], str], Sequence[str]]
"""How an entity is spelt in each of some texts, "" where it does not stand there: `Gazetteer.spelt`."""


class SettledLines(NamedTuple):
    """Lines, one a post, and what could not be told in them.

    Attributes:
        lines: `text`, what people settled on, and where it comes from.
        unknown_posts: Posts that are not in the table.
        absent_entities: Entities that do not stand in their text.
    """

    lines: list[dict[str, Any]]
    unknown_posts: int
    absent_entities: int


def settled_lines(settled: pl.DataFrame, posts: pl.DataFrame, spell: Spell) -> SettledLines:
    """Return a line for each post of which something is settled, by post.

    A topic or intent that the model does not know stands in `desk_topic` or `desk_intent`: training passes over it.

    Args:
        settled: What `agreement.settle` found.
        posts: Rows of the table `posts`: those labelled, and those that they answer.
        spell: Finds entities in texts.
    """
    known = {row["id"]: row for row in posts.select("id", "text", "lang", "source", "reply_to").iter_rows(named=True)}
    chosen = settled.filter(pl.col("status") == SETTLED).sort("post_id", "task", "entity")
    lines: list[dict[str, Any]] = []
    unknown = absent = 0
    for (post_id,), items in chosen.group_by("post_id", maintain_order=True):
        post = known.get(str(post_id))
        if post is None:
            unknown += 1
            continue
        labels = list(items.iter_rows(named=True))
        said = {**_of_text(labels), **_of_entities(labels, post["text"], spell)}
        absent += sum(item["task"] == ENTITY for item in labels) - len(said.get("entities", {}))
        if said:
            lines.append(_line(post, known.get(post["reply_to"] or ""), said))
    return SettledLines(lines, unknown, absent)


def _line(post: Mapping[str, Any], parent: Mapping[str, Any] | None, said: Mapping[str, Any]) -> dict[str, Any]:
    about = {"post_id": post["id"], "lang": post["lang"] or "", "source": post["source"], "set": SET}
    answered = {"parent": parent["text"]} if parent else {}
    return {"text": post["text"], **answered, **said, **about}


def _of_text(labels: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found = {}
    for item in labels:
        if item["task"] != ENTITY:
            own = "" if item["gold_label"] in TASKS[item["task"]] else "desk_"
            found[f"{own}{item['task']}"] = item["gold_label"]
    return found


def _of_entities(labels: Sequence[Mapping[str, Any]], text: str, spell: Spell) -> dict[str, dict[str, str]]:
    return {"entities": dict(found)} if (found := list(_mentions(labels, text, spell))) else {}


def _mentions(labels: Sequence[Mapping[str, Any]], text: str, spell: Spell) -> Iterator[tuple[str, str]]:
    read = simplified(text)
    for item in labels:
        if item["task"] == ENTITY:
            (mention,) = spell([text], item["entity"])
            mention = mention or (item["entity"] if item["entity"] in read else "")
            if mention:
                yield mention, item["gold_label"]
