"""The model card as a page of Markdown, in Chinese or in English; readable without its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from features.definition import Text
from models import card_texts as texts
from models.card import is_number

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
PICTURE = "calibration.png"
Lines = list[str]


def markdown(card: Mapping[str, Any], lang: Language, *, picture: str | None = None) -> str:
    """The page of a card. `picture` is the calibration plot's address relative to the page; left out if None."""
    if lang not in LANGUAGES:
        raise ValueError("a card is written in zh or en")
    page = _Page(lang)
    head = f"# {page.word('card')}: {card['name']} {card['version']}"
    lines = [
        head,
        "",
        f"SHA-256 {card['bundle_sha256']}",
        "",
        page.named("valid_until", page.shown(card["valid_until"])),
    ]
    if card["missing"]:
        named = [page.say(texts.TITLES.get(name, texts.WORDS.get(name))) for name in card["missing"]]
        lines += ["", page.named("missing", page.listed(named))]
    for name, write in _SECTIONS.items():
        lines += ["", f"## {page.say(texts.TITLES[name])}", "", *write(page, card)]
        if name == "calibration" and picture is not None:
            lines += ["", f"![{page.word('picture')}]({picture})"]
    return "\n".join(lines) + "\n"


class _Page:
    """Words, figures and tables in one language."""

    def __init__(self, lang: Language) -> None:
        self.lang = lang

    def say(self, text: Text | Mapping[str, str] | None) -> str:
        if text is None:
            return ""
        given = text._asdict() if isinstance(text, Text) else text
        return str(given[self.lang])

    def word(self, name: str) -> str:
        return self.say(texts.WORDS[name])

    def named(self, name: str, value: str) -> str:
        """A word and what belongs to it, with the language's own colon."""
        return f"{self.word(name)}：{value}" if self.lang == "zh" else f"{self.word(name)}: {value}"

    def item(self, name: str, value: str) -> str:
        return f"- {self.named(name, value)}"

    def listed(self, those: Sequence[str]) -> str:
        return ("、" if self.lang == "zh" else ", ").join(those)

    def counted(self, name: str, value: object) -> str:
        return f"{self.count(value)} {self.word(name)}"

    def shown(self, value: object) -> str:
        """A figure; what is not known is said to be not on record, never 0."""
        if value is None or value == "" or value == [] or value == {}:
            return self.say(texts.NOT_REPORTED)
        if not is_number(value):
            return str(value).replace("|", "/").replace("\n", " ")
        number = float(value)  # type: ignore[arg-type]
        is_whole = isinstance(value, int) or (number.is_integer() and abs(number) >= 2)
        return f"{number:,.0f}" if is_whole else f"{number:.3f}"

    def percent(self, value: object) -> str:
        return f"{100 * float(value):.1f} %" if is_number(value) else self.shown(None)  # type: ignore[arg-type]

    def count(self, value: object) -> str:
        """A number of households or of their rows; None means too few to be published."""
        return f"{value:,.0f}" if is_number(value) else self.say(texts.FEW)

    def interval(self, value: Sequence[float] | None) -> str:
        if value is None or not all(map(is_number, value)):
            return "–"
        return f"{value[0]:.3f} {self.word('until')} {value[1]:.3f}"

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
        head = [self.say(texts.WORDS.get(column)) or column for column in columns]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        return lines + ["| " + " | ".join(row) + " |" for row in rows]

    def items(self, those: Sequence[Mapping[str, str]]) -> Lines:
        return [f"- {self.say(one)}" for one in those]

    def nothing(self) -> Lines:
        return [self.say(texts.NOT_REPORTED)]


def _foresees(page: _Page, card: Mapping[str, Any]) -> Lines:
    of = card["foresees"]
    return [
        f"{page.say(of)} ({of['name']}, {of['horizon_months']} {page.word('horizon')})",
        "",
        page.named("base_rate", f"{100 * of['base_rate']:.1f}"),
    ]


def _data(page: _Page, card: Mapping[str, Any]) -> Lines:
    of = card["data"]
    shown = (
        ("name", of["name"]),
        ("provenance", of["provenance"]),
        ("digest", of["digest"]),
        ("regions", ", ".join(of["regions"])),
        ("train_rows", of["train_rows"]),
        ("train_until", of["train_until"]),
    )
    lines = [page.item(name, page.shown(value)) for name, value in shown]
    test = of["test"]
    if test is None:
        lines.append(page.item("test", page.say(texts.NOT_REPORTED)))
    else:
        counts = page.listed([page.counted(name, test[name]) for name in ("rows", "households", "positives")])
        lines.append(page.item("test", f"{test['first']} {page.word('until')} {test['last']}; {counts}"))
    rows = [[one["source"], page.shown(one["median_days"]), page.shown(one["p95_days"])] for one in of["sources"]]
    return [*lines, "", *page.table(("source", "median_lag", "late_lag"), rows)]


def _label_honesty(page: _Page, card: Mapping[str, Any]) -> Lines:
    of = card["label_honesty"]
    lines = [*page.items(of["texts"]), page.item("treated", page.percent(of["treated_share"])), ""]
    if not of["routes"]:
        return [*lines, page.named("route", page.say(texts.NOT_REPORTED))]
    rows = [[page.say(texts.ROUTES.get(name)) or name, page.count(n)] for name, n in of["routes"].items()]
    return [*lines, *page.table(("route", "rows"), rows)]


def _model(page: _Page, card: Mapping[str, Any]) -> Lines:
    of = card["model"]
    lines = [
        page.say(of["text"]),
        "",
        page.item("members", page.shown(of["members"])),
        page.item("features", str(of["features"])),
        f"- {page.say(texts.MONOTONE)}: {of['monotone']}",
        "",
    ]
    rows = [[page.say(one), page.shown(one["features"]), page.percent(one["share"])] for one in of["domains"]]
    return lines + page.table(("domain", "features", "weight"), rows)


def _performance(page: _Page, card: Mapping[str, Any]) -> Lines:
    of = card["performance"]
    if not of["metrics"]:
        return page.nothing()
    rows = [[page.say(one), page.shown(one["value"]), page.interval(one["interval"])] for one in of["metrics"]]
    lines = page.table(("metric", "value", "interval"), rows)
    if of["challengers"]:
        ours = {one["metric"]: one["value"] for one in of["metrics"]}
        columns = {page.word("model"): ours}
        columns |= {page.say(texts.MODELS.get(name)) or name: values for name, values in of["challengers"].items()}
        kept = [name for name in texts.METRICS if any(name in values for values in columns.values())]
        rows = [
            [page.say(texts.METRICS[name]), *(f"{v[name]:.3f}" if name in v else "–" for v in columns.values())]
            for name in kept
        ]
        lines += ["", *page.table(("metric", *columns), rows)]
    if not of["comparisons"]:
        return lines
    rows = [
        [
            page.say(texts.MODELS.get(one["name"])) or one["name"],
            page.say(texts.METRICS.get(one["metric"])) or one["metric"],
            f"{one['difference']:+.3f}" if is_number(one["difference"]) else "–",
            page.interval([one["low"], one["high"]]),
            page.say(texts.VERDICTS.get(one["verdict"])) or one["verdict"],
        ]
        for one in of["comparisons"]
    ]
    return [*lines, "", *page.table(("against", "metric", "difference", "interval", "verdict"), rows)]


def _capacity(page: _Page, card: Mapping[str, Any]) -> Lines:
    rows = [
        [page.say(one), page.percent(one["share"]), page.shown(one["from_probability"]), page.percent(one["reached"])]
        for one in card["capacity"]
    ]
    return page.table(("tier", "share", "from", "reached"), rows)


def _calibration(page: _Page, card: Mapping[str, Any]) -> Lines:
    deciles = card["calibration"]["deciles"]
    if not deciles:
        return page.nothing()
    few = page.say(texts.FEW)
    rows = [
        [
            str(number),
            page.count(one["rows"]),
            page.percent(one["foretold"]) if is_number(one["foretold"]) else few,
            page.percent(one["observed"]) if is_number(one["observed"]) else few,
        ]
        for number, one in enumerate(deciles, start=1)
    ]
    return page.table(("decile", "rows", "foretold", "observed"), rows)


def _groups(page: _Page, card: Mapping[str, Any]) -> Lines:
    if not card["groups"]:
        return [*page.nothing(), page.say(texts.INSUFFICIENT)]
    rows = [
        [
            page.say(one),
            page.count(one.get("households")),
            page.percent(one["recall"]) if is_number(one.get("recall")) else "–",
            page.interval(one.get("recall_interval")),
            page.shown(one["observed_expected"]) if is_number(one.get("observed_expected")) else "–",
            page.say(texts.VERDICTS.get(one["verdict"])) or str(one["verdict"]),
        ]
        for one in card["groups"]
    ]
    recall, level = (page.say(texts.METRICS[name]) for name in ("recall_at_10pct", "observed_expected"))
    return page.table(("group", "households", recall, "interval", level, "verdict"), rows)


def _abstention(page: _Page, card: Mapping[str, Any]) -> Lines:
    of = card["abstention"]
    if not of:
        return page.nothing()
    lines = [page.item("share", page.percent(of["share"]))]
    codes = of.get("codes") or {}
    return [*lines, "", *page.table(("code", "rows"), [[name, page.count(n)] for name, n in codes.items()])]


def _gates(page: _Page, card: Mapping[str, Any]) -> Lines:
    if not card["gates"]:
        return page.nothing()
    rows = []
    for gate in card["gates"]:
        result = texts.UNDECIDED if not gate.get("decided", True) else texts.PASSED if gate["passed"] else texts.FAILED
        needed = str(gate.get("bound", ""))
        name, in_chinese = texts.GATES.get(gate["name"], (Text(gate["name"], gate["name"]), needed))
        needed = in_chinese if page.lang == "zh" else needed
        rows.append([page.say(name), page.shown(gate.get("value")), needed, page.say(result)])
    return page.table(("gate", "value", "needed", "result"), rows)


def _cannot_know(page: _Page, card: Mapping[str, Any]) -> Lines:
    absent = [page.say(one) for one in card["absent_domains"]] or [page.word("none")]
    return [*page.items(card["cannot_know"]), page.item("absent_domains", page.listed(absent))]


def _versions(page: _Page, card: Mapping[str, Any]) -> Lines:
    of = card["versions"]
    rows = [[name, str(version)] for name, version in of["libraries"].items()]
    rows += [[name, page.shown(of[name])] for name in ("features_digest", "trees_sha256")]
    return page.table(("library", "value"), rows)


_SECTIONS: dict[str, Callable[[_Page, Mapping[str, Any]], Lines]] = {
    "intended_uses": lambda page, card: page.items(card["intended_uses"]),
    "forbidden_uses": lambda page, card: page.items(card["forbidden_uses"]),
    "foresees": _foresees,
    "data": _data,
    "label_honesty": _label_honesty,
    "model": _model,
    "performance": _performance,
    "capacity": _capacity,
    "calibration": _calibration,
    "groups": _groups,
    "abstention": _abstention,
    "gates": _gates,
    "cannot_know": _cannot_know,
    "decision": lambda page, card: page.items(card["decision"]["texts"]),
    "objection": lambda page, card: page.items(card["objection"]),
    "versions": _versions,
}
