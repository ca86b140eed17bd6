"""The household vector: what is known, what is known to be none, what does not exist, and what nobody knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.catalogue import Catalogue
from features.dataset import read_dataset
from features.definition import Absent, Direction, Feature, Group, Level, Measure, Text, ever, last
from features.history import visible
from features.intake import admitted
from features.matrix import Matrix, matrix, matrix_of, stacked, vector_blocks
from features.unit import Unit
from features.vectors import ROOM
from features.window import Micros
from tests.records import CORE, Row, at, event, history, household, member
from training.rows import dataset_history

AS_OF = at("2025-06-30")
WAGE = event("EMP//WAGE", "2025-05-31", value=2_500.0, person_id="p of h1")
STAY = event("CLM//INPATIENT", "2025-05-10", value=14_200.0, person_id="p of h1")


def told(rows: list[Row], name: str, as_of: Micros = AS_OF, people: list[Row] | None = None) -> tuple[float, bool]:
    """Value of one feature of h1, and whether it is unknown."""
    found = matrix(history(rows, people), as_of)
    assert found.household_ids[0] == "h1"
    i = found.names.index(name)
    return float(found.values[0, i]), bool(found.unknown[0, i])


def is_unknown(answer: tuple[float, bool]) -> bool:
    return np.isnan(answer[0]) and answer[1]


def does_not_exist(answer: tuple[float, bool]) -> bool:
    return np.isnan(answer[0]) and not answer[1]


def test_without_events_and_people_everything_but_the_place_is_unknown() -> None:
    found = matrix(history([], []), AS_OF)
    assert dict(zip(CORE.names, ~found.unknown[0], strict=True)) == {
        name: name == "residence_rural" for name in CORE.names
    }
    assert np.isnan(found.values[0, found.unknown[0]]).all()
    assert (found.n_events.tolist(), found.n_members.tolist()) == ([0], [0])


def test_none_is_known_only_of_a_household_that_the_source_sees() -> None:
    assert is_unknown(told([WAGE], "inpatient_stays_12m"))
    insured = event("ENR//PAID", "2024-09-01", value=380.0)
    assert told([WAGE, insured], "inpatient_stays_12m") == (0.0, False)
    assert told([insured], "major_diagnosis_months_since_24m") == (24.0, False)
    assert told([insured, STAY], "inpatient_stays_12m") == (1.0, False)
    assert is_unknown(told([insured], "wage_amount_12m"))


def test_a_source_that_was_silent_for_two_years_sees_nobody() -> None:
    for occurred, known in (("2023-07-01", True), ("2023-06-30T23:59:59", False)):
        rows = [event("ENR//PAID", occurred, value=380.0)]
        assert is_unknown(told(rows, "inpatient_stays_12m")) is not known


def test_an_authorised_record_proves_no_other_source_and_is_no_sign_of_life() -> None:
    rows = [event("BNK//DEPOSIT_BAL", "2025-05-01", value=1_000.0), event("TAX//PIT_INCOME", "2025-05-01", value=9e4)]
    found = matrix(history(rows), AS_OF)
    without = matrix(history([]), AS_OF)
    assert found.n_events.tolist() == [0]
    assert found.unknown.tobytes() == without.unknown.tobytes()
    assert found.values.tobytes() == without.values.tobytes()


def test_without_a_certificate_the_grade_lies_past_the_mildest_one() -> None:
    assert told([WAGE], "disability_grade_ever") == (5.0, False)
    assert is_unknown(told([], "disability_grade_ever"))
    certificate = event("DIS//CERT_NEW", "2025-05-01", value=2.0, person_id="p of h1")
    assert told([certificate], "disability_grade_ever") == (2.0, False)
    without_grade = event("DIS//CERT_NEW", "2025-05-01", person_id="p of h1")
    assert is_unknown(told([without_grade], "disability_grade_ever"))


def test_a_ratio_of_an_unknown_is_unknown_and_one_over_nothing_does_not_exist() -> None:
    assert is_unknown(told([STAY], "out_of_pocket_to_income_12m"))
    assert told([STAY, WAGE], "out_of_pocket_to_income_12m")[0] == pytest.approx(14_200 / 2_500)
    hired = event("EMP//HIRE", "2025-05-31", person_id="p of h1")
    assert does_not_exist(told([hired], "wage_record_trend_12m"))
    assert is_unknown(told([STAY], "wage_record_trend_12m"))


def test_a_difference_of_an_unknown_is_unknown() -> None:
    assert is_unknown(told([STAY], "income_after_costs_amount_12m"))
    assert told([STAY, WAGE], "income_after_costs_amount_12m") == (2_500 - 14_200, False)


def test_one_amount_left_open_makes_the_sum_unknown_and_not_the_count() -> None:
    open_amount = event("CLM//INPATIENT", "2025-04-10", person_id="p of h1", event_id="open")
    for name in ("inpatient_out_of_pocket_amount_12m", "out_of_pocket_amount_6m", "net_out_of_pocket_amount_12m"):
        assert is_unknown(told([STAY, open_amount], name)), name
    assert told([STAY, open_amount], "inpatient_stays_12m") == (2.0, False)
    assert told([STAY, open_amount], "inpatient_out_of_pocket_max_amount_12m") == (14_200.0, False)
    # Only windows that hold the open amount suffer, and it closes as soon as the amount is told.
    assert told([STAY, open_amount], "inpatient_out_of_pocket_amount_3m")[1]
    old = {**open_amount, "occurred_at": event("CLM//INPATIENT", "2024-12-01")["occurred_at"]}
    assert told([STAY, old], "inpatient_out_of_pocket_amount_3m") == (14_200.0, False)
    told_later = event(
        "CLM//INPATIENT", "2025-04-10", "2025-06-01", 800.0,
        person_id="p of h1", event_id="closed", status="corrected", supersedes="open",
    )  # fmt: skip
    rows = [STAY, open_amount, told_later]
    assert told(rows, "inpatient_out_of_pocket_amount_12m") == (15_000.0, False)
    assert is_unknown(told(rows, "inpatient_out_of_pocket_amount_12m", at("2025-05-30")))


AGES = [f.name for f in CORE.features if f.measure is Measure.MEMBERS_AGED]


def test_one_unknown_birth_date_makes_counts_by_age_unknown_and_no_others() -> None:
    assert len(AGES) >= 4
    people = [member("p1", born="1950-01-01"), member("p2", born="1960-01-01")]
    assert told([], "elders_60", people=people) == (2.0, False)
    unsure = [*people, member("p3", born=None)]
    assert told([], "members", people=unsure) == (3.0, False)
    for name in (*AGES, "dependants", "elders_share"):
        assert is_unknown(told([], name, people=unsure)), name
    # Somebody who has left, or is not known yet, is no gap any more.
    left = [*people, member("p3", born=None), member("p3", born=None, left="2025-01-01", known="2025-01-01")]
    assert told([], "elders_60", people=left) == (2.0, False)
    coming = [*people, member("p3", born=None, joined="2025-06-01", known="2025-07-02")]
    assert told([], "elders_60", people=coming) == (2.0, False)


def test_an_age_is_reached_on_the_birthday_give_or_take_a_leap_day() -> None:
    people = [member("p1", born="1965-06-29")]
    assert told([], "elders_60", people=people)[0] == 1
    assert told([], "elders_60", at("2025-06-26"), people=people)[0] == 0


def test_an_unknown_place_is_unknown_and_a_known_one_is_yes_or_no() -> None:
    found = matrix(history([], [], [household("a", None), household("b", "rural"), household("c", "city")]), AS_OF)
    i = found.names.index("residence_rural")
    assert np.array_equal(found.values[:, i], [np.nan, 1.0, 0.0], equal_nan=True)
    assert found.unknown[:, i].tolist() == [True, False, False]


def test_a_value_beyond_the_bounds_of_its_feature_is_held_there() -> None:
    feature = CORE.by_name["out_of_pocket_to_income_12m"]
    poor = {**WAGE, "value": 0.01}
    assert told([STAY, poor], feature.name) == (feature.bounds[1], False)


def test_events_are_counted_over_two_years_and_members_as_they_live_there() -> None:
    rows = [
        event("CLM//DRUG", day, value=9.0) for day in ("2023-06-30T23:59:59", "2023-07-01", "2025-06-30", "2025-07-01")
    ]
    found = matrix(history(rows, [member("p1"), member("p2"), member("p3", joined="2025-07-01")]), AS_OF)
    assert (found.n_events.tolist(), found.n_members.tolist()) == ([2], [2])


def test_households_come_in_the_order_of_their_ids_or_as_asked() -> None:
    made = history(
        [WAGE, {**WAGE, "household_id": "a", "value": 7.0}], [], [household("h1"), household("a"), household("b")]
    )
    whole = matrix(made, AS_OF)
    assert whole.household_ids.tolist() == ["a", "b", "h1"]
    assert whole.as_of.tolist() == [AS_OF] * 3
    some = matrix(made, AS_OF, ["h1", "a"])
    assert some.household_ids.tolist() == ["h1", "a"]
    assert some.values.tobytes() == whole.values[[2, 0]].tobytes()
    assert some.column("wage_amount_3m").tolist() == [2_500.0, 7.0]
    with pytest.raises(KeyError):
        matrix(made, AS_OF, ["nobody"])


def test_parts_and_stacks_keep_every_column() -> None:
    made = history([WAGE, {**WAGE, "household_id": "a"}])
    one, other = matrix(made, AS_OF), matrix(made, at("2024-01-31"))
    both = stacked([one, other])
    for name in ("household_ids", "as_of", "values", "unknown", "n_events", "n_members"):
        assert len(getattr(both, name)) == 4, name
        back = getattr(both.rows(np.array([2, 3])), name)
        assert np.array_equal(back, getattr(other, name), equal_nan=name == "values"), name
    assert both.rows(both.as_of == AS_OF).values.tobytes() == one.values.tobytes()


def test_only_the_features_asked_for_are_given_in_that_order() -> None:
    made = history([WAGE, STAY, {**WAGE, "household_id": "a"}])
    seen, whole = visible(made, AS_OF), matrix(made, AS_OF)
    # A ratio without its parts, and before a part that is asked for too.
    names = ["out_of_pocket_to_income_12m", "residence_rural", "wage_amount_3m", "inpatient_stays_12m"]
    some = matrix_of(made, seen, names)
    assert some.names == tuple(names)
    columns = [whole.names.index(name) for name in names]
    assert some.values.tobytes() == whole.values[:, columns].tobytes()
    assert some.unknown.tobytes() == whole.unknown[:, columns].tobytes()
    assert (some.n_events.tolist(), some.n_members.tolist()) == (whole.n_events.tolist(), whole.n_members.tolist())
    assert matrix_of(made, seen, []).values.shape == (2, 0)
    with pytest.raises(KeyError):
        matrix_of(made, seen, ["no such feature"])
    with pytest.raises(ValueError, match="asked for twice"):
        matrix_of(made, seen, ["members", "members"])


def test_blocks_follow_each_other_in_the_same_memory() -> None:
    names = [f"h{i}" for i in range(5)]
    wages = [{**WAGE, "household_id": n, "person_id": f"p of {n}", "value": float(i)} for i, n in enumerate(names)]
    made = history(wages)
    whole = matrix(made, AS_OF)
    blocks = vector_blocks(made, AS_OF, names=["wage_amount_3m"], block=2)
    found = [(first, values.base is not None, values[:, 0].tolist()) for first, values, _ in blocks]
    assert found == [(0, True, [0.0, 1.0]), (2, True, [2.0, 3.0]), (4, True, [4.0])]
    kept = list(vector_blocks(made, AS_OF, block=2))
    assert np.shares_memory(kept[0][1], kept[1][1])
    ((first, values, unknown),) = vector_blocks(made, AS_OF)
    assert (first, values.tobytes(), unknown.tobytes()) == (0, whole.values.tobytes(), whole.unknown.tobytes())
    assert list(vector_blocks(history([], [], []), AS_OF)) == []


def declared(measure: Measure, codes: tuple[str, ...], **more: object) -> Feature:
    text = Text("数", "number")
    return Feature(
        measure.value, text, Group.MEDICAL, measure, Unit.COUNT, codes=codes, direction=Direction.OPEN, **more
    )  # type: ignore[arg-type]


def test_different_codes_are_counted_within_the_window_and_none_is_known_like_a_count() -> None:
    measured = declared(
        Measure.DISTINCT, ("CLM//*",), window=last(months=12),
        when_absent=Absent.KNOWN_NONE, linked_by=("ENR//PAID",),
    )  # fmt: skip
    of = Catalogue("by hand", CORE.kinds, (measured,))

    def distinct(*rows: Row) -> tuple[float, bool]:
        found = matrix(history(rows, of=of), AS_OF)
        return float(found.values[0, 0]), bool(found.unknown[0, 0])

    drug, again = event("CLM//DRUG", "2025-01-01", value=5.0), event("CLM//DRUG", "2025-02-01", value=5.0)
    old = event("CLM//OUTPATIENT", "2024-06-29", value=5.0)
    assert distinct(STAY, drug, again, old) == (2.0, False)
    assert distinct(drug, again) == (1.0, False)
    assert is_unknown(distinct(old))
    assert distinct(event("ENR//PAID", "2025-01-01", value=380.0)) == (0.0, False)


@pytest.mark.parametrize("is_closed_first", [True, False])
def test_what_ends_and_begins_at_one_moment_goes_on(is_closed_first: bool) -> None:
    order = [kind.code for kind in CORE.kinds]
    first, second = sorted(("EMP//WAGE", "HLT//CHRONIC_REG"), key=order.index)
    assert {CORE.by_code[code].level for code in (first, second)} == {Level.PERSON}
    closing, opening = (first, second) if is_closed_first else (second, first)
    of = Catalogue(
        "by hand", CORE.kinds, (declared(Measure.MONTHS_OPEN, (opening,), closed_by=(closing,), window=ever()),)
    )  # fmt: skip
    began = event(opening, "2025-01-02", person_id="p of h1")
    both = [event(code, "2025-03-02", person_id="p of h1") for code in (opening, closing)]
    found = matrix(history([began, *both], of=of), AS_OF).values[0, 0]
    assert found == (AS_OF - at("2025-01-01")) / (86_400_000_000 * 30.4375)
    ended = event(closing, "2025-03-01", person_id="p of h1")
    found = matrix(history([began, ended, *both], of=of), AS_OF).values[0, 0]
    assert found == (AS_OF - at("2025-03-01")) / (86_400_000_000 * 30.4375)


def test_a_household_of_very_many_people_is_counted_like_a_small_one() -> None:
    n = 3 * ROOM
    codes = ("MON//ENTER",)
    of = Catalogue(
        "by hand", CORE.kinds,
        (declared(Measure.PERSONS, ("CLM//DRUG",), window=ever()),
         declared(Measure.MONTHS_OPEN, ("HLT//CHRONIC_REG",), closed_by=codes, window=ever())),
    )  # fmt: skip
    rows = [event("CLM//DRUG", "2025-01-01", value=1.0, person_id=f"p{i}", event_id=f"d{i}") for i in range(n)]
    rows += [event("HLT//CHRONIC_REG", "2025-01-02", person_id=f"p{i}", event_id=f"c{i}") for i in range(n)]
    few = [{**row, "household_id": "h2"} for row in rows if row["person_id"] == "p7"]
    found = matrix(history([*rows, *few], [], [household("h1"), household("h2")], of=of), AS_OF)
    months = (AS_OF - at("2025-01-01")) / (86_400_000_000 * 30.4375)
    assert found.values.tolist() == [[n, months], [1, months]]


@pytest.fixture(scope="module")
def of_county(tiny_county: Path) -> Matrix:
    read = admitted(read_dataset(tiny_county), CORE)
    made = dataset_history(read, CORE)
    return stacked([matrix(made, at(day)) for day in ("2020-06-30", "2021-06-30", "2022-06-30")])


def test_what_is_unknown_has_no_number(of_county: Matrix) -> None:
    assert np.isnan(of_county.values[of_county.unknown]).all()
    assert not np.isinf(of_county.values).any()


def test_a_number_is_missing_without_being_unknown_only_where_it_cannot_exist(of_county: Matrix) -> None:
    missing = np.isnan(of_county.values) & ~of_county.unknown
    may = {f.name for f in CORE.features if f.measure is Measure.RATIO or f.when_absent is Absent.NOT_APPLICABLE}
    for feature in CORE.features:
        if feature.measure.is_derived and may & set(feature.of):
            may.add(feature.name)
    found = {name for name, any_ in zip(of_county.names, missing.any(axis=0), strict=True) if any_}
    assert found <= may
    assert "school_stage_24m" in found


def test_values_of_a_county_stay_within_the_bounds_of_their_features(of_county: Matrix) -> None:
    for i, feature in enumerate(CORE.features):
        known = of_county.values[~np.isnan(of_county.values[:, i]), i]
        assert ((known >= feature.bounds[0]) & (known <= feature.bounds[1])).all(), feature.name


def test_longer_windows_of_a_county_count_no_less_than_shorter_ones(of_county: Matrix) -> None:
    compared = 0
    for measure in (Measure.COUNT, Measure.MAX, Measure.PERSONS):
        by_codes: dict[tuple[str, ...], list[tuple[float, str]]] = {}
        for f in CORE.features:
            if f.measure is measure:
                by_codes.setdefault(f.codes, []).append((f.window.months or np.inf, f.name))
        for windows in by_codes.values():
            for (_, short), (_, long) in zip(sorted(windows), sorted(windows)[1:], strict=False):
                a, b = of_county.column(short), of_county.column(long)
                both = ~np.isnan(a) & ~np.isnan(b)
                assert (a[both] <= b[both]).all(), (short, long)
                compared += int(both.sum())
    assert compared > 10_000
