"""The card as a page: every section of the Markdown card, what is forbidden first, tables that can be read aloud."""

from __future__ import annotations

import re
from typing import Literal

import pytest

from models import card_texts as texts
from models.bundle import Bundle
from models.card import card
from models.card_page import markdown
from serving.pages.card import WORDS, card_view
from serving.pages.rendering import rendered
from serving.pages.words import WORDS as COMMON

each_language = pytest.mark.parametrize("lang", ["zh", "en"])
Language = Literal["zh", "en"]


def page(bundle: Bundle, lang: Language) -> str:
    view = card_view(markdown(card(bundle), lang), lang)
    frame = {"csrf": "", "role": None, "path": "/card", "other_language": "/card"}
    return rendered("card.html", lang, {**COMMON, **WORDS}, view=view, **frame)


@each_language
def test_every_section_of_the_card_is_on_the_page_and_the_forbidden_uses_come_first(
    opened_bundle: Bundle, lang: Language
) -> None:
    html = page(opened_bundle, lang)
    found = re.findall(r'data-part="card-section" data-section="(\w+)"', html)
    assert found[0] == "forbidden_uses"
    assert sorted(found) == sorted(texts.TITLES)
    for text in texts.FORBIDDEN_USES.values():
        assert getattr(text, lang) in html


@each_language
def test_every_word_of_the_markdown_card_is_on_the_page(opened_bundle: Bundle, lang: Language) -> None:
    written = markdown(card(opened_bundle), lang)
    html = page(opened_bundle, lang)
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#39;", "'").replace("&gt;", ">")
    plain = plain.replace("&lt;", "<").replace("&#34;", '"').replace("&amp;", "&")
    for line in written.splitlines():
        for cell in line.strip("|").split("|") if line.startswith("|") else [re.sub(r"^(#+|-) ", "", line)]:
            if cell.strip(" -"):
                assert cell.strip() in plain, line


@each_language
def test_tables_name_their_columns_and_their_rows(opened_bundle: Bundle, lang: Language) -> None:
    tables = re.findall(r"<table>.*?</table>", page(opened_bundle, lang), re.DOTALL)
    assert len(tables) >= 4
    for table in tables:
        columns = table.count('<th scope="col">')
        rows = table.count("<tr>") - 1
        assert "<caption" in table and columns >= 2
        assert table.count('<th scope="row">') == rows
        assert table.count("<td>") == rows * (columns - 1)


def test_the_calibration_is_a_table_of_deciles(opened_bundle: Bundle) -> None:
    made = card(opened_bundle)
    deciles = [{"rows": 100 * i, "foretold": i / 100, "observed": None if i == 3 else i / 90} for i in range(1, 11)]
    made["calibration"]["deciles"] = deciles
    view = card_view(markdown(made, "en"), "en")
    block = next(section for section in view.sections if section.name == "calibration").blocks[0]
    assert block.kind == "table" and len(block.rows) == 11
    assert block.rows[3][3] == texts.FEW.en


def test_a_name_with_markup_in_it_stays_text(opened_bundle: Bundle) -> None:
    made = {**card(opened_bundle), "name": "<img src=x>"}
    view = card_view(markdown(made, "en"), "en")
    frame = {"csrf": "", "role": None, "path": "/card", "other_language": "/card"}
    assert "<img" not in rendered("card.html", "en", {**COMMON, **WORDS}, view=view, **frame)


def test_a_card_with_a_section_unknown_here_is_not_shown_in_part() -> None:
    with pytest.raises(ValueError, match="section without a name"):
        card_view("# Model card: a 1\n\n## Brand new\n\ntext\n", "en")
    with pytest.raises(ValueError, match="forbidden"):
        card_view("# Model card: a 1\n\n## Data\n\ntext\n", "en")
