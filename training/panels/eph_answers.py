"""What EPH questionnaire codes say: the answers of a visit as facts, one column a kind of event, NaN where unknown.

A fact about a household's members is unknown when the answer of a single concerned member is: counting the others
would turn that answer into "no". Nobody's missing answer is ever a zero.
"""

from __future__ import annotations

import pandas as pd

HOUSEHOLD_COLUMNS = (
    "ANO4", "TRIMESTRE", "dwelling_id", "NRO_HOGAR", "REGION", "AGLOMERADO", "ITF", "DECIFR", "IX_TOT", "PONDIH",
    "IV3", "IV4", "IV6", "IV7", "IV8", "IV11", "IV12_1", "IV12_2", "IV12_3", "II1", "II2", "II7", "II8",
    "V3", "V4", "V6", "V7", "V8", "V9", "V10", "V11", "V13", "V14", "V15", "V16", "V17", "V18", "V19_A", "V19_B",
)  # fmt: skip
PERSON_COLUMNS = (
    "ANO4", "TRIMESTRE", "dwelling_id", "NRO_HOGAR", "COMPONENTE", "CH03", "CH04", "CH06", "CH08", "CH10", "CH11",
    "NIVEL_ED", "ESTADO", "CAT_OCUP", "CAT_INAC", "INTENSI", "PP3E_TOT", "PP04A", "PP04B_COD", "PP07A", "PP07C",
    "PP07H", "PP10A", "P21", "TOT_P12", "V2_M", "V5_M", "V12_M",
)  # fmt: skip

_YES_NO = {1: 1.0, 2: 0.0}
_ANY_OF: dict[str, tuple[str, ...]] = {
    "PROPERTY_INCOME": ("V8", "V9", "V10"),
    "JOB_LOSS_PAY": ("V3", "V4"),
    "SCHOLARSHIP": ("V11",),
    "GOODS_AID": ("V6",),
    "KIN_GOODS": ("V7",),
    "SAVINGS_SPENT": ("V13",),
    "KIN_LOAN": ("V14",),
    "BANK_LOAN": ("V15",),
    "INSTALMENTS": ("V16",),
    "BELONGINGS_SOLD": ("V17",),
    "LAST_RESORTS": ("V18", "V19_A", "V19_B"),
    "DUMP": ("IV12_1",),
    "FLOOD": ("IV12_2",),
    "SHANTY": ("IV12_3",),
}
_RECODED: dict[str, tuple[str, dict[int, float]]] = {
    "FLOOR": ("IV3", {1: 1, 2: 2, 3: 3}),
    "LIGHT_ROOF": ("IV4", {1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1, 7: 1}),
    "WATER": ("IV6", {1: 0, 2: 1, 3: 2}),
    "OWN_WELL": ("IV7", {1: 0, 2: 1, 3: 1, 4: 1}),
    "SANITATION": ("IV11", {1: 0, 2: 1, 3: 2, 4: 3}),
    "FUEL": ("II8", {1: 0, 2: 1, 3: 2}),
    "ROOMS": ("II1", {n: n for n in range(1, 21)}),
    "BEDROOMS": ("II2", {n: n for n in range(1, 21)}),
    "OWNS_HOME": ("II7", {code: float(code == 1) for code in range(1, 9)}),
    "RENTS": ("II7", {code: float(code == 3) for code in range(1, 9)}),
    "INSECURE_HOME": ("II7", {code: float(code in (2, 4, 5, 6, 7)) for code in range(1, 9)}),
}
# Answers given as ranges; the middle of the range stands for it, the open last one is a judgement.
_JOB_MONTHS = {1: 0.5, 2: 2, 3: 4.5, 4: 9, 5: 36, 6: 90}
_JOBLESS_MONTHS = {1: 0.5, 2: 2, 3: 4.5, 4: 9, 5: 24}
_NO_COVER, _COVER_UNKNOWN, _SOCIAL_INSURANCE = 4, 9, (1, 12, 13, 123)
_HOURS_OF_A_WEEK, _NO_BATHROOM = 168, 2
_DOMESTIC, _CONSTRUCTION = (97, 98), (40,)
_NOBODY = -1.0


def facts(visits: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """Facts of each visit, in the order of `visits`; amounts of money are in pesos of the month.

    Both tables hold raw columns as floats (NaN where empty) beside household_id and quarter.
    """
    answers = _answers(persons)
    visit = [persons["household_id"], persons["quarter"]]
    told = answers["sum"].groupby(visit).sum(skipna=False)
    told = told.join(answers["max"].groupby(visit).max(skipna=False).where(lambda highest: highest != _NOBODY))
    told["MEAN_EDUCATION"] = told.pop("schooling_from_25") / told.pop("members_from_25").replace(0, float("nan"))
    told[["UNCOVERED", "INSURED"]] = told[["UNCOVERED", "INSURED"]].div(told["MEMBERS"], axis=0)
    told = told.join(_changes(persons, answers["state"], told.index))
    at_visit = told.reindex(pd.MultiIndex.from_frame(visits[["household_id", "quarter"]])).set_axis(visits.index)
    return at_visit.join(_household_facts(visits))


def _household_facts(visits: pd.DataFrame) -> pd.DataFrame:
    told = {name: _any_yes(visits[list(columns)]) for name, columns in _ANY_OF.items()}
    told |= {name: visits[column].map(codes) for name, (column, codes) in _RECODED.items()}
    told["SANITATION"] = told["SANITATION"].mask(visits["IV8"] == _NO_BATHROOM, 4.0)
    return pd.DataFrame(told, index=visits.index)


def _answers(p: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One row a person and visit: what adds up over the members, what the highest of counts, and what may change."""
    age, is_head = p["CH06"].clip(lower=0), _is(p["CH03"], 1)
    state = p["ESTADO"].where(p["ESTADO"].between(1, 4))
    works, seeks = _is(state, 1), _is(state, 2)
    employee = _among(works, _is(p["CAT_OCUP"].where(p["CAT_OCUP"].between(1, 4)), 3))
    pension_paid = p["PP07H"].where(p["PP07H"].isin([1, 2]))
    informal, formal = _among(employee, _is(pension_paid, 2)), _among(employee, _is(pension_paid, 1))
    attends = _is(p["CH10"].where(p["CH10"].between(0, 3)), 1)
    left_school = _is(p["CH10"].where(p["CH10"].between(0, 3)), 2)
    uncovered = _is(p["CH08"].where(p["CH08"] != _COVER_UNKNOWN), _NO_COVER)
    schooling = p["NIVEL_ED"].replace({7: 0}).where(p["NIVEL_ED"].between(1, 7))
    pupil, youth, adult = (_within(age, *years) for years in ((5, 17), (16, 24), (18, 64)))
    grown, from_25 = _within(age, 18, 200), _within(age, 25, 200)
    inactive = p["CAT_INAC"].where(p["CAT_INAC"].between(0, 7))
    activity = p["PP04B_COD"] // 100
    # Household staff are not asked how long they have worked there, nor until when they are engaged.
    domestic = _among(works, _is(activity, *_DOMESTIC))
    asked, job_months = employee * (1 - domestic), p["PP07A"].map(_JOB_MONTHS)
    summed = {
        "MEMBERS": is_head * 0 + 1,
        "RETIRED": _is(inactive, 1),
        "EMPLOYED": works,
        "UNEMPLOYED": seeks,
        "IDLE_ADULTS": _among(adult, 1 - works),
        "INFORMAL": informal,
        "FORMAL": formal,
        "OWN_ACCOUNT": _among(works, _is(p["CAT_OCUP"].where(p["CAT_OCUP"].between(1, 4)), 2)),
        "TEMPORARY": _among(asked, _is(p["PP07C"].where(p["PP07C"].between(1, 2)), 1)),
        "PUBLIC_JOB": _among(works, _is(p["PP04A"].where(p["PP04A"].between(1, 3)), 1)),
        "DOMESTIC_WORK": domestic,
        "CONSTRUCTION": _among(works, _is(activity, *_CONSTRUCTION)),
        "UNDEREMPLOYED": _among(works, _is(p["INTENSI"], 1)),
        "HOURS": _among(works, p["PP3E_TOT"].where(p["PP3E_TOT"] <= _HOURS_OF_A_WEEK)),
        "HEAD_WORKS": _among(is_head, works),
        "HEAD_INFORMAL": _among(is_head, informal),
        "UNCOVERED": uncovered,
        "INSURED": _is(p["CH08"].where(p["CH08"] != _COVER_UNKNOWN), *_SOCIAL_INSURANCE),
        "DISABLED": _is(inactive, 6),
        "HEAD_EDUCATION": _among(is_head, schooling),
        "AT_SCHOOL": _among(pupil, attends),
        "OUT_OF_SCHOOL": _among(pupil, left_school),
        "PRIVATE_SCHOOL": _among(_among(pupil, attends), _is(p["CH11"].where(p["CH11"].between(1, 2)), 2)),
        "IDLE_YOUTH": _among(youth, (1 - attends) * (1 - works)),
        "schooling_from_25": _among(from_25, schooling),
        "members_from_25": from_25,
        "WORK": _amount(p["P21"]) + _amount(p["TOT_P12"]),
        "PENSION": _amount(p["V2_M"]),
        "AID": _amount(p["V5_M"]),
        "KIN": _amount(p["V12_M"]),
    }
    highest = {
        "COUPLE": _is(p["CH03"], 2),
        "SPOUSE_WORKS": _among(_is(p["CH03"], 2), works),
        "TOP_EARNER": _amount(p["P21"]),
        "JOB_MONTHS": _among(asked, job_months, otherwise=_NOBODY),
        "HEAD_JOB_MONTHS": _among(_among(is_head, asked), job_months, otherwise=_NOBODY),
        "JOBLESS_MONTHS": _among(seeks, p["PP10A"].map(_JOBLESS_MONTHS), otherwise=_NOBODY),
        "BEST_EDUCATION": _among(grown, schooling, otherwise=_NOBODY),
    }
    states = {"works": works, "uncovered": uncovered, "attends": attends, "pupil": pupil, "retired": _is(inactive, 1)}
    return {name: pd.DataFrame(told) for name, told in (("sum", summed), ("max", highest), ("state", states))}


def _changes(persons: pd.DataFrame, states: pd.DataFrame, visits: pd.Index) -> pd.DataFrame:
    """What changed since the visit three months before, for the visits that had one."""
    key = ["household_id", "COMPONENTE", "quarter"]
    now = pd.concat([persons[key], states], axis=1)
    before = now.assign(quarter=now["quarter"] + 1)
    both = now.merge(before, on=key, how="outer", suffixes=("", "_before"), indicator=True)
    stayed = both["_merge"] == "both"
    changed = pd.DataFrame(
        {
            "JOINED": (both["_merge"] == "left_only").astype(float),
            "LEFT": (both["_merge"] == "right_only").astype(float),
            "JOBS_LOST": (both["works_before"] * (1 - both["works"]) * (1 - both["retired"])).where(stayed, 0.0),
            "JOBS_FOUND": ((1 - both["works_before"]) * both["works"]).where(stayed, 0.0),
            "COVER_LOST": ((1 - both["uncovered_before"]) * both["uncovered"]).where(stayed, 0.0),
            "DROPPED_OUT": (both["pupil_before"] * both["attends_before"] * (1 - both["attends"])).where(stayed, 0.0),
        }
    )
    summed = changed.groupby([both["household_id"], both["quarter"]]).sum(skipna=False).reindex(visits)
    household, quarter = (visits.get_level_values(name) for name in ("household_id", "quarter"))
    had_one = pd.MultiIndex.from_arrays([household, quarter - 1]).isin(visits)
    return summed.where(pd.Series(had_one, index=visits), axis=0)


def _is(answer: pd.Series, *codes: int) -> pd.Series:
    """1.0 for these codes, 0.0 for others, NaN where the answer is unknown.

    >>> _is(pd.Series([1.0, 2.0, None]), 2).tolist()
    [0.0, 1.0, nan]
    """
    return answer.isin(codes).astype(float).where(answer.notna())


def _among(concerned: pd.Series, answer: pd.Series, otherwise: float = 0.0) -> pd.Series:
    """The answer of those concerned, `otherwise` for others, NaN where either is unknown.

    >>> _among(pd.Series([1.0, 1.0, 0.0, None]), pd.Series([5.0, None, None, 5.0])).tolist()
    [5.0, nan, 0.0, nan]
    """
    return concerned.mask(concerned == 1, answer).mask(concerned == 0, otherwise)


def _within(age: pd.Series, youngest: int, oldest: int) -> pd.Series:
    return age.between(youngest, oldest).astype(float).where(age.notna())


def _amount(pesos: pd.Series) -> pd.Series:
    """An amount, unknown where it was not reported (negative codes)."""
    return pesos.where(pesos >= 0)


def _any_yes(answers: pd.DataFrame) -> pd.Series:
    """1.0 if one answer is yes, 0.0 if all are no, NaN otherwise.

    >>> _any_yes(pd.DataFrame({"V3": [2, 2, 1], "V4": [2, 9, 9]})).tolist()
    [0.0, nan, 1.0]
    """
    told = answers.apply(lambda column: column.map(_YES_NO))
    no_or_unknown: pd.Series = told.max(axis=1, skipna=False)
    return no_or_unknown.mask(told.eq(1.0).any(axis=1), 1.0)
