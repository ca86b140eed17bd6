"""What the rules say about one household, as the assessment tells it: with evidence, and with what nobody knows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from features.definition import Text
from features.rules.indicator import POVERTY_TYPES, Indicator
from features.rules.number import FALSE, TRUE
from features.rules.rulebook import RANKS
from features.window import written
from models.rules import CUTS, SHOWN_DIMENSIONS, Ruled

STATES = {1: "true", 0: "false", -1: "not_evaluable"}
MAX_EVENTS = 3
MAX_QUESTIONS = 8
SEALED_ID = "sealed"
SEALED = Text("敏感因素（仅授权人员可查看内容）", "sensitive factor (wording for authorised roles only)")
# The amounts a person asks about first: name, unit and whether a larger one is good.
ECONOMICS = (
    ("income_12m", "CNY"),
    ("income_surveyed_12m", "CNY"),
    ("income_recorded_12m", "CNY"),
    ("income_taxed_12m", "CNY"),
    ("income_per_head_month", "CNY"),
    ("equivalised_income_12m", "CNY"),
    ("transfers_12m", "CNY"),
    ("out_of_pocket_12m", "CNY"),
    ("education_cost_12m", "CNY"),
    ("rehabilitation_cost_12m", "CNY"),
    ("rigid_expenditure_12m", "CNY"),
)
LINES = (
    ("dibao", "income_per_head_month", "dibao_month", ""),
    ("edge", "income_per_head_month", "dibao_month", "edge_multiple"),
    ("monitoring", "income_per_head_12m", "monitor_line_year", ""),
)


@dataclass(frozen=True)
class RuleRecord:
    """The rules' part of one household's assessment. `may_read_sealed`: the reader's role may see sealed wording."""

    ruled: Ruled
    household: int
    may_read_sealed: bool = False

    def shown(self, name: str) -> str:
        """An indicator's id, or a word that does not give away a sealed one."""
        return SEALED_ID if self._hides(self.ruled.states.book.by_id[name]) else name

    def _hides(self, indicator: Indicator) -> bool:
        return indicator.sealed and not self.may_read_sealed

    def triggers(self) -> list[dict[str, Any]]:
        """Triggers that are true, strongest first, and then those that cannot be evaluated.

        Of sealed ones only the true are listed, without their name: a gap in the list would tell as much.
        """
        found = []
        for each in self.ruled.of_mode("trigger"):
            state = self._state(each)
            if state != FALSE and not (self._hides(each) and state != TRUE):
                level = each.levels[self._level(each)] if state == TRUE else each.levels[0]
                rank = RANKS.get(level.tier, 0) if state == TRUE else -1
                found.append((-rank, each.id, {**self._told(each, level.tier), "tier": level.tier}))
        return [record for _, _, record in sorted(found, key=lambda entry: entry[:2])]

    def points_items(self) -> list[dict[str, Any]]:
        """What made up the points, the most first."""
        found = []
        given = self.ruled.point_contributions[self.household].tolist()
        for points, each in zip(given, self.ruled.of_mode("points"), strict=False):
            if self._state(each) == TRUE and points > 0:
                found.append((-points, each.id, {**self._told(each, None), "points": round(points, 4)}))
        return [record for _, _, record in sorted(found, key=lambda entry: entry[:2])]

    def verification(self) -> list[dict[str, Any]]:
        """What does not fit together on record: please verify. Never a reason for a lower tier."""
        return [
            {**self._told(each, None), "questions": self._questions(each)}
            for each in self.ruled.of_mode("verification")
            if self._state(each) == TRUE
        ]

    def tasks(self) -> list[str]:
        """Indicators that ask for work to be done, such as a visit that is overdue."""
        return sorted(name for name, of in self.ruled.flagged["task"].items() if of[self.household])

    def silent(self) -> tuple[str, ...]:
        """Indicators that say the household is too silent to be called green."""
        found = self.ruled.flagged["grey"].items()
        return tuple(f"trigger:{name}" for name, of in sorted(found) if of[self.household])

    def floors(self) -> dict[str, int]:
        """Rank that each true trigger brings."""
        return {name: int(rank[self.household]) for name, rank in self.ruled.floors.items() if rank[self.household]}

    def questions(self) -> list[dict[str, Any]]:
        """What to ask on a visit: of the strongest true indicators first, then of what cannot be evaluated."""
        asked: dict[str, dict[str, Any]] = {}
        ranked = []
        for each in (*self.ruled.of_mode("trigger"), *self.ruled.of_mode("points")):
            state = self._state(each)
            if state == FALSE or self._hides(each):
                continue
            weight = float(self.ruled.severity[each.id][self.household]) if state == TRUE else 0.0
            strongest = max((RANKS.get(level.tier, 0) for level in each.levels), default=0)
            ranked.append((-weight, -strongest, each.id, each))
        for _, _, _, each in sorted(ranked, key=lambda entry: entry[:3]):
            for question in self._questions(each):
                asked.setdefault(question["en"], question)
        return list(asked.values())[:MAX_QUESTIONS]

    def dimensions(self) -> dict[str, float | None]:
        """One number from 0 to 1 a dimension, null where nothing is known about it."""
        values = {name: float(self.ruled.dimensions[name][self.household]) for name in SHOWN_DIMENSIONS}
        return {name: None if math.isnan(value) else round(value, 4) for name, value in values.items()}

    def poverty_types(self) -> list[dict[str, Any]]:
        """Kinds of poverty that the true indicators speak of, largest share first."""
        shares = {name: float(self.ruled.poverty_types[name][self.household]) for name in POVERTY_TYPES}
        ordered = sorted((-share, POVERTY_TYPES.index(name), name) for name, share in shares.items() if share > 0)
        return [{"code": name, "weight": round(-share, 4)} for share, _, name in ordered]

    def multidimensional(self) -> dict[str, Any]:
        """The Alkire-Foster score as an interval, and whether it reaches the pack's cut and the usual ones."""
        found = self.ruled.deprivation
        lo, hi = float(found.lo[self.household]), float(found.hi[self.household])
        cut = float(self.ruled.states.terms.number("af_cut")[self.household])
        return {
            "score": [_rounded(lo), _rounded(hi)],
            "cut": None if math.isnan(cut) else _rounded(cut),
            "poor_at": {f"{k:.2f}": STATES[1 if lo >= k - 1e-9 else 0 if hi < k - 1e-9 else -1] for k in CUTS},
        }

    def economics(self) -> dict[str, Any]:
        """Amounts and distances to the lines, each known, known to be none, known in part, or unknown."""
        amounts = {name: self._amount(name) for name, _ in ECONOMICS}
        lines = {}
        for name, quantity, parameter, multiple in LINES:
            line = float(self.ruled.states.terms.number(parameter)[self.household])
            if multiple:
                line *= float(self.ruled.states.terms.number(multiple)[self.household])
            held = self.ruled.number(quantity)
            lo, hi = float(held.lo[self.household]), float(held.hi[self.household])
            lines[name] = {
                "line": None if math.isnan(line) else _rounded(line),
                "distance": _interval(lo - line, hi - line) if not math.isnan(line) else _interval(-math.inf, math.inf),
            }
        return {"amounts": amounts, "lines": lines}

    def _amount(self, name: str) -> dict[str, Any]:
        held = self.ruled.number(name)
        return _interval(float(held.lo[self.household]), float(held.hi[self.household]), least=0.0)

    def _state(self, indicator: Indicator) -> int:
        return self.ruled.state_lists[indicator.id][self.household]

    def _level(self, indicator: Indicator) -> int:
        return int(self.ruled.states.level(indicator.id)[self.household])

    def _told(self, indicator: Indicator, tier: str | None) -> dict[str, Any]:
        state = self._state(indicator)
        hidden = self._hides(indicator)
        text = indicator.text_of(self._level(indicator)) if state == TRUE else indicator.name
        rows = sorted(self._evidence(indicator)) if state == TRUE and not hidden else []
        return {
            "id": SEALED_ID if hidden else indicator.id,
            "state": STATES[state],
            "text": (SEALED if hidden else text)._asdict(),
            "evidence": [self._event(row) for row in rows[-MAX_EVENTS:]],
            "n_events": len(rows),
            "sealed": indicator.sealed,
        }

    def _evidence(self, indicator: Indicator) -> list[int]:
        history = self.ruled.states.facts.history
        found = self.ruled.states.evidence(indicator.id, self.household)
        if not self.may_read_sealed:
            found = {row for row in found if not history.catalogue.kinds[history.code[row]].is_sealed}
        return sorted(found)

    def _event(self, row: int) -> dict[str, Any]:
        history = self.ruled.states.facts.history
        return {
            "event_id": str(history.event_id[row]),
            "code": history.catalogue.kinds[history.code[row]].code,
            "occurred_at": written(int(history.occurred[row]), history.time_zone),
            "known_at": written(int(history.known_at[row]), history.time_zone),
            "source": str(history.source[row]),
        }

    def _questions(self, indicator: Indicator) -> list[dict[str, str]]:
        if self._hides(indicator):
            return []
        return [{"zh": question.zh, "en": question.en} for question in indicator.questions]


def _interval(lo: float, hi: float, least: float = -math.inf) -> dict[str, Any]:
    """How much is known of an amount, or of a distance where it has no `least`.

    >>> _interval(0.0, 0.0, least=0.0)
    {'state': 'known_none', 'value': 0.0, 'at_least': 0.0, 'at_most': 0.0}
    >>> _interval(14200.0, math.inf, least=0.0)["state"], _interval(0.0, math.inf, least=0.0)["state"]
    ('at_least', 'unknown')
    """
    if math.isnan(lo):
        lo, hi = least, math.inf
    lo = max(lo, least)
    if lo == hi:
        # At a line the distance is known to be nothing, which is no lack of anything.
        state = "known_none" if lo == least == 0 else "known"
    elif math.isfinite(lo) and lo > least:
        state = "at_least"
    else:
        state = "at_most" if math.isfinite(hi) else "unknown"
    return {
        "state": state,
        "value": _rounded(lo) if lo == hi else None,
        "at_least": _rounded(lo) if math.isfinite(lo) else None,
        "at_most": _rounded(hi) if math.isfinite(hi) else None,
    }


def _rounded(value: float) -> float:
    # -0.0 would print as a debt of nothing.
    return round(value, 4) + 0.0
