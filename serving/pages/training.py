"""Training with twenty synthetic cases whose outcome is known: when to go with a score and when not to.

Nothing about the trainee is kept: where somebody is and what they said so far stands in the address and in the form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.window import as_of_moment
from serving.desk import Visit
from serving.errors import UnknownAddress
from serving.pages import chain_view
from serving.pages.chain_view import ChainShown, chain_shown
from serving.pages.rendering import page
from serving.pages.routes import reader_of
from serving.pages.shown import Reader, TierShown, tier_shown
from serving.pages.view import FactShown, QuestionShown, VisitView, visit_view
from serving.store.assessments import Row

PLACE = Path(__file__).parent / "cases" / "training.json"
SCHEMA = "training_cases.v1"
CONCERNS = {"l": "low", "m": "medium", "h": "high"}
SKIPPED = "-"
# "High" is what asks for a visit soon, by tier; everything else, also no score at all, is not.
HIGH = ("red", "orange")

WORDS: dict[str, tuple[str, str]] = {
    **chain_view.WORDS,
    "training_title": ("练习：什么时候不听分数的", "Practice: when not to go with the score"),
    "training_lead": (
        "20户虚构的人家，一年后的结果已经知道。",
        "Twenty invented households. What happened within a year is known.",
    ),
    "training_how_1": (
        "先看记录，说说您有多担心、先问什么。",
        "First look at the record: how worried are you, what would you ask?",
    ),
    "training_how_2": ("再看分数和一年后的结果。", "Then see the score and what happened within a year."),
    "training_how_3": (
        "有的分数高却没事，有的分数低却出了事，有的记录是错的。",
        "Some have a high score and nothing happened, some a low one and something did, some records are wrong.",
    ),
    "training_kept": (
        "不记名，不打分，不保存，也不用于考核。",
        "No names, no marks, nothing is saved, and nobody is rated by it.",
    ),
    "training_start": ("开始", "Start"),
    "training_progress": ("第{n}户，共{of}户", "Case {n} of {of}"),
    "training_leave": ("退出练习", "Leave the practice"),
    "training_records": ("记录中的情况", "What is on record"),
    "training_no_records": ("没有可以列出的记录", "No record to list"),
    "training_rules": ("触发的规则", "Rules that hold"),
    "training_gaps": ("不知道的", "Not known"),
    "training_at_visit": ("您上门得知", "At the visit you learn"),
    "training_concern": ("您对这户有多担心？", "How worried are you about this household?"),
    "training_question": ("您会先问哪一个？", "Which would you ask first?"),
    "training_no_question": ("都不先问", "None of these"),
    "training_show": ("看分数和结果", "Show the score and what happened"),
    "training_missing": ("请先选低、中或高。", "Please choose low, medium or high first."),
    "training_reveal": ("结果", "What happened"),
    "training_yours": ("您的判断", "Your view"),
    "training_systems": ("系统的提示", "The system"),
    "training_outcome": ("12个月内", "Within 12 months"),
    "training_no_score": ("没有分数", "no score"),
    "training_corrected": (
        "去掉错的记录：每100户约{n}户。",
        "Without the wrong records: about {n} of 100.",
    ),
    "training_asked": ("您先问的", "What you asked first"),
    "training_lesson": ("可以学到", "What to take away"),
    "training_reasons": ("与分数有关的记录", "Records that go with the score"),
    "training_next": ("下一户", "Next case"),
    "training_sum": ("20户看下来", "All twenty cases"),
    "training_sum_happened": ("出了事的", "Something happened"),
    "training_sum_nothing": ("没出事的", "Nothing happened"),
    "training_sum_households": ("户数", "Households"),
    "training_sum_high": ("您说“高”", "You said “high”"),
    "training_sum_system": ("系统排在前面", "System puts first"),
    "training_sum_note": (
        "人和分数各有看漏的。核对记录、多问一句，比哪一个都强。",
        "People and scores each miss some. Checking the record and asking once more beats either.",
    ),
    "training_again": ("再来一遍", "Once more"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One training case: its record, what a visitor learns, and what came of it."""

    number: int
    kind: str
    record: dict[str, Any]
    at_visit: Mapping[str, str] | None
    happened: bool
    outcome: Mapping[str, str]
    corrected: Mapping[str, Any] | None
    lesson: Mapping[str, str]

    @property
    def is_high(self) -> bool:
        """Whether the system would send somebody soon."""
        return self.record["tier"] in HIGH


@dataclass(frozen=True)
class CaseView:
    """A case before or after the trainee has spoken. `facts` and `rules` tell no direction and no tier; `told` is the
    page of the assessment and None before; so are the fields that give the outcome away."""

    number: int
    of: int
    facts: tuple[FactShown, ...]
    rules: tuple[FactShown, ...]
    gaps: tuple[str, ...]
    chain: ChainShown
    questions: tuple[QuestionShown, ...]
    at_visit: str
    told: VisitView | None
    outcome: str
    lesson: str
    corrected: str
    corrected_tier: TierShown | None
    asked: QuestionShown | None


@dataclass(frozen=True)
class Sums:
    """All cases counted by what happened: households, those called high by the trainee, and by the system."""

    happened: tuple[int, int, int]
    nothing: tuple[int, int, int]


@cache
def cases() -> tuple[Case, ...]:
    """The cases in their order."""
    written = json.loads(PLACE.read_text("utf-8"))
    if written["schema"] != SCHEMA:
        raise ValueError(f"{PLACE.name} is not {SCHEMA}; make it again with serving.pages.case_making")
    return tuple(
        Case(
            number=each["case"],
            kind=each["kind"],
            record=each["record"],
            at_visit=each["at_visit"],
            happened=each["outcome"]["happened"],
            outcome=each["outcome"]["text"],
            corrected=each["corrected"],
            lesson=each["lesson"],
        )
        for each in written["cases"]
    )


def case_view(case: Case, reader: Reader, *, is_told: bool, asked: str = "") -> CaseView:
    """What a trainee sees of a case, before (`is_told` false) or after; `asked` is the id of the question chosen."""
    before = visit_view(_visit(case, hides_score=True), reader)
    after = visit_view(_visit(case, hides_score=False), reader)
    shown = after if is_told else before
    right = case.corrected if is_told else None
    return CaseView(
        number=case.number,
        of=len(cases()),
        facts=before.recorded,
        rules=tuple(replace(rule, tier=None, number=len(before.recorded) + i) for i, rule in enumerate(after.rules, 1)),
        gaps=after.gaps,
        chain=chain_shown(case.record, reader),
        questions=shown.questions,
        at_visit=reader.says(case.at_visit),
        told=after if is_told else None,
        outcome=reader.says(case.outcome) if is_told else "",
        lesson=reader.says(case.lesson) if is_told else "",
        corrected=f"{right['per_100']:g}" if right else "",
        corrected_tier=tier_shown(right["tier"], reader) if right else None,
        asked=next((each for each in after.questions if each.question_id == asked), None) if is_told else None,
    )


def sums(answers: str) -> Sums:
    """How often trainee and system spoke of high concern, by what happened. `answers` is one letter a case."""

    def counted(happened: bool) -> tuple[int, int, int]:
        of = [(case, said) for case, said in zip(cases(), answers, strict=True) if case.happened is happened]
        return len(of), sum(said == "h" for _, said in of), sum(case.is_high for case, _ in of)

    return Sums(counted(True), counted(False))


def start(request: Request) -> Response:
    """`GET /training`: what it is."""
    return page(request, "training.html", words=WORDS, of=len(cases()))


async def one_case(request: Request) -> Response:
    """`GET /training/{n}`: a case to look at. `POST /training/{n}`: what became of it."""
    number = int(request.path_params["n"])
    if not 1 <= number <= len(cases()):
        raise UnknownAddress(f"the cases are numbered 1 to {len(cases())}")
    if request.method != "POST":
        answers = _answers(request.query_params.get("answers", ""), number)
        return await run_in_threadpool(_before, request, number, answers)
    async with request.form(max_files=0, max_fields=20) as form:
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    return await run_in_threadpool(_after, request, number, fields)


def _before(request: Request, number: int, answers: str, *, is_missing: bool = False) -> Response:
    view = case_view(cases()[number - 1], reader_of(request), is_told=False)
    status = 422 if is_missing else 200
    variables = {"view": view, "answers": answers, "is_missing": is_missing, "concern": None, "sums": None}
    return _page(request, number, status, variables)


def _after(request: Request, number: int, fields: Mapping[str, str]) -> Response:
    answers = _answers(fields.get("answers", ""), number)
    letter = next((letter for letter, concern in CONCERNS.items() if concern == fields.get("concern")), None)
    if letter is None:
        return _before(request, number, answers, is_missing=True)
    view = case_view(cases()[number - 1], reader_of(request), is_told=True, asked=fields.get("question", ""))
    answers += letter
    is_last = number == len(cases())
    variables = {
        "view": view,
        "answers": answers,
        "is_missing": False,
        "concern": CONCERNS[letter],
        "sums": sums(answers) if is_last else None,
    }
    return _page(request, number, 200, variables)


def _page(request: Request, number: int, status: int, variables: dict[str, Any]) -> Response:
    path = f"/training/{number}"
    return page(request, "training_case.html", status=status, words=WORDS, path=path, **variables)


def _answers(written: str, number: int) -> str:
    """One letter for each case before this one; what is missing or unreadable was skipped.

    >>> _answers("hx", 4), _answers("hml", 2)
    ('h--', 'h')
    """
    known = re.sub(rf"[^{''.join(CONCERNS)}]", SKIPPED, written)[: number - 1]
    return known.ljust(number - 1, SKIPPED)


def _visit(case: Case, *, hides_score: bool) -> Visit:
    """The case as the visit page knows households: without a task, because nobody is waiting for anybody."""
    record = case.record
    row = Row(
        assessment_id=record["assessment_id"],
        household_id=record["household_id"],
        as_of=as_of_moment(record["as_of"], "UTC"),
        origin="batch",
        purpose="",
        region="",
        township=None,
        status=record["status"],
        tier=record["tier"],
        tier_computed=record["tier"],
        probability=record["probability"],
        points=None,
        coverage=None,
        months_silent=None,
        bundle_sha256=record["model"]["bundle_sha256"],
        seq=case.number,
        stored_at=0,
        inputs_sha256=None,
        has_record=True,
    )
    name = record["assessment_id"]
    return Visit(
        record=record,
        row=row,
        task=None,
        version=0,
        is_latest=True,
        latest_id=name,
        concern=None,
        hides_score=hides_score,
        fact_states={},
    )


ROUTES = [
    Route("/training", start, methods=["GET"]),
    Route("/training/{n}", one_case, methods=["GET", "POST"]),
]
