"""Which addresses are served, to whom, for which purpose. An address without a rule is not served."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from serving.tokens import Role

PURPOSES = ("prioritise_visit", "prepare_visit")
ANYBODY = frozenset(Role)
FIELD_WORK = frozenset({Role.PLATFORM, Role.CASEWORKER, Role.SUPERVISOR})
VISITORS = frozenset({Role.CASEWORKER, Role.SUPERVISOR})
# Who may read what courts, prisons and protection orders say.
READS_SEALED = frozenset({Role.SUPERVISOR})
READ = ("GET", "HEAD")

# What may stand in an address: names that we gave, and the household's id in one address for machines.
_PARTS = {
    "assessment_id": r"as-[0-9a-f]{24}",
    "household_id": r"[^\x00-\x1f\x7f]{1,128}",
    "n": r"[0-9]{1,3}",
    "file": r"[a-z0-9_-]{1,60}\.[a-z0-9]{2,5}",
}


@dataclass(frozen=True)
class Rule:
    """One address: its methods, the roles that may use it (none: no token is asked for), and whether a purpose is due.

    A purpose is due wherever data about a household goes in or out; pages have theirs written into them. `is_page`: for
    people, with a login and forms; everything else speaks JSON. `is_ours`: answered by `serving.addresses` and never
    seen by BentoML.
    """

    pattern: str
    methods: tuple[str, ...]
    roles: frozenset[Role] = frozenset()
    needs_purpose: bool = False
    is_page: bool = False
    is_ours: bool = True


def _machine(pattern: str, methods: tuple[str, ...], roles: frozenset[Role], *, purpose: bool = True) -> Rule:
    return Rule(pattern, methods, roles, needs_purpose=purpose)


def _page(pattern: str, methods: tuple[str, ...], roles: frozenset[Role] = frozenset()) -> Rule:
    return Rule(pattern, methods, roles, is_page=True)


_ALL = (
    Rule("/livez", READ, is_ours=False),
    Rule("/readyz", READ),
    Rule("/score", ("POST",), FIELD_WORK, needs_purpose=True, is_ours=False),
    Rule("/metrics", READ, ANYBODY, is_ours=False),
    Rule("/docs.json", READ, ANYBODY, is_ours=False),
    Rule("/schema.json", READ, ANYBODY, is_ours=False),
    _machine("/model", READ, ANYBODY, purpose=False),
    _machine("/journal/head", READ, ANYBODY, purpose=False),
    _machine("/queue", READ, FIELD_WORK),
    _machine("/assessments/{assessment_id}", READ, FIELD_WORK),
    _machine("/assessments/{assessment_id}/replay", READ, frozenset({Role.PLATFORM, Role.SUPERVISOR})),
    _machine("/households/{household_id}/assessments", READ, FIELD_WORK),
    _machine("/assessments/{assessment_id}/feedback", ("POST",), VISITORS),
    _machine("/assessments/{assessment_id}/concern", ("POST",), VISITORS),
    _machine("/assessments/{assessment_id}/outcome", ("POST",), frozenset({Role.SUPERVISOR})),
    _page("/", READ, FIELD_WORK),
    _page("/visit/{assessment_id}", READ, FIELD_WORK),
    _page("/visit/{assessment_id}/sheet", READ, FIELD_WORK),
    _page("/visit/{assessment_id}/done", READ, FIELD_WORK),
    _page("/visit/{assessment_id}/concern", ("POST",), VISITORS),
    _page("/visit/{assessment_id}/feedback", ("POST",), VISITORS),
    _page("/visit/{assessment_id}/code", ("POST",), VISITORS),
    _page("/household/{assessment_id}", READ, FIELD_WORK),
    _page("/training", READ, ANYBODY),
    _page("/training/{n}", (*READ, "POST"), ANYBODY),
    _page("/login", (*READ, "POST")),
    _page("/logout", ("POST",)),
    _page("/person", (*READ, "POST")),
    _page("/person/request", ("POST",)),
    _page("/card", READ),
    _page("/static/{file}", READ),
)
RULES: dict[str, Rule] = {rule.pattern: rule for rule in _ALL}


def rule_of(path: str) -> Rule | None:
    """The rule of an address.

    >>> rule_of("/visit/as-0123456789abcdef01234567").pattern, rule_of("/visit/x"), rule_of("/score/")
    ('/visit/{assessment_id}', None, None)
    """
    found = RULES.get(path)
    if found is not None:
        return None if "{" in path else found
    return next((rule for form, rule in _forms() if form.fullmatch(path)), None)


@cache
def _forms() -> list[tuple[re.Pattern[str], Rule]]:
    forms = []
    for rule in _ALL:
        if "{" in rule.pattern:
            pieces = re.split(r"\{(\w+)\}", rule.pattern)
            written = "".join(_PARTS[piece] if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
            forms.append((re.compile(written), rule))
    return forms
