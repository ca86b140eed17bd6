"""The visit on one sheet of A5 paper: one file without anything from outside, to be printed or taken along offline."""

from __future__ import annotations

from functools import cache

from markupsafe import Markup

from features.window import as_of_moment
from serving.desk import Visit
from serving.pages.forms import OUTCOMES, SAID
from serving.pages.rendering import rendered, static_address, static_file
from serving.pages.shown import Reader
from serving.pages.view import visit_view

# As much as fits on one page in either language.
SHEET_FACTS, SHEET_LOWERS, SHEET_QUESTIONS, SHEET_RULES, SHEET_POLICIES = 6, 2, 3, 3, 4
STYLE = "sheet.css"


def sheet_html(visit: Visit, lang: str, *, reader: Reader | None = None, is_served: bool = False) -> str:
    """The sheet of one visit. Without a `reader` it is made as of the assessment's own day, without names of events.

    `is_served` links the style sheet, as the service's policy for pages asks; otherwise it is part of the file.
    """
    if reader is None:
        reader = Reader(lang, as_of_moment(visit.record["as_of"], "Asia/Shanghai"))
    return rendered(
        "sheet.html",
        lang,
        view=visit_view(visit, reader),
        style=None if is_served else _style(),
        style_address=static_address(STYLE),
        today=reader.today,
        outcomes=OUTCOMES,
        said=SAID[:3],
        most_facts=SHEET_FACTS,
        most_lowers=SHEET_LOWERS,
        most_questions=SHEET_QUESTIONS,
        most_rules=SHEET_RULES,
        most_policies=SHEET_POLICIES,
    )


@cache
def _style() -> Markup:
    found = static_file(STYLE)
    assert found is not None
    # Our own file, nothing from outside.
    return Markup(found[0].decode())  # noqa: S704
