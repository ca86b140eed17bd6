"""The assessment of a household: one record in the shape `assessment.v1`, for a person to review.

It is the same record online and in a batch, and the same bytes for the same events, moment and model.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from features.history import History, Visible, visible
from features.matrix import Matrix, matrix_of
from features.window import DAYS_PER_MONTH, MICROS_PER_DAY, Micros, day, written
from models.bundle import Bundle
from models.explanation import Explanation, explain
from models.reasons import Record, data_gaps, reasons
from models.tier import Tier

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


def assessments(bundle: Bundle, history: History, as_of: Micros, *, reasons: bool = True) -> list[dict[str, Any]]:
    """Assess every household of the history at `as_of`, in its order.

    Households without a single event in the last 24 months, without known members, or unknown where the model never
    learned to be, are `abstained` and grey. Without `reasons` the facts are left out, nothing else changes.
    """
    seen = visible(history, as_of)
    vectors = matrix_of(history, seen)
    codes = [_abstention(vectors, i, unlearned) for i, unlearned in enumerate(_unlearned(bundle, vectors))]
    scored = np.flatnonzero([not code for code in codes])
    explanation = explain(bundle, vectors.values[scored], vectors.unknown[scored]) if len(scored) else None
    position = {int(i): row for row, i in enumerate(scored)}
    records = []
    for i, household_id in enumerate(history.household_ids):
        record = _frame(bundle, history, seen, vectors, i, household_id)
        if explanation is None or i not in position:
            records.append(_abstained(record, codes[i]))
        else:
            record = _scored(bundle, record, explanation, position[i], Record(history, seen, i), with_reasons=reasons)
            records.append(record)
    return records


def failed(bundle: Bundle, household_id: str, as_of: Micros) -> dict[str, Any]:
    """The record of a household whose computation failed: an error, never a number."""
    record = _empty(bundle, household_id, as_of, _identity(bundle, household_id, as_of, b"failed"))
    record["status"] = "error"
    return record


def _unlearned(bundle: Bundle, vectors: Matrix) -> list[bool]:
    flags: list[bool] = bundle.model.unlearned_unknowns(vectors.values).tolist()
    return flags


def _abstention(vectors: Matrix, i: int, unlearned: bool) -> list[str]:
    reasons_against = {
        "no_events": vectors.n_events[i] == 0,
        "no_members": vectors.n_members[i] == 0,
        "unknown_never_learned": unlearned,
    }
    return [code for code, applies in reasons_against.items() if applies]


def _frame(
    bundle: Bundle, history: History, seen: Visible, vectors: Matrix, i: int, household_id: str
) -> dict[str, Any]:
    """What is said about every household, scored or not."""
    rows = seen.of(i)
    names = [str(history.event_id[e]) for e in rows]
    content = vectors.values[i].tobytes() + "\x1f".join(names).encode()
    record = _empty(bundle, household_id, seen.as_of, _identity(bundle, household_id, seen.as_of, content))
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
        "tier": Tier.GREY.value,
        "tier_basis": [],
        "points": None,
        "poverty_types": [],
        "dimensions": {},
        "reasons": [],
        "contributions": None,
        "triggers": [],
        "data_gaps": [],
        "data_quality": {"coverage": None, "n_events_24m": None, "sources": []},
        "questions": [],
        "policy_candidates": [],
        "limits": list(LIMITS),
        "model": {"name": bundle.name, "version": bundle.version, "bundle_sha256": bundle.sha256},
        "decision": None,
        "decision_authority": "human",
    }


def _abstained(record: dict[str, Any], codes: list[str]) -> dict[str, Any]:
    record["status"] = "abstained"
    record["tier_basis"] = [f"abstained:{code}" for code in codes]
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
    record["tier"] = bundle.bands.tier(probability).value
    record["tier_basis"] = ["probability"]
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
