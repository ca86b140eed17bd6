"""Reasons: few, sorted, worded by size, and resting on events that somebody can check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from features.catalogue import Catalogue
from features.definition import GROUP_TEXT, Feature, Group, Measure, Text
from features.evidence import Evidence
from features.history import visible
from features.matrix import matrix_of
from features.unit import Unit
from features.window import Micros, last
from models.bundle import Bundle
from models.calibration import Calibration
from models.certainty import Certainty
from models.data_quality import DataQuality
from models.explanation import Explanation
from models.language import texts
from models.reasons import MAX_FACTS, MAX_LOWERING, MAX_RAISING, Reasons
from models.tier import Bands
from models.wording import not_itemised
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
    return reasons_of(pulls, rows, people, as_of)[0]


def reasons_of(
    pulls: dict[str, float],
    rows: list[Row] = ROWS,
    people: list[Row] = PEOPLE,
    as_of: Micros = AS_OF,
    of: Catalogue = CORE,
) -> tuple[list[dict[str, Any]], dict[str, str] | None]:
    """Reasons and note, with the features of another catalogue if one is given."""
    made = replace(history(rows, people, [household()]), catalogue=of)
    seen = visible(made, as_of)
    vectors = matrix_of(made, seen)
    contributions = np.zeros((1, len(of.names)))
    for name, pull in pulls.items():
        contributions[0, of.names.index(name)] = pull
    log_odds = np.array([-3.0 + contributions.sum()])
    explanation = Explanation(
        of, vectors.values, vectors.unknown, log_odds, expit(log_odds), np.array([-3.0]), contributions
    )
    reasons = Reasons(replace(BUNDLE, catalogue=of), explanation, Evidence(made, seen))
    found = reasons.of(0, 0)
    return found, reasons.note(0, found)


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
    assert explained({"unemployment_months_open": -0.5}, found_again) == []


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
    (fact,) = reason["facts"]
    assert (fact["fact_id"], fact["template"]) == ("out_of_pocket_amount_12m", "sum.money.1")
    assert fact["text"] == {
        "zh": "近12个月医疗自付合计约1.1万元，其中3月1日9000元等3笔（医保）",
        "en": "Paid by the family for medical care, last 12 months: about 11,000 yuan, such as 9,000 yuan on 1 March, "
        "3 records in all (health insurance)",
    }
    assert fact["public_text"] == {"zh": "近期支出情况", "en": "Recent expenses"}
    (reason,) = explained({"inpatient_stays_12m": 0.5})
    assert reason["facts"][0]["template"] == "inpatient_stays.1"
    assert reason["facts"][0]["text"] == {
        "zh": "近12个月住院2次，最近5月10日自付2000元（医保）",
        "en": "2 hospital stays in the last 12 months, the latest on 10 May with 2,000 yuan paid by the family "
        "(health insurance)",
    }
    (reason,) = explained({"unemployment_open": 0.5})
    assert reason["facts"][0]["text"] == {
        "zh": "目前有成员登记失业未再就业（最近登记2月1日，人社）",
        "en": "A member registered unemployed with no job since (latest record 1 February, employment office)",
    }


def test_a_sentence_may_differ_by_the_way_it_pulls_and_says_the_year_of_another_year() -> None:
    (reason,) = explained({"wage_months_since_24m": 0.5})
    assert reason["facts"][0]["text"]["zh"] == "最近一条工资记录在1月31日，此后约5个月没有记录（人社）"
    (reason,) = explained({"wage_months_since_24m": -0.5})
    assert reason["facts"][0]["text"]["zh"] == "最近一条工资记录在1月31日，距今约5个月（人社）"
    (reason,) = explained({"disasters_12m": 0.5})
    assert reason["facts"][0]["text"]["en"] == (
        "1 disaster or accident in the last 12 months, the latest on 1 September 2024 (emergency office)"
    )


def test_a_total_of_days_tells_of_the_newest_event_and_a_total_of_money_of_the_largest() -> None:
    days = [
        event("CLM//DAYS", "2025-02-01", value=12.0, person_id="p1", event_id="long"),
        event("CLM//DAYS", "2025-04-01", value=2.0, person_id="p1", event_id="short", source="visit"),
    ]
    (reason,) = explained({"inpatient_days_12m": 0.5}, [*ROWS, *days])
    assert reason["facts"][0]["text"] == {
        "zh": "近12个月住院共14天，最近一次4月1日（入户走访）",
        "en": "14 days in hospital in the last 12 months, the latest on 1 April (home visit)",
    }
    assert cited(reason) == ["long", "short"]


def test_a_domain_is_mixed_when_known_features_pull_both_ways_by_more_than_a_little() -> None:
    def is_mixed(**pulls: float) -> list[bool]:
        return [reason["mixed"] for reason in explained(pulls)]

    assert is_mixed(inpatient_stays_12m=0.6, drug_out_of_pocket_amount_12m=-0.16) == [True]
    assert is_mixed(inpatient_stays_12m=0.6, drug_out_of_pocket_amount_12m=-0.15) == [False]
    assert is_mixed(inpatient_stays_12m=-0.6, drug_out_of_pocket_amount_12m=0.16) == [True]
    # What is unknown pulls neither way: nobody has a pension on record.
    assert is_mixed(wage_amount_12m=0.6, pension_amount_12m=-0.9) == [False]


# --- the note ------------------------------------------------------------------------------------------------------


def note(pulls: dict[str, float]) -> dict[str, str] | None:
    """What is noted beside the reasons when these features contribute this much."""
    return reasons_of(pulls)[1]


SMALL = dict.fromkeys(EACH.values(), 0.2)


def test_several_small_things_are_noted_when_the_shown_domains_carry_too_little() -> None:
    assert note(SMALL) == texts("notes", "several_small")
    # Three domains of 0.5 carry 1.5 of 2.5, which is 60 %; with a hair less they do not.
    most = [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.0]
    assert note(dict(zip(EACH.values(), most, strict=True))) is None
    less = [0.49, *most[1:]]
    assert note(dict(zip(EACH.values(), less, strict=True))) == texts("notes", "several_small")
    # What lowers the score is no part of what raises it.
    assert note({"inpatient_stays_12m": 0.5, "disasters_12m": -3.0}) is None


def test_a_note_says_so_when_what_raises_the_score_has_no_record_to_check() -> None:
    assert explained({"members": 0.9, "children_under_16": 0.9}) == []
    assert note({"members": 0.9, "children_under_16": 0.9}) == {
        "zh": "另有较多分数与家庭构成有关，没有逐条记录可查。请入户了解。",
        "en": "Much of the score also goes with household make-up, which no single record shows. "
        "Please ask at the visit.",
    }
    assert note({"members": 0.5, "inpatient_stays_12m": 0.3}) == not_itemised(["household"])
    assert note({"members": 0.3, "inpatient_stays_12m": 0.5}) is None


def test_a_note_says_so_when_the_score_goes_with_gaps_and_no_fact_is_made_up() -> None:
    assert explained({"pension_amount_12m": 2.0}) == []
    assert note({"pension_amount_12m": 2.0}) == texts("notes", "mostly_unknown")
    assert note({"pension_amount_12m": 2.0, "inpatient_stays_12m": 0.4}) == texts("notes", "mostly_unknown")
    assert note({"pension_amount_12m": 0.3, "inpatient_stays_12m": 0.4}) is None


def test_nothing_is_noted_where_nothing_raises_the_score() -> None:
    assert note({}) is None
    assert note({"inpatient_stays_12m": 0.09}) is None
    assert note({"inpatient_stays_12m": -2.0, "residence_rural": 2.0}) is None


# --- what is never told --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["GRD//VISIT", "SLF//APPLY", "JUD//ENFORCED"])
def test_traces_of_assistance_and_sealed_records_are_never_the_evidence_of_a_fact(code: str) -> None:
    """A catalogue of somebody's own may read them; what it makes of them is still no reason."""
    kind = CORE.by_code[code]
    assert kind.is_trace or kind.is_sealed
    common = {"group": Group.COPING, "measure": Measure.COUNT, "unit": Unit.COUNT}
    own = Feature("counted_12m", Text("次数", "count"), codes=(code,), window=last(months=12), **common)  # type: ignore[arg-type]
    doubled = replace(own, name="doubled", measure=Measure.DIFFERENCE, codes=(), of=("counted_12m", "stays_12m"))
    stays = replace(own, name="stays_12m", codes=("CLM//INPATIENT",))
    rows = [*ROWS, event(code, "2025-05-05", value=1.0, event_id="trace")]
    pulls = {"counted_12m": 0.9, "doubled": 0.9, "stays_12m": 0.3}
    (reason,) = reasons_of(pulls, rows, of=Catalogue("own", CORE.kinds, (stays, own, doubled)))[0]
    assert [fact["feature"] for fact in reason["facts"]] == ["stays_12m"]
    assert "trace" not in cited(reason)


def test_no_feature_of_the_catalogue_reads_a_trace_or_a_sealed_record() -> None:
    hidden = np.array([kind.is_trace or kind.is_sealed for kind in CORE.kinds])
    assert hidden.any()
    assert [name for name, read in CORE.codes_read.items() if (read & hidden).any()] == []


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
