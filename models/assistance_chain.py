"""The assistance chain: what happened to a household, what was noticed, who came, and what help followed, in order.

It tells what was known at the moment of judgement and nothing later. Regular payments stand once, at their first month.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import is_
from typing import Any

import numpy as np

from features.definition import EventKind, Text
from features.history import History, Visible
from features.rules.evaluation import Evaluation
from features.rules.number import NOT_EVALUABLE, TRUE
from features.rules.rulebook import States
from features.rules.syntax import Arithmetic, Choice, Comparison, Logic, Tree, one
from features.window import MICROS_PER_DAY, Micros, months_before, written
from models.rules import true_of


class Step(Enum):
    """A link of the chain, in the order in which help is meant to come."""

    SIGNAL = "signal"
    ALERT = "alert"
    CALL = "call"
    VISIT = "visit"
    AID = "aid"


# Blows that departments report. Other events are a signal only where a trigger rests on them.
SIGNALS = frozenset(
    {
        "CHD//ORPHAN", "CHR//APPEAL", "DIS//CERT_NEW", "DIS//GRADE_CHANGE", "DST//CROP_LOSS", "DST//FIRE",
        "DST//HOUSE_LOSS", "DST//RELOCATE", "EDU//DROPOUT", "EMP//ARREARS", "EMP//UNEMP", "EMP//WORK_INJURY",
        "ENR//LAPSE", "FUN//CREMATE", "GRD//RISK_FLAG", "HKM//DV_WARNING", "HKM//FRAUD_LOSS", "HKM//MISSING",
        "HLT//MAJOR_DX", "PRI//IMPRISON", "TRF//ACCIDENT",
    }
)  # fmt: skip
CONTACTS = {"SLF//APPLY": Step.CALL, "SLF//HOTLINE": Step.CALL, "GRD//VISIT": Step.VISIT}
REGULAR_AID = frozenset(
    {"DIS//SUB_CARE", "DIS//SUB_LIVING", "ELD//SUBSIDY", "EMP//UI_BENEFIT", "HSG//RENT_SUB", "PRD//PUBLIC_POST"}
)
AID = REGULAR_AID | {
    "CHR//GRANT", "DB//ENTER", "EDU//AID_GRADE", "EMP//TRAINING", "ENR//SUBSIDISED", "INR//ANTI_POVERTY_PAY",
    "LIP//EDGE_ENTER", "LIP//RIGID_ENTER", "LS//GRANT", "MAI//GRANT", "MON//ENTER", "TK//ENTER",
}  # fmt: skip
# A missing month does not begin a new payment; two do.
PAUSE_DAYS = 75
CHAIN_MONTHS = 24
MOST_PER_ALERT = 3
SEALED = Text("敏感因素", "a sensitive matter")
_ORDER = {step: i for i, step in enumerate(Step)}


@dataclass(frozen=True)
class Alert:
    """A true trigger of one household, with the positions in the history of the events it rests on."""

    id: str
    text: Text
    evidence: Collection[int]
    is_sealed: bool = False


def alerts(states: States, household: int) -> list[Alert]:
    """The true triggers of one household.

    What only chose between two thresholds is no evidence here: a stay that alarmed in September did not alarm in
    November, when a recognition lowered the threshold.
    """
    found = []
    triggers = states.book.by_mode["trigger"]
    for each in (triggers[k] for k in true_of(states, "trigger")[household]):
        level = int(states.level(each.id)[household])
        tree = each.levels[level].when
        chosen = _chosen(tree, states.evaluation, household)
        evidence = states.evidence(each.id, household)
        if chosen is not tree:
            evidence = states.evaluation.evidence(one(chosen), household)
        found.append(Alert(each.id, each.text_of(level), evidence, each.sealed))
    return found


def _chosen(tree: Tree, evaluation: Evaluation, household: int) -> Tree:
    """The tree with every choice replaced by the branch that holds for the household, where that is decided; the tree
    itself where nothing is to be replaced."""
    if isinstance(tree, Choice):
        held = evaluation.truth(tree.condition)[household]
        if held == NOT_EVALUABLE:
            return tree
        return _chosen(tree.a if held == TRUE else tree.b, evaluation, household)
    if isinstance(tree, Logic):
        parts = tuple(_chosen(part, evaluation, household) for part in tree.parts)
        return tree if all(map(is_, parts, tree.parts)) else one(replace(tree, parts=parts))
    if isinstance(tree, Arithmetic | Comparison):
        a, b = _chosen(tree.a, evaluation, household), _chosen(tree.b, evaluation, household)
        return tree if a is tree.a and b is tree.b else one(replace(tree, a=a, b=b))
    return tree


def assistance_chain(
    history: History,
    seen: Visible,
    household: int,
    found: Sequence[Alert],
    *,
    months: int = CHAIN_MONTHS,
    with_sealed: bool = False,
) -> list[dict[str, Any]]:
    """The steps of the last `months`, oldest first: `{step, at, known_at, id, code, text, source}`.

    An event has a code and stands at the time it happened. An alert has an id and stands when the last of its evidence
    became known, for before it could not have been raised in these words; one without dated evidence has no place in
    time and is left out. Of a sealed event or trigger only its time is told, unless `with_sealed`.
    """
    start = months_before(seen.as_of, months, history.time_zone)
    rests_on = {row for alert in found for row in _most_telling(history, alert)}
    entries = []
    for row, step in _events(history, seen, household, rests_on):
        kind = history.catalogue.kinds[history.code[row]]
        at = int(history.occurred[row])
        if start <= at < seen.as_of:
            entry = _of_event(history, row, kind, step, is_hidden=kind.is_sealed and not with_sealed)
            entries.append((at, _ORDER[step], kind.code, str(history.event_id[row]), entry))
    for alert in found:
        dated = [int(history.known_at[row]) for row in alert.evidence]
        if dated and start <= max(dated):
            sealed = alert.is_sealed and not with_sealed
            entry = _of_alert(alert, max(dated), history.time_zone, is_hidden=sealed)
            entries.append((max(dated), _ORDER[Step.ALERT], alert.id, "", entry))
    entries.sort(key=lambda each: each[:4])
    return [entry for *_, entry in entries]


def _events(history: History, seen: Visible, household: int, rests_on: set[int]) -> Iterator[tuple[int, Step]]:
    """The rows that are a link of the chain."""
    paid: dict[tuple[str, int], Micros] = {}
    rows, codes = seen.of(household), list(history.catalogue.by_code)
    for row, kind in zip(rows.tolist(), history.code[rows].tolist(), strict=True):
        code = codes[kind]
        if code in AID:
            key, at = (code, int(history.person[row])), int(history.occurred[row])
            runs_on = code in REGULAR_AID and key in paid and at - paid[key] <= PAUSE_DAYS * MICROS_PER_DAY
            paid[key] = at
            if not runs_on:
                yield row, Step.AID
        elif code in CONTACTS:
            yield row, CONTACTS[code]
        elif code in SIGNALS or row in rests_on:
            yield row, Step.SIGNAL


def _most_telling(history: History, alert: Alert) -> list[int]:
    """The few events to show for a trigger that rests on many bills: the largest."""
    size = np.nan_to_num(history.value[list(alert.evidence)])
    ranked = sorted(zip(-size, alert.evidence, strict=True))
    return [row for _, row in ranked[:MOST_PER_ALERT]]


def _of_event(history: History, row: int, kind: EventKind, step: Step, *, is_hidden: bool) -> dict[str, Any]:
    return {
        "step": step.value,
        "at": written(int(history.occurred[row]), history.time_zone),
        "known_at": written(int(history.known_at[row]), history.time_zone),
        "id": None,
        "code": None if is_hidden else kind.code,
        "text": (SEALED if is_hidden else kind.name)._asdict(),
        "source": None if is_hidden else str(history.source[row]),
    }


def _of_alert(alert: Alert, known: Micros, time_zone: str, *, is_hidden: bool) -> dict[str, Any]:
    moment = written(known, time_zone)
    return {
        "step": Step.ALERT.value,
        "at": moment,
        "known_at": moment,
        "id": None if is_hidden else alert.id,
        "code": None,
        "text": (SEALED if is_hidden else alert.text)._asdict(),
        "source": None,
    }
