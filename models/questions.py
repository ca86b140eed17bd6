"""What to ask on a visit: at most eight questions, those first whose answers could move the assessment the most.

Two lists are taken in turn: fields of the record by the value of asking (`models.asking`), an answer that may change
the tier first, and the indicators' own questions (`RuleRecord.questions`), the strongest true indicator first. So what
a true trigger asks stands second at the latest. Fields whose answer hardly moves anything come last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest
from typing import Any

from features.history import History, Visible
from features.matrix import Matrix
from features.unit import Unit
from models.asking import Asked, Asking
from models.bundle import Bundle
from models.record_frame import per_100
from models.rule_record import RuleRecord
from models.scores import Scores
from models.tier import RANKED, Standing, Tier

MAX_QUESTIONS = 8
# Half a household in a hundred: a narrower range is mostly told by the same number at both of its ends.
LEAST_VALUE = 0.005


@dataclass(frozen=True)
class Questions:
    """The questions of the households of one history at one moment, worked out when a record asks for them."""

    bundle: Bundle
    history: History
    seen: Visible
    vectors: Matrix
    scores: Scores

    def of(self, i: int, found: Standing, rules: RuleRecord | None) -> list[dict[str, Any]]:
        """The questions of household i, which stands at `found`; `rules` is what the rules say, if they may speak.

        The model asks nothing about who opted out or is assessed by the rules alone. Where it abstains, how much an
        answer could move orders the questions, but no number is told.
        """
        rank = 0 if found.computed is Tier.GREY else RANKED.index(found.computed)
        of_rules = [] if rules is None else rules.questions(rank)
        floor = 0 if rules is None else max([int(rules.ruled.points_rank[i]), *rules.floors().values()])
        # No number of an abstained household sets a tier, nor does a borrowed model's.
        sets_tier = self.scores.probability(i) is not None and self.scores.is_of_trained_region[i]
        listed = [(each, sets_tier and self._may_change_tier(each, rank, floor)) for each in self._asked(i)]
        worth: list[tuple[Asked, bool]] = []
        slight: list[tuple[Asked, bool]] = []
        for each, may_change_tier in sorted(listed, key=lambda pair: not pair[1]):
            # How far an answer moves what cannot be scored yet is not known to be little.
            is_worth = may_change_tier or each.points is None or each.value >= LEAST_VALUE
            (worth if is_worth else slight).append((each, may_change_tier))
        # Most are never put into words: eight are enough.
        return _first(chain(_in_turn(self._all_told(i, worth), of_rules), self._all_told(i, slight)))

    @cached_property
    def _asking(self) -> Asking:
        return Asking(self.bundle, self.history, self.seen, self.vectors)

    def _asked(self, i: int) -> list[Asked]:
        if self.scores.has_opted_out[i] or self.scores.status(i) == "rules_only":
            return []
        return self._asking.of(i)

    def _may_change_tier(self, asked: Asked, rank: int, floor: int) -> bool:
        """Whether an answer within the range could bring another tier than the present one, whose rank is `rank`.

        What the rules bring (`floor`) holds whatever the answer.
        """
        if asked.points is None:
            return False
        return any(max(floor, RANKED.index(self.bundle.bands.tier(p))) != rank for p in asked.points)

    def _all_told(self, i: int, listed: Sequence[tuple[Asked, bool]]) -> Iterator[dict[str, Any]]:
        return (self._told(i, each, may_change_tier) for each, may_change_tier in listed)

    def _told(self, i: int, asked: Asked, may_change_tier: bool) -> dict[str, Any]:
        field, points = asked.gap.field, None if self.scores.probability(i) is None else asked.points
        return {
            "question_id": f"field:{field.name}",
            "text": field.wording.question._asdict(),
            "kind": asked.gap.kind,
            "about": field.name,
            "code": None if field.unit is None else field.wording.records,
            "unit": self.bundle.currency
            if field.unit is Unit.MONEY
            else None
            if field.unit is None
            else field.unit.value,
            "if_known": None if points is None else [per_100(point) for point in points],
            "may_change_tier": may_change_tier,
        }


def _in_turn(one: Iterable[dict[str, Any]], other: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """First of one, first of the other, second of one, and so on; what is left of the longer ends the list."""
    return (each for each in chain.from_iterable(zip_longest(one, other)) if each is not None)


def _first(listed: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first eight without the same words twice, in either language."""
    found: list[dict[str, Any]] = []
    said: set[str] = set()
    for each in listed:
        words = each["text"].values()
        if said.isdisjoint(words):
            found.append(each)
            said.update(words)
            if len(found) == MAX_QUESTIONS:
                break
    return found
