"""The value of asking: which fields a household lacks, and how far an answer could move its probability."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from features.catalogue import catalogue
from features.definition import Group
from models.asking import RANGE, Asking, ends, filled
from models.bundle import Bundle
from models.fields import WORDING, domain_words, fields, own_words
from models.filling import Parts
from models.similar import LEVELS, Similar, Spread
from tests.asked import asking, bundle, county, without_similar
from tests.drawn import some_household
from tests.situations import CORE, Happening, Person, Situation, monthly

COUPLE = (Person("a", 40, "head"), Person("b", 38, "spouse"))
WAGES = monthly("EMP//WAGE", 3000, "a", 30)
INSURED = Happening("ENR//PAID", 100, 400, "a")
SURVEY = Happening("MON//INCOME_SURVEY", 100, 9000)
BY_NAME = {field.name: field for field in fields(CORE)}


def kinds(*happenings: Happening, people: tuple[Person, ...] = COUPLE) -> dict[str, str]:
    return {gap.field.name: gap.kind for gap in asking([Situation(people, happenings)]).gaps(0)}


def values(situation: Situation, of: Bundle | None = None) -> dict[str, float]:
    return {each.gap.field.name: each.value for each in asking([situation], of).of(0)}


# -- fields


def test_every_feature_is_in_one_field_but_what_follows_from_others_and_the_context() -> None:
    for name in ("core", "eph", "sipp"):
        declared, found = catalogue(name), fields(catalogue(name))
        columns = np.concatenate([field.columns for field in found]).tolist()
        asked = [at for at, f in enumerate(declared.features) if not f.of and f.group is not Group.CONTEXT]
        assert sorted(columns) == asked
        assert len({field.name for field in found}) == len(found)


def test_every_field_of_the_core_catalogue_has_its_own_words_and_no_entry_is_left_over() -> None:
    assert set(BY_NAME) == {words.name for words in own_words().values()}
    assert set(domain_words()) == {group.value for group in Group} - {"context"}


def test_the_words_are_short_plain_questions() -> None:
    asked = [words.question for words in own_words().values()]
    said = [*asked, *domain_words().values()]
    for text in said:
        assert len(text.zh) <= 28 and text.zh.endswith("？") and text.en.endswith("?")
        assert len(text.en.split()) <= 16
        assert not [w for w in ("导致", "因为", "造成", "由于", "引起") if w in text.zh]
        assert not [w for w in ("because", "caused", "due to", "leads to") if w in text.en.lower()]
    assert len({text.zh for text in asked}) == len({text.en for text in asked}) == len(asked)
    assert "cause" not in WORDING.read_text("utf-8")


def test_an_answer_becomes_an_event_only_where_one_number_tells_it() -> None:
    for field in BY_NAME.values():
        code = field.wording.records
        assert (code is None) == (field.unit is None)
        if code is not None:
            assert CORE.by_code[code].unit is field.unit and field.reports[CORE.positions((code,))[0]]
    assert BY_NAME["wages"].wording.records == "EMP//WAGE"


def test_a_new_feature_joins_its_field_and_a_foreign_field_is_asked_by_its_domain() -> None:
    old = CORE.by_name["wage_amount_12m"]
    wider = replace(CORE, features=(*CORE.features, replace(old, name="wage_amount_more_12m")))
    assert len(fields(wider)) == len(fields(CORE))
    assert len(wider.features) - 1 in next(f for f in fields(wider) if f.name == "wages").columns
    foreign = next(f for f in fields(catalogue("eph")) if f.group is Group.HOUSING)
    assert foreign.name.startswith("housing.EPH//") and foreign.wording.question == domain_words()["housing"]
    assert foreign.unit is None and foreign.wording.stale_after_days is None


# -- what is missing, incomplete or old


def test_what_no_source_told_is_missing_and_what_one_told_is_not() -> None:
    assert kinds(INSURED)["wages"] == "missing"
    found = kinds(*WAGES, INSURED)
    assert "wages" not in found and "work" not in found and "medical_costs" not in found
    assert found["schooling"] == "missing"


def test_an_amount_left_open_makes_a_field_incomplete() -> None:
    found = asking([Situation(COUPLE, (*WAGES, INSURED, Happening("CLM//DRUG", 200, None, "a")))])
    gap = next(gap for gap in found.gaps(0) if gap.field.name == "medical_costs")
    assert gap.kind == "incomplete"
    assert set(gap.columns) == set(BY_NAME["medical_costs"].columns[found.vectors.unknown[0][gap.field.columns]])


@pytest.mark.parametrize(("days", "kind"), [(182.9, None), (183.1, "stale")])
def test_a_report_grows_old_on_its_day(days: float, kind: str | None) -> None:
    # Three months of pay are unknown too by then, but the whole record is what has to be asked for again.
    paid = monthly("EMP//WAGE", 3000, "a", 20, days)
    found = asking([Situation(COUPLE, tuple(paid))])
    gap = {gap.field.name: gap for gap in found.gaps(0)}["wages"]
    assert gap.kind == (kind or "incomplete")
    assert len(gap.columns) == len(gap.field.columns) or kind is None


def test_the_newest_report_counts_and_so_does_the_source_that_proves_it() -> None:
    old = Happening("HLT//CHRONIC_REG", 900, None, "a")
    assert kinds(old, Happening("EMP//HIRE", 5, None, "a"))["long_treatment"] == "stale"
    assert "long_treatment" not in kinds(old, Happening("HLT//CHRONIC_REG", 729, None, "b"))
    assert "long_treatment" not in kinds(old, INSURED)


def test_a_register_does_not_grow_old() -> None:
    entered, seen = Happening("DB//ENTER", 2000, 500.0), Happening("EMP//HIRE", 5, None, "a")
    assert not {"assistance", "disaster", "family_changes"} & set(kinds(entered, seen))


def test_nobody_old_is_asked_for_a_pension() -> None:
    elders = (Person("a", 66, "head"),)
    assert kinds(INSURED, people=elders)["pension"] == kinds(INSURED, people=elders)["pension_status"] == "missing"
    assert not {"pension", "pension_status"} & set(kinds(INSURED))
    unknown = (Person("a", None, "head"),)
    assert kinds(INSURED, people=unknown)["pension"] == "missing"


# -- the vectors that are scored


def test_ratios_and_differences_worked_out_again_are_the_kernel_s_to_the_last_bit() -> None:
    vectors = asking(county()).vectors.values
    again = vectors.copy()
    Parts(CORE).derive(again)
    assert np.array_equal(again, vectors, equal_nan=True)


def test_a_filled_amount_reaches_every_sum_and_share_as_an_event_would() -> None:
    family = Situation((*COUPLE, Person("c", 12, "child")), (INSURED, Happening("EDU//FEE", 50, 800, "c")))
    answered = family.plus(Happening("EMP//WAGE", 20, 4000, "a"))
    before, after = (asking([each]) for each in (family, answered))
    sure = {f"wage_amount_{m}m": Spread(50, (4000.0,) * LEVELS) for m in (3, 6, 12, 24)}
    sure["wage_month_max_amount_12m"] = Spread(50, (4000.0,) * LEVELS)
    gap = next(gap for gap in before.gaps(0) if gap.field.name == "wages")
    rows, place = filled(CORE, Similar(CORE, {"all": sure}, {}), before.vectors.values[0], [gap])
    drawn = rows[place]
    # The work office's counts belong to another field.
    rest = [at for at, feature in enumerate(CORE.features) if feature.group is not Group.EMPLOYMENT]
    assert np.array_equal(drawn[0][:, rest], np.tile(after.vectors.values[0][rest], (LEVELS, 1)), equal_nan=True)
    assert drawn[0][0, CORE.names.index("education_fee_to_income_12m")] == 0.2


def test_an_answer_of_none_leaves_an_unknown_total_unknown() -> None:
    home = Situation(COUPLE, (Happening("EMP//HIRE", 5, None, "a"),))
    where = asking([home])
    none = {"education_fee_amount_12m": Spread(50, (0.0,) * LEVELS)}
    gap = next(gap for gap in where.gaps(0) if gap.field.name == "schooling")
    rows, place = filled(CORE, Similar(CORE, {"all": none}, {}), where.vectors.values[0], [gap])
    drawn = rows[place]
    assert (drawn[0][:, CORE.names.index("education_fee_amount_12m")] == 0).all()
    assert np.isnan(drawn[0][:, CORE.names.index("necessary_costs_amount_12m")]).all()


def test_levels_that_say_the_same_share_a_vector() -> None:
    where = asking([Situation(COUPLE)])
    gap = next(gap for gap in where.gaps(0) if gap.field.name == "wages")
    steps = {"wage_amount_12m": Spread(50, (1.0,) * 7 + (2.0,) * (LEVELS - 7))}
    rows, place = filled(CORE, Similar(CORE, {"all": steps}, {}), where.vectors.values[0], [gap, gap])
    assert rows[:, CORE.names.index("wage_amount_12m")].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert place.tolist() == [[0] * 7 + [1] * (LEVELS - 7), [2] * 7 + [3] * (LEVELS - 7)]


def test_a_number_that_may_not_exist_is_left_open() -> None:
    gap = next(g for g in asking([Situation(COUPLE, (INSURED,))]).gaps(0) if g.field.name == "schooling")
    names = {CORE.names[column] for column in gap.columns}
    assert "students_12m" in names and not {"school_stage_24m", "student_aid_grade_24m"} & names


# -- the value


def test_the_ends_of_the_range_are_numpy_s_quantiles_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    drawn = rng.random((5_000, LEVELS)) ** rng.integers(1, 9, (5_000, 1))
    drawn[::50] = np.repeat(rng.random((100, 1)), LEVELS, axis=1)
    drawn[rng.random(drawn.shape) < 0.001] = np.nan
    assert np.isnan(drawn).any()
    assert np.array_equal(ends(drawn), np.quantile(drawn, RANGE, axis=1).T, equal_nan=True)


def test_a_field_that_the_trees_do_not_use_is_worth_nothing() -> None:
    used = bundle().model.booster.feature_importance("split") > 0
    assert not used[BY_NAME["herd"].columns].any()
    found = asking([Situation(COUPLE, tuple(WAGES[:3]))]).of(0)
    herd = next(each for each in found if each.gap.field.name == "herd")
    assert herd.value == 0.0 and herd.points is not None and herd.points[0] == herd.points[1]
    assert all(each.value >= herd.value for each in found)
    behind = found[found.index(herd) + 1 :]
    assert all(each.value == 0.0 for each in behind)
    assert found[0].value > 0.02


def test_what_is_missing_decides_what_is_asked_first() -> None:
    # One is known to earn and not to be ill, the other the other way round.
    healthy = values(Situation(COUPLE, (*WAGES, SURVEY)))
    earning = values(Situation(COUPLE, (INSURED, SURVEY)))
    assert next(iter(healthy)) == "medical_costs"
    assert next(iter(earning)) in ("wages", "work", "all_income")


def test_households_assessed_together_or_alone_and_in_any_order_of_events_get_the_same() -> None:
    rng = Random(11)
    homes = [some_household(rng) for _ in range(6)]
    together = asking(homes)
    for i, home in enumerate(homes):
        shuffled = list(home.happenings)
        rng.shuffle(shuffled)
        alone = asking([replace(home, happenings=tuple(shuffled))])
        assert [(e.gap.field.name, e.gap.kind, e.points) for e in together.of(i)] == [
            (e.gap.field.name, e.gap.kind, e.points) for e in alone.of(0)
        ]


def test_a_bundle_without_similar_households_asks_nothing() -> None:
    assert values(Situation(COUPLE), without_similar()) == {}
    assert asking([Situation(COUPLE)], without_similar()).gaps(0)


def test_of_whom_nothing_is_missing_nothing_is_asked() -> None:
    where = asking([Situation(COUPLE, (*WAGES, INSURED))])
    nothing = replace(where.vectors, unknown=np.zeros_like(where.vectors.unknown))
    assert Asking(where.bundle, where.history, where.seen, nothing).of(0) == []
