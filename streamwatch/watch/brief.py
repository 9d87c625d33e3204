"""Briefs: an alert in two or three sentences, made of its fields alone, in English and Chinese."""

from __future__ import annotations

from datetime import UTC, timedelta

from streamwatch.records import Alert, Brief
from streamwatch.watch.corroboration import is_storm
from streamwatch.watch.groups import group_parts

MOST_PHRASES = 3
MOST_ENTITIES = 3
LANGUAGES = {"en": ("English", "英文"), "zh": ("Chinese", "中文")}
TOPICS_ZH = {
    "analyst_update": "分析师评级", "central_banks": "央行", "company_product": "公司与产品",
    "corporate_debt": "公司债务", "currencies": "外汇", "dividend": "分红", "earnings": "财报", "energy": "能源",
    "financials": "金融", "general_news": "综合新闻", "ipo": "新股上市", "legal_regulation": "法律与监管",
    "macro": "宏观经济", "markets": "市场", "mergers_investments": "并购与投资", "metals_materials": "金属与材料",
    "personnel": "人事变动", "politics": "政治", "stock_commentary": "股评", "stock_movement": "股价异动",
}  # fmt: skip
INTENTS_ZH = {
    "inform": "陈述", "express": "表达", "question": "提问", "suggest": "建议", "request": "请求", "threaten": "威胁",
    "other": "其他意图",
}  # fmt: skip


def write_brief(alert: Alert) -> Brief:
    """Return the brief of an alert. Only its fields are told, and none that is not there."""
    english = (_figures_en(alert), _voices_en(alert), _words_en(alert))
    chinese = (_figures_zh(alert), _voices_zh(alert), _words_zh(alert))
    return Brief(en=" ".join(part for part in english if part), zh="".join(part for part in chinese if part))


def _figures_en(alert: Alert) -> str:
    group = _group_en(alert)
    if alert.status == "resolved":
        return f"{group}: over at {_time_en(alert)}, {_span_en(alert.window_end - alert.onset)} after it began."
    span = f"in the {_span_en(alert.window_end - alert.window_start).removeprefix('1 ')} to {_time_en(alert)}"
    seen, posts = _quantity(alert, alert.seen), _plural(alert.count, "post")
    told = {
        "volume": f"{posts} {span}",
        "net_sentiment": f"net sentiment of {seen} over {posts} {span}",
        "negative_share": f"{seen} of {posts} negative {span}",
        "mean_negative": f"mean probability of negative of {seen} over {posts} {span}",
        "sources": f"{_plural(round(alert.seen), 'source')} of {posts} {span}",
        "novel_count": f"{posts} {span}, worth {seen} without copies",
    }.get(alert.measure, f"{_plural(alert.negative, 'negative post')} of {alert.count} {span}")
    return f"{group}: {told}, against {_quantity(alert, alert.expected)} expected."


def _figures_zh(alert: Alert) -> str:
    group = _group_zh(alert)
    if alert.status == "resolved":
        return f"{group}：异动已于{_time_zh(alert)}结束，历时{_span_zh(alert.window_end - alert.onset)}。"
    span = f"截至{_time_zh(alert)}的{_span_zh(alert.window_end - alert.window_start)}内"
    seen, expected = _quantity(alert, alert.seen), _quantity(alert, alert.expected)
    told = {
        "volume": f"共有{alert.count}条帖子，预期{expected}条",
        "net_sentiment": f"{alert.count}条帖子的净情绪为{seen}，预期{expected}",
        "negative_share": f"{alert.count}条帖子中{seen}为负面，预期{expected}",
        "mean_negative": f"{alert.count}条帖子的平均负面概率为{seen}，预期{expected}",
        "sources": f"{alert.count}条帖子来自{seen}个来源，预期{expected}个",
        "novel_count": f"共有{alert.count}条帖子，折去重复后相当于{seen}条，预期{expected}条",
    }.get(alert.measure, f"{alert.count}条帖子中有{alert.negative}条为负面，预期{expected}条")
    return f"{group}：{span}，{told}。"


def _voices_en(alert: Alert) -> str:
    spread = alert.spread
    if not spread.sampled:
        return ""
    if alert.corroboration == "retracted":
        return f"Denied by {_plural(spread.denials, 'independent voice')}."
    if alert.corroboration == "corroborated":
        told = f"{_plural(spread.voices, 'independent voice')} in {_plural(spread.stories, 'different story')}"
        return f"Corroborated: {told}, from {_plural(spread.sources, 'source')}."
    if is_storm(spread):
        return f"Unconfirmed: {spread.largest_story} of {_plural(spread.sampled, 'post')} repeat one story."
    return f"Unconfirmed: {_plural(spread.voices, 'independent voice')} so far."


def _voices_zh(alert: Alert) -> str:
    spread = alert.spread
    if not spread.sampled:
        return ""
    if alert.corroboration == "retracted":
        return f"已有{spread.denials}个独立信源否认。"
    if alert.corroboration == "corroborated":
        told = f"{spread.voices}个独立信源、{spread.stories}种不同说法"
        return f"已获印证：{told}，来自{spread.sources}个平台或媒体。"
    if is_storm(spread):
        return f"尚未证实：{spread.sampled}条帖子中有{spread.largest_story}条转述同一内容。"
    return f"尚未证实：目前有{spread.voices}个独立信源。"


def _words_en(alert: Alert) -> str:
    told = []
    if alert.phrases:
        told.append("new in the posts: " + ", ".join(f"“{phrase.phrase}”" for phrase in alert.phrases[:MOST_PHRASES]))
    if alert.entities:
        told.append("also named: " + ", ".join(f"{one.entity} ({one.posts})" for one in alert.entities[:MOST_ENTITIES]))
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _words_zh(alert: Alert) -> str:
    told = []
    if alert.phrases:
        told.append("新出现的说法：" + "".join(f"“{phrase.phrase}”" for phrase in alert.phrases[:MOST_PHRASES]))
    if alert.entities:
        told.append("同时提及：" + "、".join(f"{one.entity}（{one.posts}）" for one in alert.entities[:MOST_ENTITIES]))
    return "；".join(told) + "。" if told else ""


def _group_en(alert: Alert) -> str:
    parts = group_parts(alert.group_by, alert.group)
    words = [parts.get("entity", "Posts" if "all" not in parts else "All posts")]
    words += [f"on {parts['topic'].replace('_', ' ')}"] if "topic" in parts else []
    words += [f"of the intent {parts['intent']}"] if "intent" in parts else []
    words += [f"from {parts['source']}"] if "source" in parts else []
    words += [f"in {LANGUAGES.get(parts['lang'], (parts['lang'],))[0]}"] if "lang" in parts else []
    return " ".join(words)


def _group_zh(alert: Alert) -> str:
    names = {"topic": TOPICS_ZH, "intent": INTENTS_ZH, "lang": {tag: zh for tag, (_, zh) in LANGUAGES.items()}}
    parts = group_parts(alert.group_by, alert.group)
    words = [names.get(kind, {}).get(part, part) for kind, part in parts.items() if kind != "all"]
    return ("" if "entity" in parts else "帖子·" if words else "全部帖子") + "·".join(words)


def _quantity(alert: Alert, value: float) -> str:
    if alert.measure in ("negative_share", "mean_negative"):
        return f"{value:.0%}"
    if alert.measure == "net_sentiment":
        return f"{value:+.2f}"
    return f"{value:.1f}".removesuffix(".0")


def _plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def _span_en(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return _plural(minutes, "minute") if minutes % 60 else _plural(minutes // 60, "hour")


def _span_zh(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes}分钟" if minutes % 60 else f"{minutes // 60}小时"


def _time_en(alert: Alert) -> str:
    end = alert.window_end.astimezone(UTC)
    return f"{end:%H:%M} UTC on {end.day} {end:%B}"


def _time_zh(alert: Alert) -> str:
    end = alert.window_end.astimezone(UTC)
    return f"{end.month}月{end.day}日{end:%H:%M}（UTC）"
