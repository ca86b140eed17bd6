"""The catalogue of policy items as a page that an office can read."""

from __future__ import annotations

import sys

from features.rules.policy_item import PolicyCatalogue, PolicyItem, SettledBy
from features.rules.rulebook import rulebook

REFRESH = "python -m features.rules.policy_page > docs/reference/policies.md"
_HEAD = (
    "Item", "中文", "English", "Class", "Worth checking when", "Comes with", "One of these first", "Verify first",
    "Source",
)  # fmt: skip
_CONDITIONS = {
    "likely_when": "likely when",
    "against_when": "records speak against it when",
    "against_unless": "unless",
    "receiving_when": "already received when",
}
_SETTLED = {SettledBy.VISIT: "a visit", SettledBy.OFFICE: "an office or provider", SettledBy.ITEM: "another item"}


def policy_page(catalogue: PolicyCatalogue) -> str:
    """The page in Markdown: a table for every department, the conditions item by item, the shared facts.

    The text depends on the rule files alone, so a committed page can be compared with it.
    """
    by_department: dict[tuple[str, str], list[PolicyItem]] = {}
    for item in catalogue.items:
        by_department.setdefault(item.department, []).append(item)
    lines = _opening(catalogue, len(by_department))
    for (zh, en), items in by_department.items():
        lines += ["", f"## {zh} · {en}", "", _row(_HEAD), _row(["---"] * len(_HEAD))]
        lines += [_row(_cells(item)) for item in items]
        for item in items:
            lines += _more(item)
    lines += ["", "## Facts to verify", "", _row(("Fact", "中文", "English", "Settled by")), _row(["---"] * 4)]
    lines += [_row((f"`{f.id}`", f.text.zh, f.text.en, _SETTLED[f.by])) for f in catalogue.facts.values()]
    return "\n".join(lines) + "\n"


def _opening(catalogue: PolicyCatalogue, departments: int) -> list[str]:
    n = len({item.id for item in catalogue.items})
    return f"""# The policy items

{n} items of {departments} departments. This page is written from `features/policies`. After a change there refresh it:

    {REFRESH}

An item here is a candidate for a person to check, never a decision. No amount stands here: amounts and what a region
offers belong to its parameter pack. Conditions are written in the rule language. A candidate stands as

* **likely**: recorded facts speak for it. Its open facts still have to be checked.
* **to_verify**: worth checking; the facts named are missing.
* **conditional**: one of the items under *one of these first* has to be held before.
* **not_available_here**: the region knows the item and nobody supplies it there.
* **already_receiving**: the benefit is on record.

*Comes with* names items whose candidates bring this one along. Terms are national frames filled in by local rules; a
source that says *from memory* was not confirmed against a text and needs a check before use.""".split("\n")


def _cells(item: PolicyItem) -> list[str]:
    name = item.id
    if item.effective_to is not None:
        name += f" (to {item.effective_to})"
    facts = [
        f"`{c.fact.id}`" + (" (no record can tell)" if c.fact.id in item.beyond_records else "") for c in item.checks
    ]
    return [
        name,
        item.name.zh,
        item.name.en,
        item.kind.value,
        f"`{item.written['when']}`" if "when" in item.written else "",
        ", ".join(item.follows),
        ", ".join(item.depends_on),
        ", ".join(facts) or "nothing",
        f"{item.source}; in force from {item.effective_from}",
    ]


def _more(item: PolicyItem) -> list[str]:
    said = [f"* {word} `{item.written[name]}`" for name, word in _CONDITIONS.items() if name in item.written]
    return ["", f"{item.id} {item.name.en}:", "", *said] if said else []


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(policy_page(rulebook().policies))
