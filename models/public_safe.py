"""What may be said of a household in public, or aloud in company: topics in general words, and who decides.

No household id, no person, nothing about health, disability, benefits, money or dates, no source, no event. The words
come from `wording/<language>.yaml`; what they may not hold is listed in `wording/sensitive.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from models.language import FOLDER, languages, texts

SCHEMA = "public.v1"
MAX_TOPICS = 2


def public_view(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as a notice may show it: tier in words, general topics, who decides; nothing that names anybody.

    >>> view = public_view({"tier": "orange", "reasons": [{"group": "medical", "direction": "raises"}]})
    >>> view["tier"], [topic["en"] for topic in view["topics"]]
    ({'zh': '尽快走访', 'en': 'visit soon'}, ['Recent expenses'])
    """
    return {
        "schema": SCHEMA,
        "intro": texts("public", "intro"),
        "tier": texts("public", "tiers", record["tier"]),
        "topics": [texts("public", "groups", group) for group in _raising(record)],
        "decides": texts("public", "decides"),
    }


def readout(record: Mapping[str, Any]) -> dict[str, str]:
    """The opening words at the door: respectful, and of the reasons no more than their general topics.

    >>> readout({"reasons": [{"group": "employment", "direction": "raises"}]})["zh"]
    '您好，我们来了解一下家里近况。想先聊聊务工方面的情况。信息如有不对，请告诉我们更正。'
    """
    groups = _raising(record)
    said = {}
    for language in languages():
        topics = language.word("public", "readout", "and").join(
            dict.fromkeys(language.word("public", "topics", group) for group in groups)
        )
        said[language.name] = language.word("public", "readout", "some" if topics else "none").format(topics=topics)
    return said


def _raising(record: Mapping[str, Any]) -> list[str]:
    """The first domains that go together with a higher score."""
    return [reason["group"] for reason in record["reasons"] if reason["direction"] == "raises"][:MAX_TOPICS]


def sensitive_terms(text: str) -> list[str]:
    """What a text holds that a public one may not: terms, and the names of shapes such as a phone number.

    >>> sensitive_terms("近期支出情况"), sensitive_terms("住院自付9000元"), sensitive_terms("two hospital stays")
    ([], ['住院', '自付', 'amount of money'], ['hospital'])
    """
    zh, en, shapes = _listed()
    found = [term for term in zh if term in text]
    found += sorted({match.lower() for match in en.findall(text)})
    return found + [name for name, shape in shapes.items() if shape.search(text)]


@cache
def _listed() -> tuple[tuple[str, ...], re.Pattern[str], dict[str, re.Pattern[str]]]:
    listed = yaml.safe_load((FOLDER / "sensitive.yaml").read_text("utf-8"))
    words = "|".join(re.escape(term) for term in listed["terms"]["en"])
    english = re.compile(rf"\b({words})s?\b", re.IGNORECASE)
    return tuple(listed["terms"]["zh"]), english, {name: re.compile(shape) for name, shape in listed["shapes"].items()}
