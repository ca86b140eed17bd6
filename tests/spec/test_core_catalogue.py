"""The core catalogue: what every declared event kind and feature promises.

Each rule is a function that lists offenders. It must list none in the catalogue, and must list a planted one.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from features.catalogue import Catalogue, catalogue, catalogue_from_json
from features.codes import matches
from features.definition import Absent, Direction, EventKind, Feature, Group, Level, Measure, Text
from features.unit import Unit
from features.window import ever, last

CORE = catalogue()
ROOT = Path(__file__).parents[2]
ENTRIES = {"DB//ENTER", "TK//ENTER", "LIP//EDGE_ENTER", "LIP//RIGID_ENTER", "MON//ENTER"}
SCHEDULED = {"DIS//CERT_EXPIRE", "LIP//EXPIRE", "EMP//UI_END"}
AUTHORISED = {
    *("TAX//PIT_INCOME", "TAX//HF_DEPOSIT", "BNK//DEPOSIT_BAL", "BNK//LOAN_OVERDUE", "BNK//DEBT_SERVICE"),
    *("PRP//OWN", "PRP//SALE", "TRF//VEH_OWN", "TRF//VEH_SALE"),
}
SEALED = {"JUD//ENFORCED", "JUD//MAINTENANCE", "PRI//IMPRISON", "PRI//RELEASE", "HKM//DV_WARNING"}
STAYS = {"FUN//CREMATE", "HKM//MEMBER_LEAVE", "MAR//DIVORCE", "PRI//IMPRISON"}
CODED = {
    "DIS//CERT_NEW": "GB/T 26341 class", "DIS//GRADE_CHANGE": "GB/T 26341 class", "HLT//MAJOR_DX": "ICD-10",
    "HLT//CHRONIC_REG": "ICD-10", "CLM//INPATIENT": "ICD-10", "HKM//RES_PERMIT": "GB/T 2260 region",
    "SLF//APPLY": "policy item",
}  # fmt: skip
# An assessment nobody made, a price nobody published, a file nobody may open or opened: silence says nothing.
SAYS_NOTHING = AUTHORISED | SEALED | {
    *("MON//INCOME_SURVEY", "GRD//LIVING", "GRD//DIGITAL", "ELD//LTC_GRADE", "ARE//PRICE"),
}  # fmt: skip
# Running records: none only for whom another record shows that the department sees them.
INSURANCE = ("CLM//*", "ENR//*", "MAI//*")
LINKED = {
    **dict.fromkeys(("CLM//INPATIENT", "CLM//OUTPATIENT_CHRONIC", "CLM//DRUG", "CLM//REVERSAL"), INSURANCE),
    **dict.fromkeys(("CLM//DAYS", "ENR//PAID", "ENR//LAPSE"), INSURANCE),
    **dict.fromkeys(("PRD//SALES", "PRD//LAND_TRANSFER", "PRD//HERD_SALE", "PRD//PUBLIC_POST"), ("PRD//*",)),
    **dict.fromkeys(("EDU//FEE", "EDU//ENROL"), ("EDU//*",)),
    "HLT//CHRONIC_REG": ("HLT//*", *INSURANCE),
    "EMP//WAGE": ("EMP//WAGE", "EMP//UNEMP", "EMP//UI_BENEFIT", "EMP//UI_END", "SSI//PENSION"),
    "SSI//PENSION": ("SSI//*", "EMP//WAGE", "EMP//UI_BENEFIT"),
    "DIS//REHAB_COST": ("DIS//*",),
    "HSG//RENT": ("HSG//*",),
}
WINDOWS = {3, 6, 12, 24}

# Visits, alerts, requests, payment traces and location are no evidence about a household's means.
NEVER_READ = ("GRD", "SLF", "TAX", "BNK", "ARE", "UTL")
# Departments that only rules read so far, and kinds of the others that no feature reads.
ONLY_RULES_READ = (
    "ELD",
    "HSG",
    "PRP",
    "TRF",
    "WTR",
    "BIZ",
    "JUD",
    "PRI",
    "TUN",
    "INR",
    "CHR",
    "GRD",
    "SLF",
    "ARE",
    "UTL",
)
LEFT_OUT = {
    "DB//ADJUST",  # the height of an allowance says who is served already
    *("HKM//RES_PERMIT", "HKM//DV_WARNING", "HKM//FRAUD_LOSS"),  # location and police files
}
NEVER_NAMED = ("sex", "gender", "female", "ethnic", "minority", "religion", "migrant", "township", "visit", "alert")

INCOME = ("EMP//WAGE", "EMP//UI_BENEFIT", "SSI//PENSION", "PRD//*", "MON//INCOME_SURVEY")
MEDICAL_COSTS = ("CLM//INPATIENT", "CLM//OUTPATIENT_CHRONIC", "CLM//DRUG")
SEEN_BY_INSURANCE = {"ENR//PAID", "ENR//SUBSIDISED", "CLM//*", "MAI//*"}
# A job, training, cover or regular benefit may never raise the risk; cost, loss and death may never lower it.
HELPS = (
    *("EMP//WAGE", "EMP//HIRE", "EMP//TRAINING", "SSI//PENSION", "PRD//PUBLIC_POST", "PRD//SALES"),
    *("ENR//PAID", "ENR//SUBSIDISED", "DIS//SUB_LIVING", "DIS//SUB_CARE"),
)
HARMS = (
    *("CLM//INPATIENT", "CLM//OUTPATIENT_CHRONIC", "CLM//DRUG", "CLM//DAYS", "HLT//MAJOR_DX", "DIS//CERT_NEW"),
    *("DIS//REHAB_COST", "EDU//DROPOUT", "EMP//UNEMP", "EMP//ARREARS", "FUN//CREMATE", "DST//CROP_LOSS", "DST//FIRE"),
)
GROWING = (Measure.COUNT, Measure.SUM, Measure.MAX, Measure.PERSONS)
SPELLS = (Measure.OPEN, Measure.MONTHS_OPEN)

# What a household usually brings: a slip of 万元 for 元 must fall outside the bounds.
USUAL = {
    "CLM//INPATIENT": 6_000.0, "CLM//OUTPATIENT_CHRONIC": 120.0, "CLM//DRUG": 90.0,
    "CLM//REVERSAL": -3_000.0, "ENR//PAID": 380.0, "ENR//SUBSIDISED": 200.0,
    "MAI//GRANT": 2_000.0, "EMP//WAGE": 2_500.0, "EMP//UI_BENEFIT": 1_200.0,
    "EMP//ARREARS": 5_000.0, "SSI//PENSION": 120.0, "PRD//SALES": 6_000.0,
    "PRD//LAND_TRANSFER": 1_000.0, "PRD//PUBLIC_POST": 500.0, "EDU//FEE": 400.0,
    "EDU//ADMIT_HE": 8_000.0, "DIS//SUB_LIVING": 80.0, "DIS//SUB_CARE": 80.0,
    "DIS//REHAB_COST": 300.0, "DST//CROP_LOSS": 3_000.0, "DST//FIRE": 8_000.0,
    "DB//ENTER": 350.0, "DB//ADJUST": 350.0, "TK//ENTER": 900.0,
    "LS//GRANT": 800.0, "CHD//ORPHAN": 1_300.0, "MON//INCOME_SURVEY": 7_500.0,
    "TAX//PIT_INCOME": 5_000.0, "TAX//HF_DEPOSIT": 600.0, "BNK//DEPOSIT_BAL": 9_000.0,
    "BNK//DEBT_SERVICE": 1_500.0, "ELD//SUBSIDY": 100.0, "HSG//RENT_SUB": 300.0,
    "HSG//RENT_ARREARS": 1_500.0, "HSG//RENT": 600.0, "PRP//SALE": 300_000.0,
    "HKM//FRAUD_LOSS": 20_000.0, "TRF//VEH_OWN": 60_000.0, "TRF//VEH_SALE": 20_000.0,
    "BIZ//REGISTER": 100_000.0, "JUD//ENFORCED": 50_000.0, "JUD//MAINTENANCE": 500.0,
    "UTL//ARREARS": 200.0, "INR//ANTI_POVERTY_PAY": 5_000.0, "CHR//GRANT": 2_000.0,
    "CHR//APPEAL": 150_000.0,
}  # fmt: skip

BLAMING_ZH = (
    *(
        "导致",
        "因为",
        "由于",
        "造成",
        "引起",
        "因病",
        "因残",
        "因学",
        "致贫",
        "返回贫困",
        "残废",
        "缺陷",
        "智障",
        "弱智",
    ),
    *(
        "疯",
        "懒",
        "骗",
        "违规",
        "失信",
        "不配合",
        "瞒",
        "等靠要",
        "好吃",
        "可疑",
        "异常",
        "问题户",
        "风险户",
        "累赘",
        "负担",
    ),
)
BLAMING_EN = (
    *("because", "cause", "due to", "lead", "result of", "fault", "fraud", "cheat", "suspicious", "abnormal", "fail"),
    *("lazy", "irresponsible", "refuse", "handicap", "cripple", "defect", "retard", "suffer", "victim", "burden"),
    *("dropout", "broken home", "problem"),
)


def by_code(code: str) -> EventKind:
    return CORE.by_code[code]


def by_name(name: str) -> Feature:
    return next(f for f in CORE.features if f.name == name)


def read_by(feature: Feature) -> list[EventKind]:
    """The kinds whose events enter the value; `linked_by` only proves that somebody sees the household."""
    patterns = (*feature.codes, *feature.closed_by)
    return [kind for kind in CORE.kinds if any(matches(p, kind.code) for p in patterns)]


def reads(feature: Feature, patterns: tuple[str, ...]) -> bool:
    codes = [k.code for k in CORE.kinds if any(matches(p, k.code) for p in feature.codes)]
    return any(matches(p, code) for p in patterns for code in codes)


def ends_with(feature: Feature, patterns: tuple[str, ...]) -> bool:
    return any(matches(p, code) for p in feature.closed_by for code in patterns)


# --- rules: each lists what is wrong with a feature ---------------------------------------------------------------


def forbidden_sources(feature: Feature) -> list[str]:
    closed = [kind for kind in read_by(feature) if kind.is_authorised or kind.is_sealed or "L" in kind.sensitivity]
    wrong = [kind.code for kind in closed]
    wrong += [kind.code for kind in read_by(feature) if kind.department.category in NEVER_READ]
    wrong += [p for p in feature.linked_by if p != "*" and p.split("//")[0] in NEVER_READ]
    words = feature.name.split("_")
    return wrong + [word for word in NEVER_NAMED if word in words]


def unfit_wording(feature: Feature) -> list[str]:
    zh, en = feature.meaning
    wrong = [word for word in BLAMING_ZH if word in zh]
    wrong += [word for word in BLAMING_EN if re.search(rf"\b{word}", en.lower())]
    wrong += ["zh empty"] * (not zh.strip()) + ["en empty"] * (not en.strip()) + ["same words"] * (zh == en)
    wrong += ["zh has Latin letters"] * bool(re.search(r"[A-Za-z]", zh))
    wrong += ["zh has no Chinese"] * (not re.search(r"[\u4e00-\u9fff]", zh))
    wrong += ["en is not English"] * bool(re.search(r"[^\x20-\x7e]", en))
    wrong += ["a code"] * ("//" in zh + en or bool(re.search(r"\b[A-Z]{2,}", en)))
    wrong += ["too long for one line"] * (len(zh) > 28 or len(en) > 90)
    return wrong


def guessed_income(feature: Feature) -> list[str]:
    """No amount on record is never taken for zero."""
    is_amount = feature.unit is Unit.MONEY and feature.measure not in (Measure.RATIO, Measure.DIFFERENCE)
    return ["zero guessed"] * (is_amount and reads(feature, INCOME) and feature.when_absent is not Absent.UNKNOWN)


def guessed_none(feature: Feature) -> list[str]:
    """Medical costs are none only where the insurance sees the household; a missing grade is no number at all."""
    wrong = []
    if feature.unit is Unit.MONEY and reads(feature, MEDICAL_COSTS):
        is_right = feature.when_absent is Absent.KNOWN_NONE and set(feature.linked_by) == SEEN_BY_INSURANCE
        wrong += ["medical cost"] * (not is_right)
    if feature.measure in (Measure.MIN, Measure.LAST, Measure.FIRST, Measure.MEAN) or feature.unit is Unit.SCALE:
        is_zero = feature.when_absent is Absent.KNOWN_NONE and feature.none_is is None
        wrong += ["zero is no grade"] * is_zero
        # An ordered number whose absence has no place in the order could move the risk the wrong way when it comes.
        is_ordered = bool(feature.codes) and feature.direction is not Direction.OPEN
        wrong += ["none has no place in the order"] * (is_ordered and feature.when_absent is Absent.NOT_APPLICABLE)
    if feature.codes and feature.measure in (Measure.COUNT, Measure.PERSONS, *SPELLS, Measure.MONTHS_SINCE):
        wrong += ["count left unknown"] * (feature.when_absent is Absent.UNKNOWN)
    return wrong


def wrong_direction(feature: Feature) -> list[str]:
    wrong: list[str] = []
    if reads(feature, HELPS) and feature.measure in GROWING:
        wrong += ["help must not raise"] * (feature.direction is not Direction.MORE_IS_BETTER)
    if feature.measure is Measure.MONTHS_SINCE and reads(feature, HELPS):
        wrong += ["help must not raise"] * (feature.direction is not Direction.MORE_IS_WORSE)
    if feature.measure in SPELLS and ends_with(feature, HELPS):
        wrong += ["ending it must not raise"] * (feature.direction is not Direction.MORE_IS_WORSE)
    if reads(feature, HARMS) and feature.measure in (*GROWING, *SPELLS):
        wrong += ["harm must not lower"] * (feature.direction is not Direction.MORE_IS_WORSE)
    if feature.measure is Measure.MIN and reads(feature, ("DIS//CERT_NEW",)):
        wrong += ["grade 1 is the greatest need"] * (feature.direction is not Direction.MORE_IS_BETTER)
    return wrong


def misleading_name(feature: Feature) -> list[str]:
    wrong = ["not snake_case"] * (re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", feature.name) is None)
    wrong += ["window not in the name"] * (
        feature.window.months is not None and not feature.name.endswith(f"_{feature.window.months}m")
    )
    wrong += ["amount not in the name"] * (feature.unit is Unit.MONEY and "_amount" not in feature.name)
    wrong += ["days not in the name"] * (feature.unit is Unit.DAYS and "_days" not in feature.name)
    wrong += ["months not in the name"] * (feature.unit is Unit.MONTHS and "_months" not in feature.name)
    months = re.findall(r"近(\d+)个月", feature.meaning.zh), re.findall(r"last (\d+) months", feature.meaning.en)
    is_derived = feature.measure is Measure.RATIO  # a trend names two windows
    wrong += ["the languages name other windows"] * (not is_derived and bool(months[1]) and months[0] != months[1])
    return wrong


RULES: tuple[Callable[[Feature], list[str]], ...] = (
    forbidden_sources,
    unfit_wording,
    guessed_income,
    guessed_none,
    wrong_direction,
    misleading_name,
)
_TEXT = Text("近12个月工资收入合计", "wages on record, last 12 months")
_WAGES = by_name("wage_amount_12m")
_COSTS = by_name("inpatient_out_of_pocket_amount_12m")
PLANTED: tuple[tuple[Callable[[Feature], list[str]], Feature], ...] = (
    (forbidden_sources, replace(_WAGES, codes=("TAX//PIT_INCOME",))),
    (forbidden_sources, replace(_WAGES, codes=("BNK//*",))),
    (forbidden_sources, replace(_WAGES, codes=("PRP//OWN",))),
    (forbidden_sources, replace(_WAGES, codes=("PRI//IMPRISON",))),
    (forbidden_sources, replace(_WAGES, codes=("HKM//RES_PERMIT",))),
    (forbidden_sources, replace(by_name("unemployment_open"), closed_by=("TAX//HF_DEPOSIT",))),
    (forbidden_sources, replace(by_name("unemployment_open"), linked_by=("BNK//*",))),
    (forbidden_sources, replace(_WAGES, name="head_sex")),
    (unfit_wording, replace(_COSTS, meaning=Text("住院导致的自付", "paid for hospital stays"))),
    (unfit_wording, replace(_COSTS, meaning=Text("住院自付", "debt due to hospital stays"))),
    (unfit_wording, replace(_COSTS, meaning=Text("CLM住院自付", "paid for hospital stays"))),
    (unfit_wording, replace(_COSTS, meaning=Text("住院自付", ""))),
    (guessed_income, replace(_WAGES, when_absent=Absent.KNOWN_NONE, linked_by=("*",))),
    (guessed_none, replace(_COSTS, linked_by=("*",))),
    (guessed_none, replace(_COSTS, when_absent=Absent.UNKNOWN)),
    (guessed_none, replace(by_name("school_stage_24m"), when_absent=Absent.KNOWN_NONE, linked_by=("*",))),
    (guessed_none, replace(by_name("hires_6m"), when_absent=Absent.UNKNOWN)),
    (wrong_direction, replace(_WAGES, direction=Direction.OPEN)),
    (wrong_direction, replace(_COSTS, direction=Direction.OPEN)),
    (wrong_direction, replace(by_name("insurance_lapse_open"), direction=Direction.OPEN)),
    (wrong_direction, replace(by_name("wage_months_since_24m"), direction=Direction.OPEN)),
    (wrong_direction, replace(by_name("disability_grade_ever"), direction=Direction.MORE_IS_WORSE)),
    (misleading_name, replace(_WAGES, window=last(months=6))),
    (misleading_name, replace(_WAGES, name="wages_12m")),
    (misleading_name, replace(_WAGES, meaning=Text(_TEXT.zh, "wages on record, last 6 months"))),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_feature_breaks(rule: Callable[[Feature], list[str]]) -> None:
    assert {f.name: found for f in CORE.features if (found := rule(f))} == {}


@pytest.mark.parametrize(("rule", "planted"), PLANTED, ids=lambda case: getattr(case, "__name__", ""))
def test_rule_finds_a_planted_fault(rule: Callable[[Feature], list[str]], planted: Feature) -> None:
    assert rule(planted) != []


# --- event kinds ---------------------------------------------------------------------------------------------------


def reference(name: str) -> Path:
    found = ROOT / os.environ.get("POVRISK_SHARED", "../shared") / "reference" / name
    if not found.is_file():
        pytest.skip("the reference is not here; set POVRISK_SHARED to the folder that holds reference/")
    return found


def reference_rows() -> dict[str, dict[str, str]]:
    with reference("events.csv").open(encoding="utf-8", newline="") as lines:
        return {row["code"]: row for row in csv.DictReader(lines)}


def test_every_category_and_every_code_is_declared() -> None:
    assert len(CORE.kinds) == 107
    assert len({kind.department.category for kind in CORE.kinds}) >= 36


def test_the_codes_are_those_of_the_reference_table() -> None:
    assert set(CORE.by_code) == set(reference_rows())


def test_every_category_comes_from_the_department_that_the_reference_names() -> None:
    text = reference("domain.md").read_text(encoding="utf-8")
    said = re.findall(r"`([A-Z]{2,3})` [^`\n]*?\(([^(),]+), (\d+)\)[;.]", text)
    assert len(said) >= 36
    declared = {category: (source, 0) for category, source, _ in said}
    for kind in CORE.kinds:
        source, seen = declared[kind.department.category]
        assert kind.department.source == source, kind.code
        declared[kind.department.category] = (source, seen + 1)
    assert {category: seen for category, (_, seen) in declared.items()} == {c: int(n) for c, _, n in said}


def test_every_kind_agrees_with_the_reference_table() -> None:
    rows = reference_rows()
    for kind in CORE.kinds:
        row = rows[kind.code]
        lag = re.match(r"(\d+)/(\d+)", row["lag_p50_p95_days"])
        assert lag is not None
        said = (
            row["zh"],
            row["en"],
            row["level"],
            (int(lag[1]), int(lag[2])),
            re.sub("[^A-Z]", "", row["sensitivity"]),
        )
        assert (*kind.name, kind.level.value, kind.lag_days, kind.sensitivity) == said, kind.code
        assert (kind.unit is Unit.MONEY) == ("CNY" in row["value_unit"]), kind.code
        if span := re.search(r"(\d+)–(\d+)", row["value_unit"]):
            assert kind.bounds == (float(span[1]), float(span[2])), kind.code


def test_kinds_with_a_right_of_their_own_are_marked() -> None:
    assert {kind.code for kind in CORE.kinds if kind.is_entry} == ENTRIES
    assert {kind.code for kind in CORE.kinds if kind.is_scheduled} == SCHEDULED
    assert {kind.code: kind.authorised_months for kind in CORE.kinds if kind.is_authorised} == dict.fromkeys(
        AUTHORISED, 12
    )
    assert {kind.code for kind in CORE.kinds if kind.is_sealed} == SEALED
    assert {kind.code for kind in CORE.kinds if not kind.follows} == STAYS
    assert {kind.code for kind in CORE.kinds if kind.level is Level.AREA} == {
        kind.code for kind in CORE.kinds if kind.department.category == "ARE"
    }
    assert {kind.code: kind.coded_text for kind in CORE.kinds if kind.coded_text} == CODED


def test_what_silence_says_is_decided_for_every_kind() -> None:
    assert {kind.code for kind in CORE.kinds if kind.silence is Absent.UNKNOWN} == SAYS_NOTHING
    assert {kind.code: kind.linked_by for kind in CORE.kinds if kind.linked_by} == LINKED
    # A first record of income says nothing about the time before it.
    before = {kind.code for kind in CORE.kinds if kind.linked_before}
    assert before == {code for code in LINKED if code.startswith(("EMP//", "SSI//", "PRD//"))}
    assert {kind.silence for kind in CORE.kinds} == {Absent.UNKNOWN, Absent.KNOWN_NONE}


def test_a_link_is_proved_by_open_records_and_first_of_all_by_a_record_of_the_kind_itself() -> None:
    for kind in CORE.kinds:
        for pattern in kind.linked_by:
            proving = [other for other in CORE.kinds if matches(pattern, other.code)]
            assert proving, (kind.code, pattern)
            assert not any(other.is_authorised or other.is_sealed for other in proving), (kind.code, pattern)
        if kind.linked_by:
            assert any(matches(pattern, kind.code) for pattern in kind.linked_by), kind.code


def test_the_ten_living_conditions_fill_their_bits() -> None:
    assert by_code("GRD//LIVING").bounds == (0.0, 2.0**10 - 1)


def test_one_category_has_one_department() -> None:
    departments = {(kind.department.category, kind.department) for kind in CORE.kinds}
    assert len(departments) == len({category for category, _ in departments})


def test_a_kind_without_value_has_no_bounds_and_the_others_say_what_it_is() -> None:
    for kind in CORE.kinds:
        has_value = kind.unit is not Unit.NONE
        assert has_value == (kind.bounds is not None) == bool(kind.value), kind.code
        assert 0 <= kind.lag_days[0] <= kind.lag_days[1], kind.code


@pytest.mark.parametrize(("code", "usual"), USUAL.items())
def test_money_bounds_admit_a_usual_value_and_catch_ten_thousand_times_it(code: str, usual: float) -> None:
    low, high = by_code(code).bounds or (0.0, 0.0)
    assert low <= usual <= high
    assert not low <= usual * 10_000 <= high


def test_every_money_kind_is_tried_above() -> None:
    assert set(USUAL) == {kind.code for kind in CORE.kinds if kind.unit is Unit.MONEY}


# --- the catalogue as a whole --------------------------------------------------------------------------------------


def test_there_are_enough_features_over_every_window() -> None:
    assert len(CORE.features) >= 100
    months = {f.window.months for f in CORE.features if f.measure.is_of_events and f.window != ever()}
    assert months == WINDOWS


def test_every_domain_of_the_core_has_features() -> None:
    # Housing comes with its own department; coping is reported by nobody but the household itself.
    assert {f.group for f in CORE.features} == set(Group) - {Group.HOUSING, Group.COPING}
    assert [f.name for f in CORE.features if f.group is Group.CONTEXT] == ["residence_rural"]


def test_no_two_features_are_worded_alike() -> None:
    for language in (0, 1):
        words = [f.meaning[language] for f in CORE.features]
        assert sorted({w for w in words if words.count(w) > 1}) == []


def test_every_open_kind_is_read_by_a_feature_or_left_out_on_purpose() -> None:
    read = {kind.code for feature in CORE.features for kind in read_by(feature)}
    open_kinds = {
        kind.code for kind in CORE.kinds if not kind.is_authorised and kind.department.category not in ONLY_RULES_READ
    }
    assert open_kinds - read == LEFT_OUT
    assert not {code for code in read if code.split("//")[0] in ONLY_RULES_READ}


def test_severe_mental_illness_is_never_read_alone() -> None:
    readers = [f for f in CORE.features if "HLT//MENTAL_SEVERE" in {k.code for k in read_by(f)}]
    assert readers
    assert all(len(read_by(f)) >= 3 for f in readers)


def test_out_of_pocket_takes_reversals_off() -> None:
    for feature in CORE.features:
        is_total = feature.measure is Measure.SUM and feature.unit is Unit.MONEY
        if is_total and "CLM//INPATIENT" in feature.codes:
            assert "CLM//REVERSAL" in feature.codes, feature.name


def test_trends_scale_their_window_to_a_year() -> None:
    trends = [f for f in CORE.features if f.measure is Measure.RATIO and f.scale != 1.0]
    assert len(trends) >= 3
    for feature in trends:
        short, long = (by_name(name) for name in feature.of)
        assert short.window.months is not None
        assert long.window.months is not None
        assert feature.scale == long.window.months / short.window.months, feature.name
        assert (short.codes, short.measure) == (long.codes, long.measure), feature.name


def test_bounds_of_features_hold_what_one_event_may_bring() -> None:
    """A value that passes intake is never cut by a feature that only passes it on."""
    for feature in CORE.features:
        if feature.measure in (Measure.MAX, Measure.MIN):
            for kind in read_by(feature):
                assert kind.bounds is not None
                assert feature.bounds[0] <= kind.bounds[0] < kind.bounds[1] <= feature.bounds[1], feature.name


def test_it_survives_json_with_the_same_digest() -> None:
    assert catalogue_from_json(CORE.as_json()).digest == CORE.digest


def test_any_changed_bound_changes_the_digest() -> None:
    digests = {CORE.digest}
    for i, kind in enumerate(CORE.kinds):
        if kind.bounds is not None:
            wider = replace(kind, bounds=(kind.bounds[0], kind.bounds[1] + 1.0))
            digests.add(Catalogue(CORE.name, (*CORE.kinds[:i], wider, *CORE.kinds[i + 1 :]), CORE.features).digest)
    for i, feature in enumerate(CORE.features):
        other = replace(feature, bounds=(feature.bounds[0], feature.bounds[1] + 1.0))
        digests.add(Catalogue(CORE.name, CORE.kinds, (*CORE.features[:i], other, *CORE.features[i + 1 :])).digest)
    bounded = sum(kind.bounds is not None for kind in CORE.kinds)
    assert len(digests) == 1 + bounded + len(CORE.features)
