"""Denials: posts that take a story back, in English and Chinese."""

from __future__ import annotations

import re

ENGLISH = re.compile(
    r"""\b(?:
        den(?:y|ies|ied|ying)\b(?!\s+(?:knowing|access|entry|boarding|bail))
      | refut(?:e|es|ed|ing)
      | debunk(?:s|ed|ing)?
      | retract(?:s|ed|ing|ion)?\b(?!\s+(?:its|their)?\s*(?:guidance|forecast|offer|bid))
      | rumou?rs?\s+(?:is|are|was|were)\s+(?:false|untrue|baseless|unfounded|fake)
      | (?:report|reports|story|claim|claims|allegation|allegations|news)\s+(?:is|are|was|were)\s+
        (?:false|untrue|baseless|unfounded|fake|inaccurate|not\ true)
      | (?:false|baseless|unfounded|fake)\s+(?:report|reports|rumou?rs?|claims?|allegations?|news|story)
      | no\s+truth\s+(?:to|in)
      | dismiss(?:es|ed)?\s+(?:\w+\s+){0,2}(?:rumou?rs?|reports?|speculation|claims?)
      | (?:fact\s*check|hoax|correction)\b\s*:
      | (?:it\s+is|it's|was|is)\s+a\s+hoax
    )""",
    re.IGNORECASE | re.VERBOSE,
)
CHINESE = re.compile(
    r"否认|辟谣|澄清公告|不实(?:信息|消息|传闻|报道|言论)|(?:消息|传闻|报道|信息|谣言)(?:均|系|为|并)*不(?:属)?实"
    r"|纯属(?:谣言|虚构|捏造|子虚乌有)|子虚乌有|系谣言|是谣言|假消息|并非事实|与事实不符|予以澄清|撤回(?:报道|该报道)"
)
NOT_DENIED = re.compile(
    r"\b(?:(?:not|n't|n’t|never|neither|without|cannot|can't)\s+(?:\w+\s+){0,2}den(?:y|ied|ying)|no\s+denial"
    r"|(?:declin|refus)(?:e|es|ed|ing)\s+to\s+(?:\w+\s+or\s+)?deny"
    r"|neither\s+confirm\w*\s+nor\s+den\w+|undenia\w+)"
    r"|(?:未|没有|没|尚未|并未|不|无法|拒绝|不可)\s*否认|毋庸置疑",
    re.IGNORECASE,
)
ASKING = frozenset({"question", "request"})


def is_denial(text: str, intent: str | None) -> bool:
    """Say whether a post takes a story back.

    It holds a phrase of denial that is not itself negated, and it tells rather than asks: a post whose intent is
    `question` or `request` denies nothing.

    >>> is_denial("Acme denies report of a takeover", "inform"), is_denial("Acme did not deny the report", "inform")
    (True, False)
    >>> is_denial("公司发布公告：网传消息不属实", "inform"), is_denial("为什么没有人否认？", "question")
    (True, False)
    """
    if intent in ASKING:
        return False
    left = NOT_DENIED.sub(" ", text)
    return bool(ENGLISH.search(left) or CHINESE.search(left))
