"""The caseworker's pages: login, queue, visit, sheet, and the way back. Handlers only translate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from serving import clock
from serving.desk import Desk, Visit
from serving.errors import FieldError, Invalid, KeyReused, Outdated, Refusal
from serving.feedback import Feedback
from serving.pages import forms
from serving.pages.queue_view import address, queue_choices, queue_row, tier_choices
from serving.pages.receipt_view import receipt_view
from serving.pages.rendering import language, page
from serving.pages.sheet import sheet_html
from serving.pages.shown import Reader
from serving.pages.view import (
    FIRST_POLICIES,
    FIRST_QUESTIONS,
    FIRST_RECORDED,
    FIRST_RULES,
    VisitView,
    visit_view,
)
from serving.tokens import Role

ROWS = 25
FILTERS = ("tier", "township", "queue", "cursor")
VISITORS = (Role.CASEWORKER.value, Role.SUPERVISOR.value)
Problems = list[tuple[str, str]]


def login(request: Request) -> Response:
    """`GET /login`: where a token is entered. `serving.addresses` takes it."""
    asked = request.query_params
    following = asked.get("next", "/")
    return page(request, "login.html", failed="failed" in asked, following=following)


def queue(request: Request) -> Response:
    """`GET /`: whom to visit, in order."""
    desk, reader = _desk(request), reader_of(request)
    asked = {name: request.query_params.get(name, "") for name in FILTERS}
    found = desk.queue(**{name: given or None for name, given in asked.items()}, limit=ROWS)
    rows = [queue_row(entry, reader, _record(desk, entry.task.assessment_id)) for entry in found.entries]
    return page(
        request,
        "queue.html",
        rows=rows,
        total=found.total,
        visits=desk.settings.visits,
        asked=asked,
        queues=queue_choices(found, reader, asked),
        tiers=tier_choices(found, reader, asked),
        townships=found.townships if len(found.townships) > 1 else [],
        is_later=bool(asked["cursor"]),
        first_page=address(asked),
        next_page=address(asked, found.next_cursor) if found.next_cursor else "",
    )


def visit(request: Request) -> Response:
    """`GET /visit/{assessment_id}`: one household on one page."""
    return _visit_page(request, _desk(request).visit(request.path_params["assessment_id"]))


def sheet(request: Request) -> Response:
    """`GET /visit/{assessment_id}/sheet`: the same for the printer."""
    found = _desk(request).visit(request.path_params["assessment_id"])
    return HTMLResponse(sheet_html(found, language(request), reader=reader_of(request), is_served=True))


async def concern(request: Request) -> Response:
    """`POST /visit/{assessment_id}/concern`: the visitor's own view, before tier and number."""
    return await run_in_threadpool(_concern, request, await _form(request))


async def feedback(request: Request) -> Response:
    """`POST /visit/{assessment_id}/feedback`: a visit; the receipt, or the page again with what to correct."""
    return await run_in_threadpool(_feedback, request, await _form(request))


def done(request: Request) -> Response:
    """`GET /visit/{assessment_id}/done`: a receipt is shown once; whoever comes back sees the visit."""
    return RedirectResponse(f"/visit/{request.path_params['assessment_id']}", 303)


def reader_of(request: Request) -> Reader:
    """Whom a page is made for, now."""
    desk = _desk(request)
    bundle = desk.scorer.bundle
    return Reader(
        lang=language(request),
        now=clock.now(desk.settings),
        time_zone=bundle.time_zone,
        kinds=bundle.catalogue.by_code,
        currency=bundle.currency,
        suspended=desk.suspended_templates(),
    )


def _concern(request: Request, form: Mapping[str, str]) -> Response:
    desk, name = _desk(request), request.path_params["assessment_id"]
    try:
        told = forms.concern_of(form)
        desk.concern(name, forms.version_of(form), told, role=_role(request), actor=request.state.actor)
    except forms.FormRefused as refused:
        return _visit_page(request, desk.visit(name), problems=refused.problems, status=422)
    except Outdated:
        return _visit_page(request, desk.visit(name), problems=[("version", "problem_outdated")], status=409)
    return RedirectResponse(f"/visit/{name}", 303)


def _feedback(request: Request, form: Mapping[str, str]) -> Response:
    desk, name = _desk(request), request.path_params["assessment_id"]
    reader = reader_of(request)
    try:
        told = forms.feedback_of(form, desk.record(name), reader)
    except forms.FormRefused as refused:
        return _visit_page(request, desk.visit(name), problems=refused.problems, given=form, status=422)
    key = form.get("key") or forms.new_key()
    try:
        receipt = desk.feedback(name, told, key=key, role=_role(request), actor=request.state.actor)
    except (Outdated, KeyReused):
        # A reply that got lost on the way looks the same: what was sent then is recorded, this is something new.
        problems = [("version", "problem_outdated")]
        given = {**form, "key": forms.new_key()}
        return _visit_page(request, desk.visit(name), problems=problems, given=given, status=409)
    except Invalid as refused:
        return _visit_page(
            request, desk.visit(name), problems=form_problems(refused.errors, told), given=form, status=422
        )
    changed = _record(desk, receipt["assessment_id"]) if receipt["assessment_id"] else None
    return page(request, "feedback_done.html", receipt=receipt_view(receipt, changed, reader), path=f"/visit/{name}")


def _visit_page(
    request: Request,
    found: Visit,
    *,
    problems: Problems | None = None,
    given: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    reader = reader_of(request)
    view = visit_view(found, reader)
    filled = forms.prefilled(reader.today) if given is None else given
    return page(
        request,
        "visit.html",
        status=status,
        path=f"/visit/{view.assessment_id}",
        view=view,
        problems=problems or [],
        **report_variables(view, filled, reader, problems or []),
        may_report=request.state.role in VISITORS,
    )


def report_variables(view: VisitView, given: Mapping[str, str], reader: Reader, problems: Problems) -> dict[str, Any]:
    """What the form of a visit page needs: what was entered so far, its lists, and which closed parts to open."""
    touched = {name.partition(".")[0] for name in (*given, *(field for field, _ in problems))}
    others = {fact.fact_id for reason in view.lowers for fact in reason.facts}
    others |= {fact.fact_id for fact in view.rules_to_check}
    is_new = given == forms.prefilled(reader.today)
    return {
        "given": given,
        "today": reader.today,
        # The same key again, so that a form that did arrive is not recorded twice.
        "key": given.get("key") or forms.new_key(),
        "because": forms.BECAUSE,
        "dids": forms.DID,
        "fields": {field: field_id(field) for field, _ in problems},
        "open_others": any(given.get(f"fact.{name}") for name in others),
        "open_questions": "question" in touched,
        "open_helps": "help" in touched,
        "open_visit": not is_new and any(field in ("visited_on", "channel", "outcome") for field, _ in problems),
        "first_questions": FIRST_QUESTIONS,
        "first_rules": FIRST_RULES,
        "first_policies": FIRST_POLICIES,
        "first_recorded": FIRST_RECORDED,
    }


def field_id(field: str) -> str:
    """The id of the element of a field: radio buttons have one each, of which the first is meant.

    >>> field_id("value.income"), field_id("fact.income"), field_id("visited_on")
    ('value.income', 'fact.income-confirmed', 'visited_on')
    """
    first = {"fact": "confirmed", "question": "yes", "judgement": "higher", "household_said": "agreed"}
    first |= {"channel": "home", "outcome": "met"}
    kind = field.partition(".")[0]
    return f"{field}-{first[kind]}" if kind in first else field


def form_problems(errors: Sequence[FieldError], told: Feedback) -> Problems:
    """What the desk refused of a report, by field of the form; each with the key of the word that says what to do."""
    kinds = {"value": "problem_amount_range", "event_id": "problem_event", "answer": "problem_contradiction"}
    problems: Problems = []
    for error in errors:
        match error.path:
            case ("facts", int(i), str(what)) if i < len(told.facts):
                prefix = {"value": "value", "event_id": "event"}.get(what, "fact")
                problems.append((f"{prefix}.{told.facts[i].fact_id}", kinds.get(what, "problem_refused")))
            case ("answers", int(i), str(what)) if i < len(told.answers):
                prefix = "amount" if what == "value" else "question"
                problems.append((f"{prefix}.{told.answers[i].question_id}", kinds.get(what, "problem_refused")))
            case ("visited_on", *_):
                problems.append(("visited_on", "problem_visited_on"))
            case _:
                problems.append(("", "problem_refused"))
    return problems or [("", "problem_refused")]


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name; files are none of them."""
    async with request.form(max_files=0, max_fields=forms.MAX_FIELDS) as fields:
        return {name: value for name, value in fields.multi_items() if isinstance(value, str)}


def _record(desk: Desk, assessment_id: str) -> dict[str, Any] | None:
    """An assessment, None where only its row was kept."""
    try:
        return desk.record(assessment_id)
    except Refusal:
        return None


def _role(request: Request) -> str:
    return str(request.state.role)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


ROUTES = [
    Route("/login", login, methods=["GET"]),
    Route("/", queue, methods=["GET"]),
    Route("/visit/{assessment_id}", visit, methods=["GET"]),
    Route("/visit/{assessment_id}/sheet", sheet, methods=["GET"]),
    Route("/visit/{assessment_id}/concern", concern, methods=["POST"]),
    Route("/visit/{assessment_id}/feedback", feedback, methods=["POST"]),
    Route("/visit/{assessment_id}/done", done, methods=["GET"]),
]
