"""What the rules say about one household, as the assessment tells it: with evidence, and with what nobody knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.definition import Text
from features.rules.indicator import POVERTY_TYPES, Indicator
from features.rules.rulebook import RANKS
from models.reasons import cited_event
from models.rules import CUTS, SHOWN_DIMENSIONS, Ruled

STATES = {1: "true", 0: "false", -1: "not_evaluable"}
MAX_EVENTS = 3
ASKING = ("trigger", "points")
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
        triggers = self.ruled.of_mode("trigger")
        found = []
        for k in self.ruled.true["trigger"][self.household]:
            tier = triggers[k].levels[self._level(triggers[k])].tier
            found.append((-RANKS.get(tier or "", 0), triggers[k].id, {**self._told(triggers[k]), "tier": tier}))
        strongest_first = [record for _, _, record in sorted(found, key=lambda entry: entry[:2])]
        return [*strongest_first, *self._not_evaluable(self.ruled.not_evaluable["trigger"][self.household])]

    def points_items(self) -> list[dict[str, Any]]:
        """What made up the points, the most first."""
        indicators = self.ruled.of_mode("points")
        found = []
        for k in self.ruled.true["points"][self.household]:
            points = float(self.ruled.point_contributions[self.household, k])
            if points > 0:
                told = {**self._told(indicators[k]), "points": round(points, 4)}
                found.append((-points, indicators[k].id, told))
        return [record for _, _, record in sorted(found, key=lambda entry: entry[:2])]

    def verification(self) -> list[dict[str, Any]]:
        """What does not fit together on record: please verify. Never a reason for a lower tier."""
        indicators = self.ruled.of_mode("verification")
        true = [indicators[k] for k in self.ruled.true["verification"][self.household]]
        return [{**self._told(each), "questions": self._questions(each)} for each in true]

    def verification_ids(self) -> list[str]:
        """The ids of `verification`."""
        indicators = self.ruled.of_mode("verification")
        return [self.shown(indicators[k].id) for k in self.ruled.true["verification"][self.household]]

    def tasks(self) -> list[str]:
        """Indicators that ask for work to be done, such as a visit that is overdue."""
        return self.ruled.flag_lists["task"][self.household]

    def silent(self) -> tuple[str, ...]:
        """Indicators that say the household is too silent to be called green."""
        return tuple(f"trigger:{name}" for name in self.ruled.flag_lists["grey"][self.household])

    def floors(self) -> dict[str, int]:
        """Rank that each true trigger brings."""
        return self.ruled.floor_lists[self.household]

    def questions(self, rank: int = 0) -> list[dict[str, Any]]:
        """What the indicators ask on a visit, and a sealed one only of who may read it.

        Of those that are true, the triggers that bring a tier first and then the others, the strongest first. Then of
        those that cannot be evaluated and would bring a higher tier than the present one, whose rank is `rank` (0 green
        or grey, 3 red).
        """
        floors, i, asked = self.floors(), self.household, self._asked
        ranked: list[tuple[int, float, str]] = []
        is_open: list[int] = []
        for mode in ASKING:
            indicators = self.ruled.of_mode(mode)
            for name in (indicators[k].id for k in self.ruled.true[mode][i]):
                ranked.append((-floors.get(name, 0), -float(self.ruled.severity[name][i]), name))
            of_mode = asked.places[mode]
            is_open += [of_mode[k] for k in self.ruled.not_evaluable[mode][i]]
        found = [question for *_, name in sorted(ranked) for question in asked.if_true[name]]
        # Those that can bring the highest tier stand first.
        for place in sorted(is_open):
            strongest, questions = asked.if_open[place]
            if strongest <= rank:
                break
            found += questions
        return found

    @property
    def _asked(self) -> _Asked:
        """What the indicators of the day ask of this reader; worked out once a day."""
        kept, key = self.ruled.states.book.kept, f"asked {self.may_read_sealed}"
        if key not in kept:
            shown = [each for mode in ASKING for each in self.ruled.of_mode(mode)]
            kept[key] = _Asked(shown, {each.id: self._questions(each) for each in shown})
        found: _Asked = kept[key]
        return found

    def dimensions(self) -> dict[str, float | None]:
        """One number from 0 to 1 a dimension, null where nothing is known about it."""
        values = zip(SHOWN_DIMENSIONS, self.ruled.dimension_lists[self.household], strict=True)
        return {name: None if math.isnan(value) else round(value, 4) for name, value in values}

    def poverty_types(self) -> list[dict[str, Any]]:
        """Kinds of poverty that the true indicators speak of, largest share first."""
        shares = self.ruled.poverty_type_lists[self.household]
        ordered = sorted((-share, k) for k, share in enumerate(shares) if share > 0)
        return [{"code": POVERTY_TYPES[k], "weight": round(-share, 4)} for share, k in ordered]

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
            lo, hi = self.ruled.amount(quantity, self.household)
            lines[name] = {
                "line": None if math.isnan(line) else _rounded(line),
                "distance": _interval(lo - line, hi - line) if not math.isnan(line) else _interval(-math.inf, math.inf),
            }
        return {"amounts": amounts, "lines": lines}

    def _amount(self, name: str) -> dict[str, Any]:
        return _interval(*self.ruled.amount(name, self.household), least=0.0)

    def _level(self, indicator: Indicator) -> int:
        return int(self.ruled.states.level(indicator.id)[self.household])

    def _told(self, indicator: Indicator) -> dict[str, Any]:
        """A true indicator: its words, and the events it rests on."""
        hidden = self._hides(indicator)
        text = indicator.text_of(self._level(indicator))
        rows = [] if hidden else self._evidence(indicator)
        return {
            "id": SEALED_ID if hidden else indicator.id,
            "state": "true",
            "text": (SEALED if hidden else text)._asdict(),
            "evidence": [cited_event(self.ruled.states.facts.history, row) for row in rows[-MAX_EVENTS:]],
            "n_events": len(rows),
            "sealed": indicator.sealed,
        }

    def _not_evaluable(self, triggers: list[int]) -> list[dict[str, Any]]:
        """Triggers that cannot be evaluated, by their id; households that lack the same share what is told of it."""
        key = (*triggers, self.may_read_sealed)
        known = self.ruled.told_once
        if key not in known:
            named = (self.ruled.of_mode("trigger")[k] for k in triggers)
            known[key] = [
                {
                    "id": each.id,
                    "state": "not_evaluable",
                    "text": each.name._asdict(),
                    "evidence": [],
                    "n_events": 0,
                    "sealed": each.sealed,
                    "tier": each.levels[0].tier,
                }
                for each in sorted(named, key=lambda each: each.id)
                if not self._hides(each)
            ]
        return known[key]

    def _evidence(self, indicator: Indicator) -> list[int]:
        history = self.ruled.states.facts.history
        found = self.ruled.states.evidence(indicator.id, self.household)
        if not self.may_read_sealed:
            found = {row for row in found if not history.catalogue.kinds[history.code[row]].is_sealed}
        return sorted(found)

    def _questions(self, indicator: Indicator) -> list[dict[str, str]]:
        if self._hides(indicator):
            return []
        return [{"zh": question.zh, "en": question.en} for question in indicator.questions]


class _Asked:
    """What the indicators of `ASKING` ask: where one is true by its id, and where one cannot be evaluated by its place
    among all of them, those that can bring the highest tier first, with the rank of that tier.

    `places` gives the place of each indicator of a mode.
    """

    def __init__(self, indicators: Sequence[Indicator], questions: Mapping[str, list[dict[str, str]]]) -> None:
        self.if_true = {each.id: _told_questions(each, questions[each.id], False) for each in indicators}
        ordered = sorted(indicators, key=lambda each: (-_strongest(each), each.id))
        self.if_open = [(_strongest(each), _told_questions(each, questions[each.id], True)) for each in ordered]
        place = {each.id: k for k, each in enumerate(ordered)}
        self.places = {mode: [place[each.id] for each in indicators if each.mode == mode] for mode in ASKING}


def _strongest(indicator: Indicator) -> int:
    """Rank of the highest tier that an indicator can bring."""
    return max((RANKS.get(level.tier, 0) for level in indicator.levels), default=0)


def _told_questions(indicator: Indicator, texts: list[dict[str, str]], may_change_tier: bool) -> list[dict[str, Any]]:
    return [
        {
            "question_id": f"{indicator.id}.{number}",
            "text": text,
            "kind": "indicator",
            "about": indicator.id,
            "code": None,
            "unit": None,
            "if_known": None,
            "may_change_tier": may_change_tier,
        }
        for number, text in enumerate(texts, 1)
    ]


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
    if lo == hi:
        value = _rounded(lo)
        at_least = at_most = value if math.isfinite(lo) else None
        return {"state": state, "value": value, "at_least": at_least, "at_most": at_most}
    return {
        "state": state,
        "value": None,
        "at_least": _rounded(lo) if math.isfinite(lo) else None,
        "at_most": _rounded(hi) if math.isfinite(hi) else None,
    }


def _rounded(value: float) -> float:
    # -0.0 would print as a debt of nothing.
    return round(value, 4) + 0.0
