"""Reasons: few, sorted, worded by size, and resting on events that somebody can check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from features.definition import GROUP_TEXT, Group
from features.evidence import Evidence
from features.history import visible
from features.matrix import matrix_of
from features.window import Micros
from models.bundle import Bundle
from models.calibration import Calibration
from models.certainty import Certainty
from models.data_quality import DataQuality
from models.explanation import Explanation
from models.reasons import MAX_FACTS, MAX_LOWERING, MAX_RAISING, Reasons, fact_text
from models.tier import Bands
from tests.records import CORE, Row, at, event, history, household, member

AS_OF = at("2025-06-30")
BUNDLE = Bundle(
    catalogue=CORE,
    model=None,  # type: ignore[arg-type]
    calibration=Calibration(1.0, 0.0, 0, 0),
    certainty=Certainty(),
    bands=Bands(0.3, 0.2, 0.1),
    reference=np.array([0.1, 0.5]),
    base_rate=0.05,
    importance=np.ones(len(CORE.features)),
    manifest={"data": {"currency": "CNY"}},
    sha256="",
)
# One event or more in each of many domains.
ROWS: list[Row] = [
    event("CLM//INPATIENT", "2025-03-01", "2025-03-09", 9_000.0, person_id="p1", event_id="stay of March"),
    event("CLM//INPATIENT", "2025-05-10", "2025-05-12", 2_000.0, person_id="p1", event_id="stay of May"),
    event("CLM//DRUG", "2025-06-01", value=90.0, person_id="p1", event_id="drug"),
    event("DIS//CERT_NEW", "2025-05-20", "2025-06-02", 2.0, person_id="p1", event_id="certificate"),
    event("EDU//DROPOUT", "2025-04-01", value=20.0, person_id="p2", event_id="absence"),
    event("EMP//UNEMP", "2025-02-01", value=1.0, person_id="p2", event_id="job lost"),
    event("EMP//WAGE", "2025-01-31", value=2_500.0, person_id="p2", event_id="wage"),
    event("EMP//WAGE", "2024-10-31", value=2_600.0, person_id="p2", event_id="older wage"),
    event("DST//CROP_LOSS", "2024-09-01", value=800.0, event_id="hail"),
    event("LS//GRANT", "2025-03-05", value=1_000.0, event_id="grant"),
    event("HLT//BIRTH", "2025-01-10", person_id="p2", event_id="birth"),
]
PEOPLE = [member("p1"), member("p2")]


def explained(
    pulls: dict[str, float], rows: list[Row] = ROWS, people: list[Row] = PEOPLE, as_of: Micros = AS_OF
) -> list[dict[str, Any]]:
    """The reasons when these features contribute this much, and all others nothing."""
    made = history(rows, people, [household()])
    seen = visible(made, as_of)
    vectors = matrix_of(made, seen)
    contributions = np.zeros((1, len(CORE.names)))
    for name, pull in pulls.items():
        contributions[0, CORE.names.index(name)] = pull
    log_odds = np.array([-3.0 + contributions.sum()])
    explanation = Explanation(
        CORE, vectors.values, vectors.unknown, log_odds, expit(log_odds), np.array([-3.0]), contributions
    )
    return Reasons(BUNDLE, explanation, Evidence(made, seen)).of(0, 0)


def cited(reason: dict[str, Any]) -> list[str]:
    return [e["event_id"] for fact in reason["facts"] for e in fact["events"]]


EACH = {  # one feature of each domain that rests on events
    "medical": "inpatient_stays_12m",
    "disability": "disability_certificates_12m",
    "education": "school_absences_6m",
    "employment": "unemployment_open",
    "income": "wage_amount_12m",
    "disaster": "disasters_12m",
    "assistance": "temporary_assistance_grants_12m",
    "household": "births_12m",
}


def test_reasons_come_by_size_and_direction_and_are_few() -> None:
    pulls = [0.2, 0.9, 0.4, 0.5, -0.3, -0.8, -0.5, 0.05]
    found = explained(dict(zip(EACH.values(), pulls, strict=True)))
    assert [(r["group"], r["direction"]) for r in found] == [
        ("disability", "raises"), ("employment", "raises"), ("education", "raises"),
        ("disaster", "lowers"), ("assistance", "lowers"),
    ]  # fmt: skip
    assert (MAX_RAISING, MAX_LOWERING, MAX_FACTS) == (3, 2, 2)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("size", "strength"),
    [(0.0999, None), (0.10, "slight"), (0.2999, "slight"), (0.30, "medium"), (0.70, "medium"), (0.7001, "strong")],
)
def test_strength_is_worded_by_size(size: float, strength: str | None, sign: int) -> None:
    found = explained({"disasters_12m": sign * size})
    assert [r["strength"] for r in found] == ([] if strength is None else [strength])
    assert [r["direction"] for r in found] == ([] if strength is None else ["raises" if sign > 0 else "lowers"])


def test_a_domain_counts_with_the_sum_of_its_features() -> None:
    assert explained({"inpatient_stays_12m": 0.6, "drug_out_of_pocket_amount_12m": -0.55}) == []
    both = explained({"inpatient_stays_12m": 0.2, "drug_out_of_pocket_amount_12m": 0.15})
    assert [(r["group"], r["strength"]) for r in both] == [("medical", "medium")]


def test_a_domain_shows_at_most_two_facts_the_largest_first_and_none_that_pulls_the_other_way() -> None:
    pulls = {
        "inpatient_stays_12m": 0.2,
        "drug_out_of_pocket_amount_12m": 0.4,
        "out_of_pocket_amount_12m": 0.3,
        "inpatient_out_of_pocket_max_amount_12m": -0.1,
    }
    (reason,) = explained(pulls)
    assert [fact["feature"] for fact in reason["facts"]] == [
        "drug_out_of_pocket_amount_12m",
        "out_of_pocket_amount_12m",
    ]


def test_the_same_events_are_not_told_twice() -> None:
    (reason,) = explained({"inpatient_stays_12m": 0.5, "inpatient_out_of_pocket_amount_12m": 0.4})
    assert [fact["feature"] for fact in reason["facts"]] == ["inpatient_stays_12m"]


def test_context_is_never_a_reason() -> None:
    assert explained({"residence_rural": 5.0}) == []
    assert explained({"residence_rural": -5.0}) == []


def test_what_is_unknown_is_never_a_reason_nor_part_of_one() -> None:
    """Two stays, one with an open amount: the sum is unknown, although events lie behind it."""
    rows = [*ROWS, event("CLM//INPATIENT", "2025-06-05", person_id="p1", event_id="open amount")]
    assert explained({"inpatient_out_of_pocket_amount_12m": 5.0}, rows) == []
    (reason,) = explained({"inpatient_out_of_pocket_amount_12m": 5.0, "inpatient_stays_12m": 0.2}, rows)
    assert reason["strength"] == "slight"
    assert [fact["feature"] for fact in reason["facts"]] == ["inpatient_stays_12m"]
    assert explained({"pension_amount_12m": 5.0}) == []


def test_nothing_on_record_is_no_fact_even_when_it_is_known() -> None:
    # Zero major diagnoses and no open dibao are known, but there is nothing that anybody could look up.
    assert explained({"major_diagnoses_24m": -0.9, "dibao_open": -0.9}) == []
    assert explained({"members": 0.9, "children_under_16": 0.9}) == []


def test_a_spell_that_has_ended_is_no_fact() -> None:
    found_again = [*ROWS, event("EMP//HIRE", "2025-04-01", person_id="p2")]
    assert [r["group"] for r in explained({"unemployment_open": -0.5})] == ["employment"]
    assert explained({"unemployment_open": -0.5}, found_again) == []


def test_every_cited_event_has_both_dates_its_code_and_its_source() -> None:
    (reason,) = explained({"disability_certificates_12m": 0.5})
    (fact,) = reason["facts"]
    assert fact["events"] == [
        {
            "event_id": "certificate",
            "code": "DIS//CERT_NEW",
            "occurred_at": "2025-05-20T00:00:00+08:00",
            "known_at": "2025-06-02T00:00:00+08:00",
            "source": "残联",
        }
    ]
    assert fact["n_events"] == 1
    assert fact["question"] is None
    assert reason["group_text"] == {"zh": "残疾与照护", "en": "Disability and care"}


def test_only_what_is_visible_is_cited() -> None:
    later = [
        event("DIS//CERT_NEW", "2025-06-20", "2025-07-02", 1.0, person_id="p1", event_id="not known yet"),
        event("CLM//INPATIENT", "2025-06-20", "2025-07-01T00:00:01", 1.0, person_id="p1", event_id="told too late"),
        event(
            "CLM//INPATIENT", "2025-03-01", "2025-06-15", 7_000.0,
            person_id="p1", event_id="corrected", status="corrected", supersedes="stay of March",
        ),
        event(
            "CLM//DRUG", "2025-06-01", "2025-06-20",
            person_id="p1", event_id="away", status="retracted", supersedes="drug",
        ),
    ]  # fmt: skip
    pulls = {"disability_certificates_12m": 0.5, "out_of_pocket_amount_12m": 0.9}
    found = explained(pulls, [*ROWS, *later])
    assert cited(found[0]) == ["corrected", "stay of May"]
    assert cited(found[1]) == ["certificate"]
    assert "9,000" in found[0]["facts"][0]["text"]["en"]


def test_an_event_outside_the_window_is_not_cited() -> None:
    (reason,) = explained({"wage_records_6m": 0.5})
    assert cited(reason) == ["wage"]
    (reason,) = explained({"wage_records_12m": 0.5})
    assert cited(reason) == ["wage", "older wage"]


def test_a_sum_cites_its_largest_amounts_and_a_count_its_newest_events() -> None:
    stays = [
        event("CLM//INPATIENT", f"2025-0{i}-01", value=float(amount), person_id="p1", event_id=f"stay {i}")
        for i, amount in enumerate([500, 9_000, 100, 7_000, 300], start=1)
    ]
    (of_sum,) = explained({"inpatient_out_of_pocket_amount_12m": 0.5}, stays)
    assert cited(of_sum) == ["stay 2", "stay 4", "stay 1"]
    (of_count,) = explained({"inpatient_stays_12m": 0.5}, stays)
    assert cited(of_count) == ["stay 5", "stay 4", "stay 3"]
    assert of_sum["facts"][0]["n_events"] == of_count["facts"][0]["n_events"] == 5


def test_a_ratio_cites_the_events_of_both_its_parts_by_time_even_of_somebody_who_moved_in() -> None:
    rows = [
        event("EMP//WAGE", "2025-06-10", value=2_000.0, person_id="p2", event_id="newest", household="a"),
        event("CLM//DRUG", "2025-02-01", value=90.0, person_id="p1", event_id="oldest"),
        event("CLM//DRUG", "2025-04-01", value=90.0, person_id="p1", event_id="between"),
    ]
    people = [member("p1"), member("p2", household="a"), member("p2", joined="2025-06-20")]
    made = history(rows, people, [household("a"), household("h1")])
    seen = visible(made, AS_OF)
    behind = Evidence(made, seen).behind("out_of_pocket_to_income_12m", 1)
    assert [str(made.event_id[e]) for e in behind] == ["oldest", "between", "newest"]


def test_a_fact_says_what_how_much_when_and_who_told_in_both_languages() -> None:
    (reason,) = explained({"out_of_pocket_amount_12m": 0.5})
    meaning = CORE.by_name["out_of_pocket_amount_12m"].meaning
    assert reason["facts"][0]["text"] == {
        "zh": f"{meaning.zh}：11,090元（最近一条 2025-06-01，医保）",
        "en": f"{meaning.en}: 11,090 CNY (latest record 2025-06-01, 医保)",
    }
    (reason,) = explained({"unemployment_open": 0.5})
    meaning = CORE.by_name["unemployment_open"].meaning
    assert reason["facts"][0]["text"] == {
        "zh": f"{meaning.zh}（2025-02-01，人社）",
        "en": f"{meaning.en} (2025-02-01, 人社)",
    }


def test_an_unknown_number_has_no_wording() -> None:
    with pytest.raises(ValueError, match="data_gaps"):
        fact_text(CORE.by_name["wage_amount_12m"], float("nan"), "CNY", "2025-01-01", "人社")


# --- gaps ---------------------------------------------------------------------------------------------------------


def gaps(unknown: set[str], importance: dict[str, float] | None = None) -> list[dict[str, Any]]:
    weights = np.array([(importance or {}).get(name, 0.0) for name in CORE.names])
    bundle = BUNDLE if importance is None else Bundle(**{**BUNDLE.__dict__, "importance": weights})
    return DataQuality(bundle, np.array([[name in unknown for name in CORE.names]])).gaps(0)


def of_group(group: Group) -> set[str]:
    return {feature.name for feature in CORE.features if feature.group is group}


def test_a_domain_of_which_nothing_is_known_is_missing_and_one_in_parts_incomplete() -> None:
    education = sorted(of_group(Group.EDUCATION))
    found = gaps({*of_group(Group.INCOME), education[0]})
    assert {(g["group"], g["kind"]) for g in found} == {("income", "missing"), ("education", "incomplete")}
    by_group = {g["group"]: g for g in found}
    assert by_group["income"]["share_unknown"] == 1.0
    assert by_group["education"]["share_unknown"] == pytest.approx(1 / len(education), abs=1e-4)
    assert by_group["income"]["text"] == {"zh": "没有收入方面的记录", "en": "Nothing on record about: income"}
    assert by_group["education"]["text"]["zh"] == "教育方面的记录不全"


def test_gaps_come_by_their_weight_in_the_model() -> None:
    income, medical = sorted(of_group(Group.INCOME))[0], sorted(of_group(Group.MEDICAL))[0]
    found = gaps({income, medical}, {income: 1.0, medical: 3.0, "members": 4.0})
    assert [(g["group"], g["weight_in_model"]) for g in found] == [("medical", 0.375), ("income", 0.125)]


def test_without_gaps_there_is_nothing_to_say_and_context_is_no_gap() -> None:
    assert gaps(set()) == []
    assert gaps({"residence_rural"}) == []
    assert set(GROUP_TEXT) == set(Group)
