"""What happened around one household: how help came about, the visits recorded here, and every earlier assessment.

The newest attempt stands first even when it came to no score: an old complete score never hides a new incomplete one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.window import Micros, written
from models.record_frame import per_100
from serving.desk import Desk, Visit
from serving.pages import chain_view
from serving.pages.chain_view import ChainShown, chain_shown
from serving.pages.rendering import page
from serving.pages.routes import reader_of
from serving.pages.shown import Reader, TierShown, plain, tier_shown
from serving.pages.sparkline import Sparkline, sparkline
from serving.pages.view import BLIND, HUMAN_ONLY, OPTED_OUT, state_of
from serving.store.assessments import Row

MOST_ASSESSMENTS = 24
VISIT = "visit"

WORDS: dict[str, tuple[str, str]] = {
    **chain_view.WORDS,
    "household_title": ("帮扶经过与历次评估", "Help so far and earlier assessments"),
    "household_back": ("回到走访页", "Back to the visit page"),
    "household_waits": ("隔了多久", "How long it took"),
    "household_visits": ("系统里记下的走访", "Visits recorded here"),
    "household_no_visits": ("还没有记下带新情况的走访。", "No visit that added anything is recorded yet."),
    "household_visit_on": (
        "{day}记下走访，并重新评估",
        "A visit was recorded on {day} and the household assessed again",
    ),
    "household_unchanged": ("没有变化的说明。", "No change is described."),
    "household_assessments": ("历次评估（新的在前）", "Assessments, newest first"),
    "household_first": ("最新", "latest"),
    "household_this": ("您来自这一次", "you came from this one"),
    "household_per_100": ("每100户约{n}户", "about {n} of 100"),
    "household_open": ("打开", "Open"),
    "household_row_only": ("这一次只留了结果，没有留全文。", "Only the result of this one was kept."),
    "household_model": ("模型{name}", "model {name}"),
    "household_status_scored": ("有分数", "scored"),
    "household_status_scored_low_confidence": ("有分数，把握不大", "scored, uncertain"),
    "household_status_abstained": ("资料不足，没有分数", "too little known, no score"),
    "household_status_rules_only": ("只按规则，没有分数", "rules only, no score"),
    "household_status_error": ("计算失败，没有分数", "failed, no score"),
    "household_hidden": (
        "请先在走访页说出您的判断，再看等级和分数。",
        "Give your own view on the visit page first; tiers and scores show after it.",
    ),
    "household_human_only": (
        "这户不愿由系统评估，这里不显示等级和分数。",
        "This household does not want to be assessed by a system; no tier or score is shown.",
    ),
    "household_line": ("每100户中约几户，逐次", "Of 100 similar households, time by time"),
    "household_line_at": ("{day}：{n}户", "{day}: {n}"),
    "household_line_none": ("{day}：没有分数", "{day}: no score"),
    "household_line_note": (
        "断开处没有分数。没有分数不表示风险低。",
        "Where the line breaks there was no score. No score does not mean low risk.",
    ),
}


@dataclass(frozen=True)
class AssessmentShown:
    """One assessment of the past. `tier` and `per_100` are empty where they may not be seen; `change` says what was
    different from the one before it."""

    assessment_id: str
    day: str
    status: str
    tier: TierShown | None
    per_100: str
    change: str
    model: str
    is_kept_whole: bool
    is_this: bool


@dataclass(frozen=True)
class VisitShown:
    """A visit recorded here: its day and what it changed."""

    day: str
    change: str


@dataclass(frozen=True)
class HouseholdView:
    """The page. `hides` is `blind` or `human_only` where tiers and numbers are not shown, otherwise empty."""

    assessment_id: str
    household: str
    hides: str
    chain: ChainShown
    visits: tuple[VisitShown, ...]
    assessments: tuple[AssessmentShown, ...]
    line: Sparkline | None


def household(request: Request) -> Response:
    """`GET /household/{assessment_id}`: named by an assessment, so that no household's id stands in an address."""
    desk: Desk = request.app.state.desk
    visit = desk.visit(request.path_params["assessment_id"])
    rows = desk.history(visit.row.household_id, limit=MOST_ASSESSMENTS)
    records = {row.assessment_id: desk.record(row.assessment_id) for row in rows if row.has_record}
    reader = reader_of(request)
    speaks = desk.settings.speaks_numbers
    view = household_view(visit, rows, records, reader, speaks_numbers=speaks)
    return page(request, "household.html", words=WORDS, view=view)


def household_view(
    visit: Visit,
    rows: Sequence[Row],
    records: Mapping[str, Mapping[str, Any]],
    reader: Reader,
    *,
    speaks_numbers: bool = True,
) -> HouseholdView:
    """What the page shows to this reader. `rows` come newest first, `records` hold those that were kept whole."""
    hides = _hides(visit, rows, records)
    shown = _Shown(reader, hides, speaks_numbers, visit.row.assessment_id)
    return HouseholdView(
        assessment_id=plain(visit.record["assessment_id"]),
        household=plain(visit.record["household_id"]),
        hides=hides,
        chain=chain_shown(_that_tells(visit, rows, records), reader),
        visits=tuple(shown.visit(row, records.get(row.assessment_id)) for row in rows if row.origin == VISIT),
        assessments=tuple(shown.assessment(row, records.get(row.assessment_id)) for row in rows),
        line=shown.line(rows),
    )


def _hides(visit: Visit, rows: Sequence[Row], records: Mapping[str, Mapping[str, Any]]) -> str:
    """Why tiers and numbers are not shown, also on the page of an old assessment; empty where they are."""
    newest = records.get(rows[0].assessment_id) if rows else None
    if newest is not None and any(code["code"] == OPTED_OUT for code in newest["abstention"]):
        return HUMAN_ONLY
    state = state_of(visit)
    return state if state in (BLIND, HUMAN_ONLY) else ""


def _that_tells(visit: Visit, rows: Sequence[Row], records: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The newest record whose computation came to an end: one that failed tells no steps, and that is no news."""
    whole = (records[row.assessment_id] for row in rows if row.assessment_id in records and row.status != "error")
    return next(whole, visit.record)


@dataclass(frozen=True)
class _Shown:
    """Assessments in the words of one reader."""

    reader: Reader
    hides: str
    speaks_numbers: bool
    asked_for: str

    def assessment(self, row: Row, record: Mapping[str, Any] | None) -> AssessmentShown:
        number = self._number(row)
        return AssessmentShown(
            assessment_id=plain(row.assessment_id),
            day=self._day(row.as_of),
            status=plain(row.status),
            tier=None if self.hides or row.status == "error" else tier_shown(row.tier, self.reader),
            per_100="" if number is None else f"{number:g}",
            change=self._change(record),
            model=_model(row, record),
            is_kept_whole=record is not None,
            is_this=row.assessment_id == self.asked_for,
        )

    def visit(self, row: Row, record: Mapping[str, Any] | None) -> VisitShown:
        """A visit came in when its assessment did; its own day stands in the chain."""
        on = self.reader.day(written(row.stored_at, self.reader.time_zone))
        return VisitShown(on, self._change(record))

    def line(self, rows: Sequence[Row]) -> Sparkline | None:
        """The numbers over time; None where they are not to be seen or no two stand there to be compared."""
        oldest_first = list(reversed(rows))
        numbers = [self._number(row) for row in oldest_first]
        if self.hides or sum(number is not None for number in numbers) < 2:
            return None
        said = []
        for row, number in zip(oldest_first, numbers, strict=True):
            key = "household_line_none" if number is None else "household_line_at"
            told = "" if number is None else f"{number:g}"
            said.append(self._word(key, day=self._day(row.as_of), n=told))
        return sparkline([row.as_of for row in oldest_first], numbers, tuple(said))

    def _number(self, row: Row) -> float | None:
        if self.hides or not self.speaks_numbers or row.probability is None:
            return None
        return per_100(row.probability)

    def _change(self, record: Mapping[str, Any] | None) -> str:
        change = None if record is None else record.get("change")
        return "" if self.hides or not change else self.reader.says(change["text"])

    def _day(self, as_of: Micros) -> str:
        return self.reader.judged_day(written(as_of, self.reader.time_zone))

    def _word(self, key: str, **values: object) -> str:
        return WORDS[key][0 if self.reader.lang == "zh" else 1].format(**values)


def _model(row: Row, record: Mapping[str, Any] | None) -> str:
    """The model's version, or the first letters of its bundle's hash where only the row was kept."""
    return plain(row.bundle_sha256[:12] if record is None else record["model"]["version"])


ROUTES = [Route("/household/{assessment_id}", household, methods=["GET"])]
