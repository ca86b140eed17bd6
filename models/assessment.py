"""The assessment of a household: one record in the shape `assessment.v1`, for a person to review.

It is the same record online and in a batch, and the same bytes for the same events, moment, model and rules in force.
The rules speak about every household; the model only where it may and can.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from features.catalogue import CORE
from features.history import History, Visible, visible
from features.matrix import Matrix, matrix_of
from features.rules.rulebook import Rulebook, rulebook
from features.window import DAYS_PER_MONTH, MICROS_PER_DAY, Micros, day, is_not_before, written
from models.assistance_chain import alerts, assistance_chain
from models.bundle import Bundle
from models.explanation import Explanation, explain
from models.policy import statuses, unlocks
from models.reasons import Record, data_gaps, reasons
from models.rule_record import RuleRecord
from models.rules import Ruled, ruled
from models.tier import Previous, Tier, standing

SCHEMA = "assessment.v1"
VALID_DAYS = 90
LOW_COVERAGE = 0.6
# A source counts as fresh while its newest row is younger than two quarters and its usual worst delay.
FRESH_DAYS = 183

LIMITS = [
    {
        "zh": "不是决定：是否纳入、怎么帮扶，由人核实后决定。",
        "en": "This is not a decision. People decide, after checking.",
    },
    {
        "zh": "分数低不说明没有困难；记录可能有误或不全。",
        "en": "A low score is no evidence of no need. Records may be wrong or incomplete.",
    },
    {
        "zh": "列出的是与分数有关的记录，不是原因。",
        "en": "The listed records go together with the score. They are not causes.",
    },
    {
        "zh": "系统看不到亲友帮扶、私人借款、最近几天的变化和本人意愿。",
        "en": "It cannot see help from relatives, private loans, the last days, or the family's own wishes.",
    },
]
ABSTAINED = {
    "zh": "资料不足，系统不给出分数。这不表示风险低，请按人工名单走访。",
    "en": "Not enough is known, so no score is given. This does not mean low risk. Visit from the manual list.",
}


RULES_ONLY = {
    "zh": "本次只按规则评估，没有使用模型分数。",
    "en": "Assessed by the rules alone; no model score was used.",
}
BORROWED = {
    "zh": "模型来自另一个地区：概率仅供参考，不决定风险等级。",
    "en": "The model was trained for another region: its probability is for orientation and sets no tier.",
}
OPT_OUT = "SLF//OPTOUT"


@dataclass(frozen=True)
class Handling:
    """How to assess. `rules_only` is the kill switch of the model; `previous` holds the last run's tiers by household;
    `may_read_sealed` says that the reader's role may see sealed wording; `brief` leaves out what a table of many
    households has no column for (points items, questions, chain); `book` replaces the shipped rules."""

    rules_only: bool = False
    previous: Mapping[str, tuple[Previous, Micros]] = field(default_factory=dict)
    may_read_sealed: bool = False
    brief: bool = False
    book: Rulebook | None = None

    def rules(self, bundle: Bundle) -> Rulebook | None:
        """The rules that speak about this bundle's catalogue; none do about a foreign panel."""
        if bundle.catalogue.name != CORE:
            return None
        return self.book if self.book is not None else rulebook()


PLAIN = Handling()


def assessments(
    bundle: Bundle, history: History, as_of: Micros, *, reasons: bool = True, handling: Handling = PLAIN
) -> list[dict[str, Any]]:
    """Assess every household of the history at `as_of`, in its order.

    Households without a single event in the last 24 months, without known members, unknown where the model never
    learned to be, or opted out are `abstained`: without a probability, and grey unless a rule raises them. Where the
    model was not trained for the region, or is switched off, they are `rules_only`; where the region's pack borrows
    another region's model, the probability is told with low confidence and sets no tier, because the bands are the
    visits that the other region can make. Without `reasons` facts, evidence
    and questions are left out, nothing else changes.
    """
    seen = visible(history, as_of)
    vectors = matrix_of(history, seen)
    book = handling.rules(bundle)
    rules = None if book is None else ruled(book, history, seen)
    opted_out = _opted_out(history, seen)
    codes = [
        _abstention(vectors, i, unlearned, opted_out=bool(opted_out[i]))
        for i, unlearned in enumerate(_unlearned(bundle, vectors))
    ]
    may_score = np.zeros(len(codes), np.bool_)
    if not handling.rules_only:
        may_score = np.array([_is_scored_here(bundle, book, str(region)) for region in history.region], np.bool_)
    scored = np.flatnonzero(may_score & np.array([not code for code in codes], np.bool_))
    explanation = explain(bundle, vectors.values[scored], vectors.unknown[scored]) if len(scored) else None
    position = {int(i): row for row, i in enumerate(scored)}
    candidates = None if rules is None else statuses(rules.states.book.policies, rules.states)
    records = []
    for i, household_id in enumerate(history.household_ids):
        record = _frame(bundle, history, seen, vectors, i, household_id, rules)
        speaking = None if rules is None or opted_out[i] else RuleRecord(rules, i, handling.may_read_sealed)
        if explanation is not None and i in position:
            behind = Record(history, seen, i)
            record = _scored(bundle, record, explanation, position[i], behind, with_reasons=reasons)
            if str(history.region[i]) not in bundle.regions:
                record["status"] = "scored_low_confidence"
                record["limits"] = [BORROWED, *LIMITS]
        elif codes[i]:
            record = _abstained(record)
        else:
            record["status"] = "rules_only"
            record["limits"] = [RULES_ONLY, *LIMITS]
        if speaking is not None and candidates is not None and rules is not None:
            _ruled(record, speaking, with_reasons=reasons, brief=handling.brief)
            record["policy_candidates"] = [
                {**each, "triggered_by": sorted({speaking.shown(name) for name in each["triggered_by"]})}
                for each in candidates.records(i)
            ]
            if reasons and not handling.brief:
                chain = assistance_chain(
                    history, seen, i, alerts(rules.states, i), with_sealed=handling.may_read_sealed
                )
                record["assistance_chain"] = chain
            record["unlocks"] = unlocks(record["policy_candidates"], rules.states.book.policies.facts)
        _placed(bundle, record, speaking, codes[i], handling.previous.get(household_id), history, seen, i)
        records.append(record)
    return records


def _is_scored_here(bundle: Bundle, book: Rulebook | None, region: str) -> bool:
    """Whether the bundle's model may score households of the region."""
    if region in bundle.regions or book is None:
        return True
    return bool(set(book.packs.scored_as(region)) & set(bundle.regions))


def _opted_out(history: History, seen: Visible) -> np.typing.NDArray[np.bool_]:
    """Who refused to be assessed by a machine: a person looks at them without any number."""
    flags = np.zeros(len(history.household_ids), np.bool_)
    kinds = [i for i, kind in enumerate(history.catalogue.kinds) if kind.code == OPT_OUT]
    for kind in kinds:
        rows = np.flatnonzero(history.code[seen.rows] == kind)
        flags[np.searchsorted(seen.starts, rows, side="right") - 1] = True
    return flags


def _ruled(record: dict[str, Any], rules: RuleRecord, *, with_reasons: bool, brief: bool) -> None:
    """Add what the rules say."""
    i, of = rules.household, rules.ruled
    record["points"] = round(float(of.points[i]), 4)
    record["dimensions"] = rules.dimensions()
    record["poverty_types"] = rules.poverty_types()
    record["monitored_type_hint"] = int(of.monitored_type_hint[i]) or None
    record["tasks"] = rules.tasks()
    if with_reasons:
        record["triggers"] = rules.triggers()
        record["verification"] = rules.verification()
    if not brief:
        record["multidimensional"] = rules.multidimensional()
        record["economics"] = rules.economics()
    if with_reasons and not brief:
        record["points_items"] = rules.points_items()
        record["questions"] = rules.questions()


def _placed(
    bundle: Bundle,
    record: dict[str, Any],
    rules: RuleRecord | None,
    codes: list[str],
    previous: tuple[Previous, Micros] | None,
    history: History,
    seen: Visible,
    i: int,
) -> None:
    """Give the record its tier."""
    abstained = tuple(f"abstained:{code}" for code in codes)
    found = standing(
        floors={} if rules is None else rules.floors(),
        points_rank=0 if rules is None else int(rules.ruled.points_rank[i]),
        probability=record["probability"],
        bands=bundle.bands if str(history.region[i]) in bundle.regions else None,
        grey=abstained or (() if rules is None else rules.silent()),
        previous=None if previous is None else previous[0],
        visited_since=previous is not None and _visited_since(history, seen, i, previous[1]),
    )
    more = () if set(abstained) <= set(found.basis) else abstained
    record["tier"], record["tier_computed"] = found.tier.value, found.computed.value
    record["tier_basis"] = [*found.basis, *more]
    if rules is not None:
        record["tier_basis"] = [_unsealed(entry, rules) for entry in record["tier_basis"]]


def _unsealed(entry: str, rules: RuleRecord) -> str:
    """A trigger in the basis without the name of a sealed one."""
    kind, _, name = entry.partition(":")
    return f"trigger:{rules.shown(name)}" if kind == "trigger" else entry


def _visited_since(history: History, seen: Visible, i: int, since: Micros) -> bool:
    rows = seen.of(i)
    visits = [k for k, kind in enumerate(history.catalogue.kinds) if kind.code == "GRD//VISIT"]
    of = rows[np.isin(history.code[rows], visits)]
    return bool(is_not_before(history.occurred[of], since).any())


def failed(bundle: Bundle, household_id: str, as_of: Micros) -> dict[str, Any]:
    """The record of a household whose computation failed: an error, never a number."""
    record = _empty(bundle, household_id, as_of, _identity(bundle, household_id, as_of, b"failed"))
    record["status"] = "error"
    return record


def _unlearned(bundle: Bundle, vectors: Matrix) -> list[bool]:
    flags: list[bool] = bundle.model.unlearned_unknowns(vectors.values).tolist()
    return flags


def _abstention(vectors: Matrix, i: int, unlearned: bool, *, opted_out: bool) -> list[str]:
    reasons_against = {
        "opted_out": opted_out,
        "no_events": vectors.n_events[i] == 0,
        "no_members": vectors.n_members[i] == 0,
        "unknown_never_learned": unlearned,
    }
    return [code for code, applies in reasons_against.items() if applies]


def _frame(
    bundle: Bundle,
    history: History,
    seen: Visible,
    vectors: Matrix,
    i: int,
    household_id: str,
    rules: Ruled | None,
) -> dict[str, Any]:
    """What is said about every household, scored or not."""
    rows = seen.of(i)
    names = [str(history.event_id[e]) for e in rows]
    in_force = None if rules is None else _rules(rules, i)
    content = vectors.values[i].tobytes() + "\x1f".join(names).encode() + repr(in_force).encode()
    record = _empty(bundle, household_id, seen.as_of, _identity(bundle, household_id, seen.as_of, content))
    record["rules"] = in_force
    known = ~vectors.unknown[i]
    weight = float(bundle.importance.sum())
    coverage = float(bundle.importance[known].sum()) / weight if weight > 0 else 0.0
    record["data_gaps"] = data_gaps(bundle, vectors.unknown[i])
    record["data_quality"] = {
        "coverage": round(coverage, 4),
        "n_events_24m": int(vectors.n_events[i]),
        "sources": _sources(bundle, history, rows, seen.as_of),
    }
    return record


def _rules(rules: Ruled, i: int) -> dict[str, Any]:
    """Which rules spoke: the indicators of the day and the region's pack."""
    pack = rules.states.terms.pack(i)
    return {
        "indicators_sha256": rules.states.book.digest,
        "pack": pack.region,
        "pack_effective_from": pack.effective_from.isoformat(),
        "pack_sha256": pack.digest,
    }


def _empty(bundle: Bundle, household_id: str, as_of: Micros, assessment_id: str) -> dict[str, Any]:
    zone = bundle.time_zone
    return {
        "schema": SCHEMA,
        "assessment_id": assessment_id,
        "household_id": household_id,
        "as_of": written(as_of, zone),
        "valid_until": written(as_of + VALID_DAYS * MICROS_PER_DAY, zone),
        "horizon_months": int(bundle.manifest["label"]["horizon_months"]),
        "label": bundle.manifest["label"],
        "status": "error",
        "probability": None,
        "interval": None,
        "per_100": None,
        "base_rate_per_100": _per_100(bundle.base_rate),
        "rank_in_county": None,
        "tier": Tier.GREY.value,
        "tier_computed": Tier.GREY.value,
        "tier_basis": [],
        "points": None,
        "points_items": [],
        "poverty_types": [],
        "monitored_type_hint": None,
        "dimensions": {},
        "multidimensional": None,
        "economics": None,
        "reasons": [],
        "contributions": None,
        "triggers": [],
        "data_gaps": [],
        "data_quality": {"coverage": None, "n_events_24m": None, "sources": []},
        "verification": [],
        "tasks": [],
        "questions": [],
        "policy_candidates": [],
        "unlocks": [],
        "assistance_chain": [],
        "rules": None,
        "limits": list(LIMITS),
        "model": {"name": bundle.name, "version": bundle.version, "bundle_sha256": bundle.sha256},
        "decision": None,
        "decision_authority": "human",
    }


def _abstained(record: dict[str, Any]) -> dict[str, Any]:
    record["status"] = "abstained"
    record["limits"] = [ABSTAINED, *LIMITS]
    return record


def _scored(
    bundle: Bundle,
    record: dict[str, Any],
    explanation: Explanation,
    row: int,
    behind: Record,
    *,
    with_reasons: bool,
) -> dict[str, Any]:
    probability = float(explanation.probability[row])
    is_thin = record["data_quality"]["coverage"] < LOW_COVERAGE
    record["status"] = "scored_low_confidence" if is_thin else "scored"
    record["probability"] = probability
    record["per_100"] = _per_100(probability)
    record["rank_in_county"] = bundle.rank(probability)
    record["contributions"] = {"base": float(explanation.base[row]), "groups": explanation.groups(bundle, row)}
    if with_reasons:
        record["reasons"] = reasons(bundle, explanation, row, behind)
    return record


def _sources(
    bundle: Bundle, history: History, rows: np.typing.NDArray[np.int64], as_of: Micros
) -> list[dict[str, Any]]:
    """Newest report of each source that has sent anything about the household."""
    newest: dict[str, int] = {}
    for e in rows:
        source = str(history.source[e])
        newest[source] = max(newest.get(source, 0), int(history.known_at[e]))
    listed = []
    for source in sorted(newest):
        usual_delay = int(bundle.sources[source][1]) if source in bundle.sources else 0
        age_days = (as_of - newest[source]) / MICROS_PER_DAY
        listed.append(
            {
                "source": source,
                "latest_known_at": day(newest[source], history.time_zone),
                "age_months": round(age_days / DAYS_PER_MONTH, 1),
                "fresh": age_days <= FRESH_DAYS + usual_delay,
            }
        )
    return listed


def _per_100(probability: float) -> float:
    """Of 100 households with similar records; below one it keeps a decimal, so that rare never reads as never."""
    per_100 = 100.0 * probability
    return round(per_100) if per_100 >= 1 else max(0.1, math.floor(per_100 * 10) / 10)


def _identity(bundle: Bundle, household_id: str, as_of: Micros, content: bytes) -> str:
    digest = hashlib.sha256(f"{bundle.sha256}|{as_of}|{household_id}|".encode() + content)
    return "as-" + digest.hexdigest()[:24]
