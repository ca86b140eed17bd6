"""What is served beside BentoML: kept assessments, the queue, visit reports, the card, and the pages.

This application stands in front of BentoML's, because BentoML's metrics and tracing label every path they see, and
paths here name assessments and households. Handlers only translate: what happens is in `serving.desk`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.card import card
from serving.case_messages import (
    ConcernBody,
    History,
    JournalHead,
    KeptAssessment,
    Noted,
    OutcomeBody,
    Queue,
    QueueCounts,
    QueueEntry,
    Replay,
)
from serving.desk import Desk
from serving.document import read_document
from serving.errors import FieldError, Invalid, Overdue
from serving.feedback import Feedback, Recorded
from serving.guard.access import RULE
from serving.guard.pages import cookie
from serving.guard.rules import rule_of
from serving.health import Ready, readyz
from serving.messages import Assessment
from serving.pages import card as card_page
from serving.pages import household, person, routes, training
from serving.reading import field_error
from serving.scoring import in_language
from serving.sessions import SESSION_COOKIE, Sessions, client_of

PAGES = Path(__file__).parent / "pages"
MAX_LIMIT = 200
SCORE = "/score"
T = TypeVar("T", bound=BaseModel)


class Fork:
    """Sends a call to our own application, to that of `POST /score`, or to BentoML's, by the rule that the
    guard found for it."""

    def __init__(self, ours: ASGIApp, theirs: ASGIApp, score: ASGIApp | None = None) -> None:
        self.ours = ours
        self.theirs = theirs
        self.score = theirs if score is None else score

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection; starting and stopping are BentoML's."""
        if scope["type"] != "http":
            return await self.theirs(scope, receive, send)
        rule = scope[RULE]
        if rule.pattern == SCORE:
            return await self.score(scope, receive, send)
        await (self.ours if rule.is_ours else self.theirs)(scope, receive, send)


def addresses(sessions: Sessions) -> Starlette:
    """The application. Its `state` holds the sessions, and from when the bundle is loaded its slot and the desk."""
    app = Starlette(routes=[*MACHINES, *LOGINS, *_pages()])
    app.state.sessions = sessions
    app.state.desk = app.state.slot = None
    return app


def desk_of(request: Request) -> Desk:
    """The desk, or a refusal while the bundle is being loaded."""
    desk: Desk | None = request.app.state.desk
    if desk is None:
        raise Overdue("the model is not loaded yet")
    return desk


async def model(request: Request) -> Response:
    """`GET /model`: the card of the model in use."""
    return JSONResponse(card(desk_of(request).scorer.bundle))


async def queue(request: Request) -> Response:
    """`GET /queue`: open tasks in the order to visit them."""
    desk, asked = desk_of(request), _query(request, "tier", "township", "queue", "limit", "cursor")
    written = asked.pop("limit", "50")
    if not (written.isascii() and written.isdecimal() and 1 <= int(written[:9]) <= MAX_LIMIT):
        raise Invalid.because([FieldError(("query", "limit"), f"must be a number from 1 to {MAX_LIMIT}")])
    page = await run_in_threadpool(lambda: desk.queue(**asked, limit=int(written)))
    entries = [
        QueueEntry(
            position=each.position,
            place=each.place,
            because=each.because,  # type: ignore[arg-type]
            queue="manual" if each.task.is_manual else "scored",
            opened_at=desk.written(each.task.opened_at),
            updated_at=desk.written(each.task.updated_at),
            **{name: getattr(each.task, name) for name in _OF_TASK},
        )
        for each in page.entries
    ]
    counts = QueueCounts(total=page.counts.total, by_tier=page.counts.by_tier, by_queue=page.counts.by_queue)
    return _answer(
        Queue(
            entries=entries,
            next_cursor=page.next_cursor,
            total=page.total,
            counts=counts,
            townships=page.townships,
        )
    )


_OF_TASK = (
    *("household_id", "assessment_id", "version", "township", "status", "tier"),
    *("probability", "points", "is_human_only"),
)


async def assessment(request: Request) -> Response:
    """`GET /assessments/{id}`: an assessment as it was kept; the header tells the version of the household's task."""
    desk, language, name = desk_of(request), _language(request), request.path_params["assessment_id"]
    record = await run_in_threadpool(desk.record, name)
    task = await run_in_threadpool(desk.task, name)
    version = "0" if task is None else str(task.version)
    return JSONResponse(in_language(record, language), headers={"X-Task-Version": version})


async def replay(request: Request) -> Response:
    """`GET /assessments/{id}/replay`: an assessment worked out again and compared with what was told."""
    desk, name = desk_of(request), request.path_params["assessment_id"]
    _query(request)
    return _answer(Replay(**await run_in_threadpool(desk.replay, name)))


async def history(request: Request) -> Response:
    """`GET /households/{household_id}/assessments`: what was kept about a household, newest first."""
    desk, household_id = desk_of(request), request.path_params["household_id"]
    _query(request)
    rows = await run_in_threadpool(desk.history, household_id)
    listed = [
        KeptAssessment(
            as_of=desk.written(row.as_of),
            stored_at=desk.written(row.stored_at),
            **{name: getattr(row, name) for name in _OF_ROW},
        )
        for row in rows
    ]
    return _answer(History(household_id=household_id, assessments=listed))


_OF_ROW = (
    *("assessment_id", "origin", "status", "tier", "tier_computed"),
    *("probability", "points", "coverage", "bundle_sha256", "has_record"),
)


async def feedback(request: Request) -> Response:
    """`POST /assessments/{id}/feedback`: a visit. 201; the same key and body again get the same bytes."""
    desk, key, name = desk_of(request), _key(request), request.path_params["assessment_id"]
    _query(request)
    body, state = _message(await request.body(), Feedback), request.state
    receipt = await run_in_threadpool(
        lambda: desk.feedback(name, body, key=key, role=state.role, actor=state.actor),
    )
    return JSONResponse(receipt, status_code=201)


async def concern(request: Request) -> Response:
    """`POST /assessments/{id}/concern`: the visitor's own concern, before the tier is shown."""
    desk, name, state = desk_of(request), request.path_params["assessment_id"], request.state
    _query(request)
    body = _message(await request.body(), ConcernBody)
    entry = await run_in_threadpool(
        lambda: desk.concern(name, body.version, body.concern, role=state.role, actor=state.actor)
    )
    return _answer(Noted(journal_seq=entry.seq, journal_hash=entry.hash), 201)


async def outcome(request: Request) -> Response:
    """`POST /assessments/{id}/outcome`: what the registration procedure decided."""
    desk, key, name = desk_of(request), _key(request), request.path_params["assessment_id"]
    _query(request)
    body = _message(await request.body(), OutcomeBody)
    entry = await run_in_threadpool(lambda: desk.outcome(name, body.what, body.happened_on, key=key))
    return _answer(Noted(journal_seq=entry.seq, journal_hash=entry.hash), 201)


async def journal_head(request: Request) -> Response:
    """`GET /journal/head`: the newest entry of the journal."""
    _query(request)
    return _answer(JournalHead(**await run_in_threadpool(desk_of(request).journal_head)))


async def login(request: Request) -> Response:
    """`POST /login`: a token becomes the cookie of a session; a wrong one leads back to the page of the login."""
    sessions: Sessions = request.app.state.sessions
    client = client_of(request.scope)
    sessions.logins.check(client)
    form = await request.form()
    token, following = str(form.get("token", "")).strip(), own_page(str(form.get("next", "/")))
    opened = sessions.opened(token)
    if opened is None:
        sessions.logins.failed(client)
        return RedirectResponse(f"/login?failed=1&next={quote(following, safe='/')}", 303)
    reply = RedirectResponse(following, 303)
    reply.headers.append("set-cookie", cookie(SESSION_COOKIE, opened, request.scope, sessions.max_age_s))
    return reply


async def logout(request: Request) -> Response:
    """`POST /logout`: the browser forgets the session."""
    reply = RedirectResponse("/login", 303)
    reply.headers.append("set-cookie", cookie(SESSION_COOKIE, "", request.scope, 0))
    return reply


def own_page(path: str) -> str:
    """The path if it is one of our pages that a login leads to, otherwise the first page.

    >>> own_page("/visit/as-0123456789abcdef01234567"), own_page("//elsewhere"), own_page("/logout")
    ('/visit/as-0123456789abcdef01234567', '/', '/')
    """
    rule = rule_of(path)
    return path if rule is not None and rule.is_page and rule.roles and "GET" in rule.methods else "/"


# Each JSON address with its method, its handler, what it reads and what it answers: `serving.openapi` tells the same.
ENDPOINTS: Mapping[str, tuple[str, Callable[[Request], Any], type[BaseModel] | None, type[BaseModel] | None]] = {
    "/readyz": ("GET", readyz, None, Ready),
    "/model": ("GET", model, None, None),
    "/queue": ("GET", queue, None, Queue),
    "/assessments/{assessment_id}": ("GET", assessment, None, Assessment),
    "/assessments/{assessment_id}/replay": ("GET", replay, None, Replay),
    "/households/{household_id}/assessments": ("GET", history, None, History),
    "/assessments/{assessment_id}/feedback": ("POST", feedback, Feedback, Recorded),
    "/assessments/{assessment_id}/concern": ("POST", concern, ConcernBody, Noted),
    "/assessments/{assessment_id}/outcome": ("POST", outcome, OutcomeBody, Noted),
    "/journal/head": ("GET", journal_head, None, JournalHead),
}
MACHINES = [
    Route(path.replace("{household_id}", "{household_id:path}"), handler, methods=[method])
    for path, (method, handler, _, _) in ENDPOINTS.items()
]
LOGINS = [Route("/login", login, methods=["POST"]), Route("/logout", logout, methods=["POST"])]


def _pages() -> list[BaseRoute]:
    """The routes of the pages, and the files beside them."""
    found = (module.ROUTES for module in (routes, household, person, training, card_page))
    return [*(route for of in found for route in of), Mount("/static", StaticFiles(directory=PAGES / "static"))]


def _answer(message: BaseModel, status: int = 200) -> Response:
    return JSONResponse(message.model_dump(mode="json"), status)


def _message(body: bytes, kind: type[T]) -> T:
    """The checked message in a body. Raises `Malformed`, or `Invalid` naming fields and repeating no value."""
    try:
        return kind.model_validate(read_document(body))
    except ValidationError as error:
        raise Invalid.because(
            [field_error(each) for each in error.errors(include_url=False, include_input=False)]
        ) from None


def _key(request: Request) -> str:
    """What is given once; the desk looks at what it holds."""
    given = request.headers.getlist("idempotency-key")
    return given[0] if len(given) == 1 else ""


def _query(request: Request, *known: str) -> dict[str, str]:
    """The parameters of the address, each at most once and none but those known."""
    given = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    names = [name for name, _ in given]
    wanted = ", ".join(known) or "nothing"
    errors = [FieldError(("query",), f"only {wanted} is known here")] if set(names) - set(known) else []
    errors += [FieldError(("query", name), "must be given once") for name in known if names.count(name) > 1]
    errors += [
        FieldError(("query", name), "must be at most 200 printable characters")
        for name, value in given
        if name in known and not re.fullmatch(r"[^\x00-\x1f\x7f]{0,200}", value)
    ]
    if errors:
        raise Invalid.because(errors)
    return {name: value for name, value in given if value}


def _language(request: Request) -> str | None:
    """The language asked for; None means both."""
    language = _query(request, "lang").get("lang")
    if language not in (None, "zh", "en"):
        raise Invalid.because([FieldError(("query", "lang"), "must be zh or en, once")])
    return language
