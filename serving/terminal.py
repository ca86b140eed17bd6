"""One household on one screen, for the person who will knock on the door: Chinese, English or both."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

WIDTH = 80

# A shape beside the colour, because not everybody sees the colour and paper has none.
TIERS: dict[str, tuple[str, str, str, str]] = {
    "red": ("▲", "bold red", "红色 · 最先走访", "RED · visit first"),
    "orange": ("◆", "bold dark_orange", "橙色 · 尽快走访", "ORANGE · visit soon"),
    "yellow": ("●", "bold yellow", "黄色 · 安排走访", "YELLOW · plan a visit"),
    "green": ("○", "bold green", "绿色 · 日常关注", "GREEN · usual attention"),
    "grey": ("□", "bold", "灰色 · 资料不足，走访了解", "GREY · too little is known, visit to find out"),
}
WORDS: dict[str, tuple[str, str]] = {
    "title": ("返贫风险评估", "Risk of poverty"),
    "as_of": ("截至", "as of"),
    "valid_until": ("有效至", "valid until"),
    "raises": ("与分数较高有关的记录", "Records that go with a higher score"),
    "lowers": ("与分数较低有关的记录", "Records that go with a lower score"),
    "none": ("没有可核实的记录", "no record that can be checked"),
    "triggers": ("触发的预警指标", "Warning indicators that are true"),
    "points": ("积分", "points"),
    "verification": ("请核实（不影响风险等级）", "Please verify (no effect on the tier)"),
    "questions": ("走访时可以问", "To ask on a visit"),
    "candidates": ("可以先了解的政策（不是资格认定）", "Support to look into (no entitlement)"),
    "unlocks": ("先核实这一项最有用", "Most useful to verify first"),
    "likely": ("可能符合", "likely"),
    "to_verify": ("待核实", "to verify"),
    "conditional": ("取决于其他政策", "depends on"),
    "already_receiving": ("已在享受", "already received"),
    "not_available_here": ("本地没有", "not available here"),
    "against": ("记录显示可能不符合", "records speak against it"),
    "needs": ("需核实", "verify"),
    "gaps": ("不知道的", "Not known"),
    "limits": ("使用限制", "Limits"),
    "known": ("所用资料已知", "known of what the model uses"),
    "strong": ("强", "strong"),
    "medium": ("中", "medium"),
    "slight": ("弱", "slight"),
    "occurred": ("发生", "happened"),
    "reported": ("得知", "known"),
    "more": ("另有", "more:"),
    "if_known": ("问清后每100户约", "if known, of 100 about"),
    "decides": ("由人决定：请核实后再定。", "People decide: check before you conclude."),
    "low_confidence": ("资料较少，把握不大。", "Little is known; the score is uncertain."),
    "error": (
        "计算失败，没有结果。请按人工名单走访。",
        "The computation failed; there is no result. Visit from the manual list.",
    ),
}
MAX_GAPS = 5
MAX_CANDIDATES = 10


def show(answer: Mapping[str, Any], language: str | None, console: Console) -> None:
    """Print an assessment in one language, or in Chinese and then English without one."""
    for each in ("zh", "en") if language is None else (language,):
        console.print(screen(answer, each), width=min(WIDTH, console.width))


def screen(answer: Mapping[str, Any], language: str) -> RenderableType:
    """The assessment in one language."""
    parts: list[RenderableType] = [Rule(_word("title", language), style="dim"), _head(answer, language)]
    true = [trigger for trigger in answer["triggers"] if trigger["state"] == "true"]
    if true:
        parts += [Text(), Text(_word("triggers", language), style="bold"), *_indicators(true, language)]
    for direction in ("raises", "lowers"):
        reasons = [reason for reason in answer["reasons"] if reason["direction"] == direction]
        if answer["probability"] is not None:
            parts += [Text(), Text(_word(direction, language), style="bold"), _reasons(reasons, language)]
    if answer["verification"]:
        found = _indicators(answer["verification"], language)
        parts += [Text(), Text(_word("verification", language), style="bold"), *found]
    if answer["policy_candidates"]:
        parts += [Text(), Text(_word("candidates", language), style="bold"), *_candidates(answer, language)]
    if answer["questions"]:
        parts += [Text(), Text(_word("questions", language), style="bold")]
        parts += [_item(_question(question, language)) for question in answer["questions"]]
    if answer["data_gaps"]:
        parts += [Text(), Text(_word("gaps", language), style="bold"), _gaps(answer["data_gaps"], language)]
    parts += [Text(), Text(_word("limits", language), style="bold")]
    parts += [_item(_plain(limit[language])) for limit in answer["limits"]]
    parts += [Text(), Text(_word("decides", language), style="bold")]
    return Group(*parts)


def per_100(answer: Mapping[str, Any], language: str) -> str:
    """The score as a person says it; what cannot be said has its own sentence.

    >>> label = {"en": "falls below the line within 12 months"}
    >>> per_100({"status": "scored", "per_100": 12.0, "base_rate_per_100": 3.4, "label": label}, "en")
    'Foreseen: falls below the line within 12 months. Of 100 households with similar records it happened to about 12, \
of 100 households overall to 3.4.'
    """
    if answer["status"] == "error":
        return _word("error", language)
    if answer["per_100"] is None:
        return _plain(answer["limits"][0][language])
    few, usual, outcome = (
        f"{answer['per_100']:g}",
        f"{answer['base_rate_per_100']:g}",
        answer["label"].get(language, ""),
    )
    if language == "zh":
        return f"预测事项：{_plain(outcome)}。记录相近的100户中约有{few}户出现（全部家庭每100户中约{usual}户）。"
    return (
        f"Foreseen: {_plain(outcome)}. Of 100 households with similar records it happened to about {few}, "
        f"of 100 households overall to {usual}."
    )


def _head(answer: Mapping[str, Any], language: str) -> RenderableType:
    shape, style, zh, en = TIERS[answer["tier"]]
    lines = [
        Text.assemble((f"{shape} {zh if language == 'zh' else en}", style), f"   {_plain(answer['household_id'])}"),
        Text(_plain(answer["frequency"][language]) if answer["frequency"] else per_100(answer, language)),
    ]
    if answer["status"] == "scored_low_confidence":
        lines.append(Text(_word("low_confidence", language)))
    coverage = answer["data_quality"]["coverage"]
    until = answer["valid_until"][:10]
    if answer["points"] is not None:
        lines.append(Text(f"{', '.join(answer['tier_basis'])} · {_word('points', language)} {answer['points']:.0f}"))
    dates = f"{_word('as_of', language)} {_moment(answer['as_of'])} · {_word('valid_until', language)} {until}"
    known = "" if coverage is None else f" · {coverage:.0%} {_word('known', language)}"
    known = f" · {_word('known', language)} {coverage:.0%}" if known and language == "zh" else known
    lines.append(Text(dates + known, style="dim"))
    model = answer["model"]
    lines.append(
        Text(f"{_plain(model['name'])} {_plain(model['version'])} · {model['bundle_sha256'][:12]}", style="dim")
    )
    return Group(*lines)


def _moment(as_of: str) -> str:
    """The moment of judgement; midnight is the end of the day before, which is what a person means by a date.

    >>> _moment("2027-01-01T00:00:00+08:00"), _moment("2026-11-01T14:30:00+08:00")
    ('2026-12-31', '2026-11-01 14:30')
    """
    moment = datetime.fromisoformat(as_of)
    if moment.time() == time():
        return (moment - timedelta(days=1)).date().isoformat()
    return f"{moment:%Y-%m-%d %H:%M}"


def _reasons(reasons: Sequence[Mapping[str, Any]], language: str) -> RenderableType:
    if not reasons:
        return _item(_word("none", language), style="dim")
    parts: list[RenderableType] = []
    for reason in reasons:
        strength = _word(reason["strength"], language)
        title = (
            f"{_plain(reason['group_text'][language])}（{strength}）"
            if language == "zh"
            else (f"{_plain(reason['group_text'][language])} ({strength})")
        )
        parts.append(Padding(Text(title), (0, 0, 0, 2)))
        for fact in reason["facts"]:
            parts.append(_item(_plain(fact["text"][language]), indent=4))
            parts += [Padding(_event(event, language), (0, 0, 0, 6)) for event in fact["events"]]
            hidden = fact["n_events"] - len(fact["events"])
            if hidden > 0:
                more = f"{_word('more', language)} {hidden}" + (" 条" if language == "zh" else "")
                parts.append(Padding(Text(more, style="dim"), (0, 0, 0, 6)))
    return Group(*parts)


def _indicators(found: Sequence[Mapping[str, Any]], language: str) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for each in found:
        shape = TIERS[each["tier"]][0] + " " if each.get("tier") in TIERS else ""
        parts.append(_item(f"{shape}{_plain(each['id'])} {_plain(each['text'][language])}"))
        parts += [Padding(_event(event, language), (0, 0, 0, 4)) for event in each["evidence"]]
    return parts


def _question(question: Mapping[str, Any], language: str) -> str:
    """A question, and the range that plausible answers bring the number of 100 households to.

    >>> asked = {"text": {"en": "How many live here?"}, "if_known": [3, 9]}
    >>> _question(asked, "en"), _question({**asked, "if_known": [3, 3]}, "en")
    ('How many live here? (if known, of 100 about 3 to 9)', 'How many live here?')
    """
    text, known = _plain(question["text"][language]), question["if_known"]
    if known is None or known[0] == known[1]:
        return text
    low, high = (f"{number:g}" for number in known)
    said = _word("if_known", language)
    return f"{text}（{said}{low}–{high}户）" if language == "zh" else f"{text} ({said} {low} to {high})"


def _candidates(answer: Mapping[str, Any], language: str) -> list[RenderableType]:
    """The first candidates, each with what it waits for, and the fact that helps most."""
    parts: list[RenderableType] = []
    listed = answer["policy_candidates"]
    for each in listed[:MAX_CANDIDATES]:
        words = [_word(each["status"], language)]
        if each["depends_on"]:
            words[0] += " " + "/".join(each["depends_on"])
        if each["against"]:
            words.append(_word("against", language))
        if each["missing_text"]:
            facts = [_plain(text[language]) for text in each["missing_text"]]
            words.append(f"{_word('needs', language)}: " + ("、" if language == "zh" else ", ").join(facts))
        parts.append(_item(f"{each['item']} {_plain(each['text'][language])} · " + " · ".join(words)))
    if len(listed) > MAX_CANDIDATES:
        more = f"{_word('more', language)} {len(listed) - MAX_CANDIDATES}" + (" 项" if language == "zh" else "")
        parts.append(_item(more, style="dim"))
    if answer["unlocks"]:
        first = answer["unlocks"][0]
        fact = f"{_word('unlocks', language)}: {_plain(first['text'][language])} ({', '.join(first['items'])})"
        parts.append(_item(fact))
    return parts


def _event(event: Mapping[str, Any], language: str) -> Text:
    dates = (
        f"{_word('occurred', language)} {event['occurred_at'][:10]} · "
        f"{_word('reported', language)} {event['known_at'][:10]}"
    )
    return Text(f"{_plain(event['code'])} · {dates} · {_plain(event['source'])}", style="dim")


def _gaps(gaps: Sequence[Mapping[str, Any]], language: str) -> RenderableType:
    parts = [_item(_plain(gap["text"][language])) for gap in gaps[:MAX_GAPS]]
    if len(gaps) > MAX_GAPS:
        more = f"{_word('more', language)} {len(gaps) - MAX_GAPS}" + (" 项" if language == "zh" else "")
        parts.append(_item(more, style="dim"))
    return Group(*parts)


def _item(text: str, indent: int = 2, style: str = "") -> RenderableType:
    """A bulleted line whose further lines stay behind the bullet."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1, no_wrap=True)
    row.add_column(ratio=1, overflow="fold")
    row.add_row("·", Text(text, style=style))
    return Padding(row, (0, 0, 0, indent))


def _word(name: str, language: str) -> str:
    zh, en = WORDS[name]
    return zh if language == "zh" else en


def _plain(text: str) -> str:
    """Text from outside without characters that could move the cursor or turn the line around.

    >>> _plain("a\\x1b[2Jb\\u202ec\\n")
    'a[2Jbc'
    """
    return "".join(char for char in str(text) if unicodedata.category(char) not in ("Cc", "Cf"))
