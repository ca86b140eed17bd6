"""The household's own page: what is on record about it, what to correct, whom to ask, how to object.

A code from the caseworker opens it; there is no account. The code travels in forms and never in an address, and nothing
stays on the phone beside the secret of the form and the language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.desk import Desk, PersonCase
from serving.errors import UnknownCase
from serving.pages.person_view import PersonView, person_view
from serving.pages.rendering import page
from serving.pages.routes import reader_of
from serving.pages.shown import Reader
from serving.sessions import client_of

PATH = "/person"
What = Literal["correction", "contact", "objection"]
MOST_CODE_CHARACTERS = 40

WORDS: dict[str, tuple[str, str]] = {
    "person_title": ("查看我家的记录", "See my family's records"),
    "person_lead": (
        "输入走访人员写给您的查看码，就能看到您家的记录。",
        "Type in the code that the visitor wrote down for you. Then you see your family's records.",
    ),
    "person_code": ("查看码", "Code"),
    "person_code_hint": (
        "字母大小写都可以，空格和短横可不填。",
        "Small or large letters. You can leave out spaces and dashes.",
    ),
    "person_open": ("查看", "Show"),
    "person_wrong": (
        "查看码不对，或已过期。请再看一遍，或向村委会要新的。",
        "This code is wrong or too old. Check it again, or ask the village office for a new one.",
    ),
    "person_private": (
        "拿到查看码的人都能看。请收好，看完关掉页面。",
        "Anyone with the code can look. Keep it safe, and close the page when you are done.",
    ),
    "person_what": ("这是什么", "What this is"),
    "person_what_1": (
        "电脑根据记录，建议先走访哪些人家。",
        "A computer looks at records and suggests which homes to visit first.",
    ),
    "person_what_2": ("怎么帮、帮不帮，由人来定。", "People decide whether and how to help."),
    "person_what_3": (
        "它不能拒绝、减少或停掉您家的任何帮助。",
        "It cannot refuse, cut or stop any help for your family.",
    ),
    "person_records": ("您家的记录", "What is on record"),
    "person_records_note": (
        "以下是有关部门报来的记录，截至{day}。可能有错。",
        "These records came from public offices, up to {day}. They may be wrong.",
    ),
    "person_no_records": (
        "这里没有可以列出的记录。不是说您家没有困难。",
        "There is no record to list here. It does not mean that your family has no needs.",
    ),
    "person_rules": ("按政策要看一看的情况", "What the rules ask us to look at"),
    "person_happened": ("{day}的事", "from {day}"),
    "person_reported": ("{day}报来", "reported {day}"),
    "person_more": ("另有{n}条", "{n} more"),
    "person_more_one": ("另有1条", "1 more"),
    "person_sealed": (
        "法院、监所、人身保护方面的事不在这里显示。本人可到乡镇窗口当面查。",
        "Matters of courts, prisons and personal protection are never shown here. Ask in person at the township desk.",
    ),
    "person_mark": ("这条不对", "This is wrong"),
    "person_marked": ("您已说过这条不对", "You told us this is wrong"),
    "person_send_marks": ("把勾选的告诉工作人员", "Tell the staff about what I ticked"),
    "person_priority": ("什么时候来走访", "When somebody comes"),
    "person_priority_red": ("建议最先走访您家。", "The suggestion is to visit your home first."),
    "person_priority_orange": ("建议尽快走访您家。", "The suggestion is to visit your home soon."),
    "person_priority_yellow": ("建议安排走访您家。", "The suggestion is to plan a visit to your home."),
    "person_priority_green": ("按平常的安排走访您家。", "Your home is visited as usual."),
    "person_priority_grey": (
        "记录太少，建议来问问您家的情况。",
        "Too little is on record. The suggestion is to come and ask how you are.",
    ),
    "person_priority_human_only": (
        "您家已选择只由人来了解，电脑不再给意见。",
        "Your family chose people only. The computer gives no suggestion.",
    ),
    "person_number": ("看电脑算出的数", "Show the computer's number"),
    "person_number_note": (
        "这说的是记录相近的许多家庭，不是说您家一定会这样。",
        "This is about many families with similar records. It does not say what will happen to yours.",
    ),
    "person_contact": ("请人联系我", "Please contact me"),
    "person_contact_note": ("工作人员会打电话或上门。", "Somebody will call or come by."),
    "person_contact_send": ("请联系我家", "Ask for contact"),
    "person_contact_asked": ("您已请我们联系。", "You have asked for contact."),
    "person_objection": ("不要电脑评估", "No computer, please"),
    "person_objection_1": (
        "您可以要求只由人来看您家的情况。",
        "You can ask that only people look at your family's situation.",
    ),
    "person_objection_2": (
        "以后由工作人员照常走访，申请和待遇都不受影响。",
        "Staff then visit as before. Your requests and your aid stay as they are.",
    ),
    "person_objection_3": (
        "以后想改主意，告诉村委会就行。",
        "If you change your mind later, tell the village office.",
    ),
    "person_objection_send": ("我家只要人来看", "People only for my family"),
    "person_objection_done": ("您家已选择只由人来看。", "Your family has chosen people only."),
    "person_turn": ("可以找谁", "Where to turn"),
    "person_turn_1": ("村（社区）委会：先问村干部。", "The village or community office: ask there first."),
    "person_turn_2": (
        "乡镇（街道）民政窗口：查记录、改记录、提意见。",
        "The township desk for civil affairs: to see records, correct them or complain.",
    ),
    "person_turn_3": (
        "拨打12345，说明您要查看或更正记录。",
        "Call 12345 and say you want to see or correct your records.",
    ),
    "person_until": ("查看码可用到{day}。", "The code works until {day}."),
    "person_about": ("关于这套系统", "About this system"),
    "person_none_marked": (
        "请先勾选不对的那一条，再点发送。",
        "Please tick the record that is wrong first, then send.",
    ),
    "person_done_title": ("已经收到", "We have it"),
    "person_done_correction": (
        "您说不对的记录，工作人员会去核实，错了就改。",
        "Staff will check the records that you marked. What is wrong gets corrected.",
    ),
    "person_done_contact": ("工作人员会联系您家。", "Somebody will contact your family."),
    "person_done_objection": (
        "从现在起，您家的情况只由人来看。",
        "From now on, only people look at your family's situation.",
    ),
    "person_done_keeps": ("您家的帮助不受影响。", "Your family's aid stays as it is."),
    "person_done_paper": (
        "没有回音，就带这张纸去村委会或乡镇窗口。",
        "If you hear nothing, take your sheet to the village or township office.",
    ),
    "person_made": ("给农户的查看码", "Code for the household"),
    "person_made_once": (
        "只显示这一次。请写在走访单上，交给这户的成年人。",
        "It is shown only once. Write it on the visit sheet and give it to an adult of the household.",
    ),
    "person_made_use": (
        "家里打开本站的“/person”，输入查看码，就能看到自家的记录。",
        "The family opens “/person” on this site, types in the code, and sees its own records.",
    ),
    "person_made_days": ("30天内有效。", "It works for 30 days."),
    "person_made_care": (
        "家里有人身安全的顾虑时，请当面给本人。",
        "Where somebody's safety is a concern, hand it to that person alone.",
    ),
    "person_made_back": ("回到走访页", "Back to the visit page"),
    "person_back": ("回到我家的记录", "Back to my records"),
}  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A case that a code opened, ready to be shown: what was asked for already is not asked again."""

    view: PersonView
    expires_on: str
    is_human_only: bool
    asked: frozenset[str]
    marked: frozenset[str]


async def person(request: Request) -> Response:
    """`GET /person`: the place for the code. `POST /person`: what it opens."""
    if request.method != "POST":
        return _entrance(request)
    form = await request.form()
    return await run_in_threadpool(_open, request, _code(form))


def made_code(request: Request) -> Response:
    """`POST /visit/{assessment_id}/code`: a new code for the household, shown once."""
    name, state = request.path_params["assessment_id"], request.state
    code = _desk(request).person_code(name, role=state.role, actor=state.actor)
    return _kept_private(
        page(
            request,
            "person_made.html",
            words=WORDS,
            path=f"/visit/{name}",
            back=f"/visit/{name}",
            code=_in_groups(code),
        )
    )


async def person_request(request: Request) -> Response:
    """`POST /person/request`: a correction, a wish to be contacted, or an objection; the answer is a receipt."""
    form = await request.form()
    return await run_in_threadpool(_ask, request, form)


def _open(request: Request, code: str) -> Response:
    found = _found(request, code)
    return _entrance(request, is_wrong=True) if found is None else _shown(request, found, code)


def _ask(request: Request, form: FormData) -> Response:
    code, what = _code(form), form.get("what")
    case = _found(request, code)
    if case is None:
        return _entrance(request, is_wrong=True)
    if what not in ("correction", "contact", "objection"):
        return _shown(request, case, code, status=422)
    # Only what the page itself offered can be marked.
    offered = opened(case, reader_of(request)).view.fact_ids
    marked = [str(name) for name in dict.fromkeys(form.getlist("facts")) if name in offered]
    if what == "correction" and not marked:
        return _shown(request, case, code, status=422, none_marked=True)
    facts = marked if what == "correction" else []
    _desk(request).person_request(code, cast(What, what), facts, client_of(request.scope))
    made = page(request, "person_done.html", words=WORDS, path=PATH, what=what, code=code)
    return _kept_private(made)


def opened(case: PersonCase, reader: Reader) -> Opened:
    """What of a case goes to the page."""
    return Opened(
        view=person_view(case.record, reader, is_human_only=case.is_human_only),
        expires_on=reader.day(case.expires_on),
        is_human_only=case.is_human_only,
        asked=frozenset(each.what for each in case.requests),
        marked=frozenset(name for each in case.requests if each.what == "correction" for name in each.facts),
    )


def _entrance(request: Request, *, is_wrong: bool = False) -> Response:
    status = 404 if is_wrong else 200
    return _kept_private(page(request, "person_code.html", status=status, words=WORDS, path=PATH, is_wrong=is_wrong))


def _shown(request: Request, case: PersonCase, code: str, *, status: int = 200, none_marked: bool = False) -> Response:
    found = opened(case, reader_of(request))
    variables: dict[str, Any] = {"path": PATH, "found": found, "code": code, "none_marked": none_marked}
    return _kept_private(page(request, "person.html", status=status, words=WORDS, **variables))


def _found(request: Request, code: str) -> PersonCase | None:
    """What a code opens; None for one that opens nothing. The desk stops whoever goes on guessing."""
    try:
        return _desk(request).person(code, client_of(request.scope))
    except UnknownCase:
        return None


def _code(form: FormData) -> str:
    """The code as somebody typed it, without spaces and dashes of any kind."""
    return re.sub(r"[\s\-–—－]", "", str(form.get("code", ""))[:MOST_CODE_CHARACTERS])


def _in_groups(code: str) -> str:
    """A code as it is easy to copy by hand.

    >>> _in_groups("ABCDEFGHJK")
    'ABCDE-FGHJK'
    """
    return "-".join(code[i : i + 5] for i in range(0, len(code), 5))


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _kept_private(response: Response) -> Response:
    """Not even the browser's back button brings these pages up again without the code."""
    response.headers["Cache-Control"] = "no-store"
    return response


ROUTES = [
    Route("/visit/{assessment_id}/code", made_code, methods=["POST"]),
    Route("/person", person, methods=["GET", "POST"]),
    Route("/person/request", person_request, methods=["POST"]),
]
