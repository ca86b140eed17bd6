"""What every assessment holds, whatever came out: its fields, its fixed words, its name."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from features.window import MICROS_PER_DAY, Micros, written
from models.bundle import Bundle
from models.tier import Tier

# What a row of a table of many takes from the record; `coverage`, `months_silent`, `abstention_codes`
# and `model_version` stand deeper in it or are its own.
ROW_FIELDS = (
    "household_id",
    "status",
    "probability",
    "interval",
    "tier",
    "tier_computed",
    "tier_basis",
    "points",
    "per_100",
    "rank_in_county",
    "reasons",
    "triggers",
    "poverty_types",
    "dimensions",
    "verification",
    "policy_candidates",
    "data_gaps",
    "assessment_id",
)
SCHEMA = "assessment.v1"
VALID_DAYS = 90

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


def empty_record(bundle: Bundle, household_id: str, as_of: Micros, assessment_id: str) -> dict[str, Any]:
    """An assessment that says nothing yet: every field, grey, without a number."""
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
        "abstention": [],
        "low_confidence": [],
        "probability": None,
        "interval": None,
        "per_100": None,
        "frequency": None,
        "base_rate_per_100": per_100(bundle.base_rate),
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
        "reason_note": None,
        "change": None,
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


def failed(bundle: Bundle, household_id: str, as_of: Micros) -> dict[str, Any]:
    """The record of a household whose computation failed: an error, never a number."""
    record = empty_record(bundle, household_id, as_of, identity(bundle, household_id, as_of, b"failed"))
    record["status"] = "error"
    return record


def failed_row(bundle: Bundle, household_id: str, as_of: Micros) -> dict[str, Any]:
    """The same as a row of a table of many."""
    record = failed(bundle, household_id, as_of)
    told: dict[str, Any] = {
        "coverage": None,
        "months_silent": None,
        "abstention_codes": [],
        "model_version": bundle.version,
    }
    return {**{name: value for name, value in record.items() if name in ROW_FIELDS}, **told}


def per_100(probability: float) -> float:
    """Of 100 households with similar records; below one it keeps a decimal, so that rare never reads as never."""
    per_100 = 100.0 * probability
    return round(per_100) if per_100 >= 1 else max(0.1, math.floor(per_100 * 10) / 10)


def identity(bundle: Bundle, household_id: str, as_of: Micros, content: bytes) -> str:
    """The name of an assessment: the same for the same household, moment, model and content."""
    digest = hashlib.sha256(f"{bundle.sha256}|{as_of}|{household_id}|".encode() + content)
    return "as-" + digest.hexdigest()[:24]
