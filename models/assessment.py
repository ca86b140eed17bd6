"""The assessment of a household: one record in the shape `assessment.v1`, for a person to review.

It is the same record online and in a batch, and the same bytes for the same events, moment, model and rules in force.
The rules speak about every household; the model only where it may and can.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from features.definition import Text
from features.evidence import Evidence
from features.history import History, Visible, visible
from features.matrix import Matrix, matrix_of
from features.window import Micros, is_not_before
from models.abstention import Limits, told
from models.assistance_chain import alerts, assistance_chain
from models.bundle import Bundle
from models.data_quality import DataQuality, sources
from models.frequency import frequency
from models.handling import PLAIN, Handling
from models.policy import Statuses, statuses, unlocks
from models.questions import Questions
from models.reasons import Reasons
from models.record_frame import ABSTAINED, BORROWED, LIMITS, RULES_ONLY, empty_record, identity, per_100
from models.record_state import OPT_OUT as OPT_OUT
from models.record_state import months_silent
from models.rule_record import RuleRecord
from models.rules import Ruled, ruled
from models.scores import Scores
from models.tier import Standing, standing

LOW_COVERAGE = Limits().thin_coverage
VISIT = "GRD//VISIT"


def assessments(
    bundle: Bundle, history: History, as_of: Micros, *, reasons: bool = True, handling: Handling = PLAIN
) -> list[dict[str, Any]]:
    """The assessment of every household of the history at `as_of`, in its order (see `assess`)."""
    assessed = assess(bundle, history, as_of, reasons=reasons, handling=handling)
    return [assessed.record(i) for i in range(len(history.household_ids))]


def assess(
    bundle: Bundle, history: History, as_of: Micros, *, reasons: bool = True, handling: Handling = PLAIN
) -> Assessed:
    """Assess every household of the history at `as_of`.

    Households that `models.abstention` names a code for are `abstained`: without a probability, and grey unless a rule
    raises them. Where the model was not trained for the region, or is switched off, they are `rules_only`; where the
    region's pack borrows another region's model, the probability is told with low confidence and sets no tier, because
    the bands are the visits that the other region can make. Without `reasons` facts, evidence and questions are left
    out, nothing else changes.
    """
    seen = visible(history, as_of)
    vectors = matrix_of(history, seen)
    book = handling.rules(bundle)
    rules = None if book is None else ruled(book, history, seen)
    return Assessed(bundle, history, seen, vectors, rules, handling, reasons)


@dataclass(frozen=True)
class Assessed:
    """Households of one history at one moment, assessed together and told one by one."""

    bundle: Bundle
    history: History
    seen: Visible
    vectors: Matrix
    rules: Ruled | None
    handling: Handling
    with_reasons: bool

    def for_sealed_readers(self) -> Assessed:
        """The same for readers who may see sealed wording; what is worked out already is not worked out again."""
        other = copy(self)
        vars(other)["handling"] = replace(self.handling, may_read_sealed=True)
        return other

    def settled(self) -> Assessed:
        """The same, with everything worked out that concerns all households; otherwise it is when first asked."""
        self.settle_rules()
        self.settle_scores()
        return self

    def settle_rules(self) -> None:
        """Work out what the rules say about all households."""
        if self.rules is not None:
            self.rules.settle()
            _ = self._candidates

    def settle_scores(self) -> None:
        """Work out scores, contributions, and what is known."""
        self.scores.settle()
        _ = (self.quality.coverage, self._reasons, self._months_silent)

    def record(self, i: int) -> dict[str, Any]:
        """The whole assessment of household i."""
        history, speaking = self.history, self._speaking(i)
        record = empty_record(self.bundle, self.household_id(i), self.seen.as_of, self.assessment_id(i))
        record["rules"] = None if self.rules is None else self._in_force(i)
        record["data_gaps"] = self.quality.gaps(i)
        record["data_quality"] = {
            "coverage": self.quality.coverage[i],
            "n_events_24m": int(self.vectors.n_events[i]),
            "sources": sources(self.bundle, history, self.seen, i),
        }
        record["status"] = self.scores.status(i)
        record["abstention"] = told(self.scores.abstentions[i]) if record["status"] == "abstained" else []
        record["low_confidence"] = told(self.scores.doubts(i))
        limits = {"abstained": [ABSTAINED], "rules_only": [RULES_ONLY]}.get(record["status"], [])
        probability = self.scores.probability(i)
        if probability is not None:
            assert self.scores.explanation is not None
            row = self.scores.row_of[i]
            record["probability"] = probability
            record["interval"] = self.scores.interval(i)
            record["per_100"] = per_100(probability)
            record["frequency"] = self._frequency(probability, record["interval"])
            record["rank_in_county"] = self.bundle.rank(probability)
            base, groups = float(self.scores.explanation.base[row]), self.scores.explanation.groups(row)
            record["contributions"] = {"base": base, "groups": groups}
            record["reasons"] = self.reasons(i)
            if self._reasons is not None:
                record["reason_note"] = self._reasons.note(row, record["reasons"])
            limits = [] if self.scores.is_of_trained_region[i] else [BORROWED]
        record["limits"] = [*limits, *LIMITS]
        if speaking is not None:
            self._add_rules(record, speaking)
        found = self.standing(i, speaking)
        record["tier"], record["tier_computed"] = found.tier.value, found.computed.value
        record["tier_basis"] = self.tier_basis(i, found, speaking)
        record["questions"] = self._questions.of(i, found, speaking) if self.with_reasons else []
        return record

    def row(self, i: int) -> dict[str, Any]:
        """The assessment of household i as a row of a table of many: without questions, economics and chain."""
        speaking = self._speaking(i)
        found, probability, status = self.standing(i, speaking), self.scores.probability(i), self.scores.status(i)
        row: dict[str, Any] = {
            "household_id": self.household_id(i),
            "status": status,
            "probability": probability,
            "interval": self.scores.interval(i),
            "tier": found.tier.value,
            "tier_computed": found.computed.value,
            "tier_basis": self.tier_basis(i, found, speaking),
            "points": None,
            "per_100": None if probability is None else per_100(probability),
            "rank_in_county": None if probability is None else self.bundle.rank(probability),
            "reasons": self.reasons(i),
            "triggers": [],
            "poverty_types": [],
            "dimensions": {},
            "verification": [],
            "policy_candidates": [],
            "data_gaps": self.quality.gaps(i),
            "coverage": self.quality.coverage[i],
            "months_silent": self._months_silent[i],
            "abstention_codes": self.scores.abstentions[i] if status == "abstained" else [],
            "assessment_id": self.assessment_id(i),
            "model_version": self.bundle.version,
        }
        if speaking is not None:
            assert self._candidates is not None
            row["points"] = round(float(speaking.ruled.points[i]), 4)
            row["poverty_types"], row["dimensions"] = speaking.poverty_types(), speaking.dimensions()
            row["policy_candidates"] = self._candidates.briefs(i)
            if self.with_reasons:
                row["triggers"], row["verification"] = speaking.triggers(), speaking.verification_ids()
        return row

    def _frequency(self, probability: float, interval: list[float] | None) -> dict[str, str] | None:
        """The probability as a sentence, unless the level has drifted too far for numbers to be spoken."""
        low, high = interval or (probability, probability)
        outcome = self.bundle.manifest["label"]
        meaning = Text(str(outcome["zh"]), str(outcome["en"]))
        spoken = self.handling.speaks_numbers
        said = frequency(probability, (low, high), self.bundle.base_rate, meaning, spoken=spoken)
        return None if said is None else said._asdict()

    # -- what is told

    @cached_property
    def scores(self) -> Scores:
        """Whom the model scores, and what it says about them."""
        return Scores(self.bundle, self.history, self.seen, self.vectors, self.handling, self.quality)

    @cached_property
    def _months_silent(self) -> list[float | None]:
        """Months since the newest visible event of each household, None where there is none."""
        found = np.round(months_silent(self.history, self.seen), 1).tolist()
        return [None if math.isinf(months) else months for months in found]

    @cached_property
    def quality(self) -> DataQuality:
        """What is known and unknown about each household."""
        return DataQuality(self.bundle, self.vectors.unknown)

    @cached_property
    def _reasons(self) -> Reasons | None:
        if self.scores.explanation is None or not self.with_reasons:
            return None
        return Reasons(self.bundle, self.scores.explanation, Evidence(self.history, self.seen))

    def reasons(self, i: int) -> list[dict[str, Any]]:
        """Why the score of household i is what it is; nothing where it has none."""
        return (
            self._reasons.of(self.scores.row_of[i], i) if self._reasons is not None and i in self.scores.row_of else []
        )

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.bundle, self.history, self.seen, self.vectors, self.scores)

    @cached_property
    def _candidates(self) -> Statuses | None:
        return None if self.rules is None else statuses(self.rules.states.book.policies, self.rules.states)

    def _speaking(self, i: int) -> RuleRecord | None:
        if self.rules is None or self.scores.has_opted_out[i]:
            return None
        return RuleRecord(self.rules, i, self.handling.may_read_sealed)

    def _add_rules(self, record: dict[str, Any], rules: RuleRecord) -> None:
        """Add what the rules say."""
        i, of = rules.household, rules.ruled
        record["points"] = round(float(of.points[i]), 4)
        record["dimensions"] = rules.dimensions()
        record["poverty_types"] = rules.poverty_types()
        record["monitored_type_hint"] = int(of.monitored_type_hint[i]) or None
        record["tasks"] = rules.tasks()
        record["multidimensional"] = rules.multidimensional()
        record["economics"] = rules.economics()
        assert self._candidates is not None
        record["policy_candidates"] = [
            {**each, "triggered_by": sorted({rules.shown(name) for name in each["triggered_by"]})}
            for each in self._candidates.records(i)
        ]
        record["unlocks"] = unlocks(record["policy_candidates"], of.states.book.policies.facts)
        if self.with_reasons:
            record["triggers"] = rules.triggers()
            record["verification"] = rules.verification()
            record["points_items"] = rules.points_items()
            may_read_sealed = self.handling.may_read_sealed
            record["assistance_chain"] = assistance_chain(
                self.history, self.seen, i, alerts(of.states, i), with_sealed=may_read_sealed
            )

    def standing(self, i: int, rules: RuleRecord | None) -> Standing:
        """The tier of household i."""
        abstained = tuple(f"abstained:{code}" for code in self.scores.abstentions[i])
        previous = self.handling.previous.get(self.history.household_ids[i])
        return standing(
            floors={} if rules is None else rules.floors(),
            points_rank=0 if rules is None else int(rules.ruled.points_rank[i]),
            probability=self.scores.probability(i),
            bands=self.bundle.bands if self.scores.is_of_trained_region[i] else None,
            grey=abstained or (() if rules is None else rules.silent()),
            previous=None if previous is None else previous[0],
            visited_since=previous is not None and self._was_visited_since(i, previous[1]),
        )

    def tier_basis(self, i: int, found: Standing, rules: RuleRecord | None) -> list[str]:
        """What brought the tier; a sealed trigger without its name."""
        abstained = tuple(f"abstained:{code}" for code in self.scores.abstentions[i])
        more = () if set(abstained) <= set(found.basis) else abstained
        basis = [*found.basis, *more]
        return basis if rules is None else [_unsealed(entry, rules) for entry in basis]

    def _was_visited_since(self, i: int, since: Micros) -> bool:
        rows = self.seen.of(i)
        visits = self.history.catalogue.positions((VISIT,)) if VISIT in self.history.catalogue.by_code else ()
        of = rows[np.isin(self.history.code[rows], visits)]
        return bool(is_not_before(self.history.occurred[of], since).any())

    # -- its name

    def household_id(self, i: int) -> str:
        """What household i is called outside."""
        name = self.history.household_ids[i]
        return self.handling.names.get(name, name)

    def assessment_id(self, i: int) -> str:
        """The name of household i's assessment, from everything that it was computed from."""
        names = "\x1f".join(self._event_ids[self.seen.starts[i] : self.seen.starts[i + 1]])
        in_force = repr(None) if self.rules is None else repr(self._in_force(i))
        content = self.vectors.values[i].tobytes() + names.encode() + in_force.encode()
        return identity(self.bundle, self.household_id(i), self.seen.as_of, content)

    @cached_property
    def _event_ids(self) -> list[str]:
        """Ids of the visible events, household after household."""
        ids: list[str] = self.history.event_id[self.seen.rows].tolist()
        return ids

    def _in_force(self, i: int) -> dict[str, Any]:
        """Which rules spoke: the indicators of the day and the region's pack."""
        assert self.rules is not None
        states = self.rules.states
        pack = states.terms.pack(i)
        return {
            "indicators_sha256": states.book.digest,
            "pack": pack.region,
            "pack_effective_from": pack.effective_from.isoformat(),
            "pack_sha256": pack.digest,
        }


def _unsealed(entry: str, rules: RuleRecord) -> str:
    """A trigger in the basis without the name of a sealed one."""
    kind, _, name = entry.partition(":")
    return f"trigger:{rules.shown(name)}" if kind == "trigger" else entry
