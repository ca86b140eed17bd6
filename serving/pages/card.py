"""The public page of the model card: what `models.card_page` says of the bundle in use, as HTML anybody may read.

No login, nothing about any household. The words are those of the Markdown card; only its layout is made here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models import card_texts as texts
from models.card import card as model_card
from models.card_page import Language, markdown
from serving.pages.rendering import language, page
from serving.pages.shown import plain

FORBIDDEN = "forbidden_uses"
_RULE = re.compile(r"\|(-+\|)+")

WORDS: dict[str, tuple[str, str]] = {
    "card_title": ("模型说明卡", "Model card"),
    "card_lead": (
        "这套系统建议先走访哪些家庭。本页说明它能做什么、不能做什么。",
        "This system suggests which households to visit first. This page says what it can and cannot do.",
    ),
    "card_contents": ("目录", "Contents"),
    "card_scroll": ("表格可左右滑动", "This table can be moved sideways"),
    "card_as_json": (
        "同样的内容以数据形式在接口 GET /model。",
        "The same content as data: GET /model of the API.",
    ),
}


@dataclass(frozen=True)
class Block:
    """A piece of a section: lines of text, items of a list, or rows of a table of which the first is its head."""

    kind: Literal["text", "list", "table"]
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Section:
    """A section of the card; `name` is its key in `models.card_texts.TITLES`."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class CardView:
    """A card to lay out: its heading, the lines under it, what is forbidden, and all sections in their order."""

    heading: str
    head: tuple[Block, ...]
    forbidden: Section
    sections: tuple[Section, ...]


def card_page(request: Request) -> Response:
    """`GET /card`: the card of the bundle in use."""
    lang: Language = "en" if language(request) == "en" else "zh"
    written = markdown(model_card(request.app.state.desk.scorer.bundle), lang)
    return page(request, "card.html", words=WORDS, view=card_view(written, lang))


def card_view(written: str, lang: Language) -> CardView:
    """The Markdown of `models.card_page` taken apart. Raises `ValueError` for a heading that no section has.

    >>> view = card_view("# Model card: a 1\\n\\n## Forbidden use\\n\\n- Rating staff.\\n", "en")
    >>> view.heading, view.forbidden.blocks[0].lines
    ('Model card: a 1', ('Rating staff.',))
    """
    names = {getattr(text, lang): name for name, text in texts.TITLES.items()}
    head, *rest = re.split(r"^## ", written, flags=re.MULTILINE)
    heading, _, under = head.removeprefix("# ").partition("\n")
    sections = []
    for each in rest:
        title, _, body = each.partition("\n")
        if title not in names:
            raise ValueError("the card has a section without a name in models.card_texts.TITLES")
        sections.append(Section(names[title], title, _blocks(body)))
    forbidden = next((section for section in sections if section.name == FORBIDDEN), None)
    if forbidden is None:
        raise ValueError("the card does not say what is forbidden")
    return CardView(plain(heading), _blocks(under), forbidden, tuple(sections))


def _blocks(body: str) -> tuple[Block, ...]:
    """Pieces of text, lists and tables in their order; lines of one kind that follow each other are one piece."""
    found: list[tuple[str, list[str]]] = []
    for line in body.split("\n"):
        kind = "list" if line.startswith("- ") else "table" if line.startswith("|") else "text"
        if not line:
            found.append(("", []))
        elif found and found[-1][0] == kind:
            found[-1][1].append(line)
        else:
            found.append((kind, [line]))
    return tuple(_block(kind, lines) for kind, lines in found if lines)


def _block(kind: str, lines: list[str]) -> Block:
    if kind == "list":
        return Block("list", lines=tuple(plain(line.removeprefix("- ")) for line in lines))
    if kind == "table":
        rows = [line for line in lines if not _RULE.fullmatch(line)]
        cells = [[plain(cell.strip()) for cell in row[1:].removesuffix("|").split("|")] for row in rows]
        return Block("table", rows=tuple(map(tuple, cells)))
    return Block("text", lines=tuple(plain(line) for line in lines))


ROUTES = [Route("/card", card_page, methods=["GET"])]
