"""The metamorphic contract: what makes life harder never lowers the tier, what helps never raises it.

Asked of the rules alone without exception, and of rules and model together with the rate at which the model breaks it.
Declared exceptions of the contract: repeated emergency aid (SHK-07) and an insurance payout (INS-04).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.dataset import read_dataset
from features.history import History
from features.household import homes
from features.intake import admitted
from features.rules.number import TRUE
from models.assessment import assessments
from models.bundle import Bundle
from models.rules import Ruled
from tests.changes import Change, better, scaled, split, worse
from tests.drawn import some_household
from tests.situations import (
    Happening,
    Person,
    Situation,
    as_recorded,
    assessed,
    moment,
    monthly,
    rule_ranks,
    tier_ranks,
    under_rules,
)
from training.rows import dataset_history

Ranks = Callable[[Sequence[Situation]], np.ndarray]
STEP = 0.005
WIDEST = 4.0


def by_rules(situations: Sequence[Situation]) -> np.ndarray:
    return rule_ranks(under_rules(situations))


def moved(changes: Sequence[Change], ranks: Ranks) -> np.ndarray:
    """By how many tiers each change moved its household; green and grey are one."""
    both = ranks([home for change in changes for home in (change.before, change.after)])
    return both[1::2] - both[::2]


def offenders(changes: Sequence[Change], by: np.ndarray, direction: int) -> dict[str, list[Change]]:
    """The changes that moved the wrong way, by name."""
    found: dict[str, list[Change]] = {}
    for change, tiers in zip(changes, by, strict=True):
        if tiers * direction < 0:
            found.setdefault(change.name, []).append(change)
    return found


# -- the rules alone

# A seed says which households failed; there is nothing to shrink.
households = st.integers(0, 2**32 - 1).map(Random)
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=120, phases=UNSHRUNK)
@given(households)
def test_what_makes_life_harder_never_lowers_the_tier(rng: Random) -> None:
    changes = [change for _ in range(3) for change in worse(some_household(rng), rng)]
    assert not offenders(changes, moved(changes, by_rules), +1)


@settings(max_examples=120, phases=UNSHRUNK)
@given(households)
def test_what_helps_never_raises_the_tier(rng: Random) -> None:
    changes = [change for _ in range(3) for change in better(some_household(rng), rng)]
    assert not offenders(changes, moved(changes, by_rules), -1)


def small_homes() -> Iterator[Situation]:
    """Plain households on every side of the lines: who lives there, what comes in, what is paid, what is held."""
    families = (
        (Person("p1", 45, "head"), Person("p2", 43, "spouse")),
        (Person("p1", 38, "head"), Person("p2", 10, "child"), Person("p3", 70, "parent")),
        (Person("p1", 72, "head"), Person("p2", 70, "spouse")),
    )
    incomes = (
        [],
        [Happening("MON//INCOME_SURVEY", 60, 8_000)],
        [Happening("MON//INCOME_SURVEY", 60, 15_000)],
        monthly("EMP//WAGE", 1_400, "p1", 27),
        monthly("EMP//WAGE", 3_000, "p1", 27, until_days=100),
    )
    bills = (
        [],
        [Happening("CLM//INPATIENT", 40, 5_900, "p1")],
        [Happening("CLM//INPATIENT", 40, 12_000, "p2"), Happening("CLM//DRUG", 200, 3_000, "p1")],
        [Happening("CLM//INPATIENT", 40, 23_900, "p1")],
    )
    grades = (
        [],
        [Happening("DIS//CERT_NEW", 30, 3, "p1")],
        [Happening("DIS//CERT_NEW", 900, 4, "p2"), *monthly("DIS//SUB_CARE", 120, "p2", 5, until_days=70)],
    )
    statuses = (
        [],
        [Happening("DB//ENTER", 500, 400)],
        [Happening("MON//OUT_OF_POVERTY", 3000, 2018)],
        [Happening("EMP//UNEMP", 60, 3, "p1"), Happening("ENR//LAPSE", 60, 2, "p1")],
    )
    for people, *told in itertools.product(families, incomes, bills, grades, statuses):
        happened = tuple(each for part in told for each in part)
        yield Situation(people, happened, "city" if told[0] and told[0][0].code == "EMP//WAGE" else "rural")


@pytest.mark.parametrize(("changes_of", "direction"), [(worse, +1), (better, -1)], ids=["worse", "better"])
def test_the_grid_of_plain_households_keeps_the_contract(
    changes_of: Callable[[Situation, Random], Iterator[Change]], direction: int
) -> None:
    rng = Random(1)
    changes = [change for home in small_homes() for change in changes_of(home, rng)]
    by = moved(changes, by_rules)
    assert not offenders(changes, by, direction)
    # The grid is worth something only if changes do move tiers the right way.
    for name, n in Counter(change.name for change in changes).items():
        if name in ("one more stay", "a larger bill", "reassessed as graver", "the main earner died", "a job"):
            assert n > 50 and any(tiers * direction > 0 for c, tiers in zip(changes, by, strict=True) if c.name == name)


def along_income(home: Situation, widest: float = WIDEST, step: float = STEP) -> list[Situation]:
    """The household with every income on record scaled from a `widest`-th to `widest` times, in small steps."""
    steps = round(math.log(widest) / step)
    return [scaled(home, math.exp(step * k)) for k in range(-steps, steps + 1)]


def leaps(home: Situation, ranks: Ranks) -> int:
    """How often one per cent more income moves the household by two tiers."""
    found = ranks(along_income(home))
    return int((np.abs(found[2:] - found[:-2]) >= 2).sum())


FAMILY = (Person("p1", 45, "head"), Person("p2", 43, "spouse"), Person("p3", 70, "parent"), Person("p4", 15, "child"))
# So that pay on record is all there is: everybody's silence is explained by what was reported before.
SEEN = [
    Happening("EMP//UNEMP", 500, 3, "p2"),
    Happening("PRD//LAND_TRANSFER", 500, 100),
    *monthly("SSI//PENSION", 120, "p3", 27),
]
LOST = [
    *monthly("EMP//WAGE", 1_000, "p1", 27, until_days=125),
    *monthly("EMP//WAGE", 500, "p2", 27),
]
FARM = [Happening("PRD//SALES", 400, 15_000), Happening("PRD//SALES", 30, 15_000)]
SWEPT = {
    "survey": [Happening("MON//INCOME_SURVEY", 60, 10_000)],
    "wages": [*SEEN, *monthly("EMP//WAGE", 2_500, "p1", 27)],
    "wages that stopped": [*SEEN, *LOST],
    "pension and farm": [*SEEN, *FARM, Happening("EMP//UNEMP", 500, 3, "p1")],
}
STAY = Happening("CLM//INPATIENT", 40, 6_500, "p1")
BESIDE = {
    "nothing": [],
    "a stay": [STAY],
    "large bills": [STAY._replace(value=15_000), Happening("CLM//DRUG", 200, 4_000, "p3")],
    "a certificate": [Happening("DIS//CERT_NEW", 30, 2, "p3")],
    "school fees": [Happening("EDU//FEE", 100, 9_000, "p4"), Happening("EDU//ENROL", 100, 4, "p4")],
    "a diagnosis and a stay": [STAY._replace(value=9_000), Happening("HLT//MAJOR_DX", 40, None, "p1", "C50")],
    "dibao and bills": [STAY._replace(value=11_000), Happening("DB//ENTER", 500, 400)],
    "a visitor's worry": [Happening("GRD//RISK_FLAG", 20, 1), Happening("GRD//LIVING", 20, 7)],
}


@pytest.mark.parametrize(
    ("evidence", "residence"),
    [
        ("survey", "rural"),
        ("wages", "city"),
        ("wages", "rural"),
        ("wages that stopped", "city"),
        ("pension and farm", "rural"),
    ],
)
def test_one_per_cent_of_income_never_moves_two_tiers(evidence: str, residence: str) -> None:
    for beside, events in BESIDE.items():
        home = Situation(FAMILY, (*SWEPT[evidence], *events), residence)
        ranks = by_rules(along_income(home))
        assert (np.abs(ranks[2:] - ranks[:-2]) < 2).all(), beside
        assert ranks[0] >= ranks[-1], beside
    bare = by_rules(along_income(Situation(FAMILY, tuple(SWEPT[evidence]), residence)))
    assert bare[0] > bare[-1], "a sweep that crosses no line shows nothing"


@settings(max_examples=25, phases=UNSHRUNK)
@given(households)
def test_one_per_cent_of_income_never_moves_two_tiers_of_any_household(rng: Random) -> None:
    assert leaps(some_household(rng), by_rules) == 0


def test_two_tiers_are_noticed_when_they_are_there() -> None:
    """The softer levels above a line are what keeps the promise: without them the sweep would find a leap."""
    home = Situation(FAMILY, (Happening("MON//INCOME_SURVEY", 60, 10_000),))
    only_lines = lambda homes: by_rules(homes) // 2 * 2  # noqa: E731
    assert leaps(home, only_lines) > 0


@settings(max_examples=60, phases=UNSHRUNK)
@given(households)
def test_a_split_before_the_application_is_to_be_verified_and_changes_no_tier(rng: Random) -> None:
    changes = [change for _ in range(3) for change in split(some_household(rng), rng)]
    if not changes:
        return
    after: Ruled = under_rules([change.after for change in changes])
    assert (after.states.state("VER-08") == TRUE).all()
    assert (moved(changes, by_rules) == 0).all()


def test_a_death_before_the_application_is_no_split() -> None:
    """Whoever died does not count as living there, though the register files a departure and the family applies."""
    couple = (Person("p1", 45, "head"), Person("p2", 43, "spouse"))
    died = Happening("FUN//CREMATE", 40, 45, "p1")
    told = Situation(couple, (died, Happening("HKM//MEMBER_LEAVE", 39, None, "p1"), Happening("SLF//APPLY", 10)))
    assert under_rules([told.left_by("p1", 39)]).states.facts.n_members.tolist() == [1]


# -- rules and model together

AS_RECORDED = "2021-09-30"
SAMPLE = 120
# Of all changes that the model may answer the wrong way, those that also move the tier.
MOST_WRONG = 0.005


@pytest.fixture(scope="module")
def county(tiny_county: Path, opened_bundle: Bundle) -> History:
    return dataset_history(admitted(read_dataset(tiny_county), opened_bundle.catalogue), opened_bundle.catalogue)


@pytest.fixture(scope="module")
def chosen(county: History) -> list[int]:
    """Households with members: nobody else can be told of by who lives there."""
    inhabited = set(homes(county.members, moment(AS_RECORDED)).household.tolist())
    return sorted(Random(5).sample(sorted(inhabited - {-1}), SAMPLE))


@pytest.fixture(scope="module")
def of_county(county: History, chosen: list[int]) -> list[Situation]:
    """Households of the simulated county, whose records are like those the model learned from."""
    return as_recorded(county, AS_RECORDED, chosen)


def test_a_household_told_again_is_assessed_as_it_was(
    county: History, chosen: list[int], of_county: list[Situation], opened_bundle: Bundle
) -> None:
    known = assessments(opened_bundle, county, moment(AS_RECORDED), reasons=False)
    again = assessed(opened_bundle, of_county, AS_RECORDED)
    for i, record in zip(chosen, again, strict=True):
        for name in ("status", "tier", "tier_basis", "probability", "points"):
            assert (
                known[i][name] == pytest.approx(record[name], abs=1e-4)
                if name in ("points", "probability")
                else known[i][name] == record[name]
            ), i


@pytest.mark.parametrize(("changes_of", "direction"), [(worse, +1), (better, -1)], ids=["worse", "better"])
def test_the_model_rarely_moves_a_tier_the_wrong_way(
    of_county: list[Situation],
    opened_bundle: Bundle,
    changes_of: Callable[[Situation, Random], Iterator[Change]],
    direction: int,
) -> None:
    """Not every column of the model is bound to move one way, so here the contract is measured and not proved.

    Found with the small bundle of the tests: 1 of 6,000 changes of county households moved a tier the wrong way; with
    a bundle of 5,000 households 10 of 11,100 (0.09 %), five of them silent households that a first benefit made
    scoreable, the others close to a band. The probability itself moved the wrong way, mostly by less than 0.01, in
    0.3 to 2 % of the changes that make life harder (the trend of payments and older bills; the make-up of the household
    after a death) and in 0.5 to 3.5 % of those that help (training and insurance, which show that a register sees the
    household; a first pension, which makes the income known).
    """
    rng = Random(6)
    changes = [change for home in of_county for change in changes_of(home, rng)]
    wrong = offenders(
        changes, moved(changes, lambda homes: tier_ranks(assessed(opened_bundle, homes, AS_RECORDED))), direction
    )
    assert len(changes) > 500
    assert sum(len(each) for each in wrong.values()) <= MOST_WRONG * len(changes), {
        name: len(each) for name, each in wrong.items()
    }


def test_one_per_cent_of_income_moves_the_probability_little_and_the_tier_by_one_at_most(
    of_county: list[Situation], opened_bundle: Bundle
) -> None:
    """Found: at most 0.02 of probability, and one tier in 0.4 % of the pairs."""
    factors = [factor * more for factor in (0.5, 0.7, 1.0, 1.4) for more in (1.0, 1.01)]
    records = assessed(opened_bundle, [scaled(home, f) for home in of_county for f in factors], AS_RECORDED)
    ranks = tier_ranks(records)
    assert (np.abs(ranks[1::2] - ranks[::2]) < 2).all()
    said = np.array([np.nan if each["probability"] is None else each["probability"] for each in records])
    apart = np.abs(said[1::2] - said[::2])
    assert np.nanmax(apart) < 0.05
    assert np.isfinite(apart).mean() > 0.8
