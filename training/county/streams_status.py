"""Statuses in the records: by which route a household came in, what it receives, how it left; refusals and surveys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.window import MICROS_PER_DAY
from training.county.block import ORDINARY, Block
from training.county.chance import lognormal, rank_within
from training.county.grid import Bools, Floats, Ints
from training.county.ledger import Ledger

DIBAO, DESTITUTE, EDGE, RIGID, MONITORED = range(5)
JULY, NOVEMBER = 6, 10


@dataclass(frozen=True)
class Decisions:
    """What was decided about statuses.

    One entry a spell: household, months of entry and exit, moment of entry, route, and the person who is supported as
    destitute (-1 where none). `refused` and `refused_in` are the households and months of dibao refusals, `refused_at`
    their moments; the refusals themselves are entered with the applications, see `streams_requests.py`.
    """

    household: Ints
    enters: Ints
    exits: Ints
    moment: Ints
    route: Ints
    person: Ints
    refused: Ints
    refused_in: Ints
    refused_at: Ints


def statuses(block: Block, ledger: Ledger, income: Floats) -> Decisions:
    """Enter all status events and say what was decided. `income` is realised monthly household income, households x
    months."""
    a, rng = block.assumptions, block.chance.of("routes")
    _out_of_poverty(block, ledger, rng)
    causes = _causes(block)
    spells = block.course.spells
    person = _destitute_person(block, rng)
    route = _routes(block, causes, person)
    part = rng.uniform(*ORDINARY, len(route))
    enters = block.grid.moment(spells.enters, part)
    reached = np.minimum(block.places.ends[spells.household], block.grid.simulated)
    exits = np.where(spells.exits < reached, spells.household, -1)
    leaves = block.grid.moment(spells.exits, rng.uniform(*ORDINARY, len(route)))
    # A recognition ends on the calendar day on which it began.
    expires = block.grid.moment(spells.exits, part)
    members = np.maximum(1, block.members[spells.household, np.clip(spells.enters, 0, block.grid.simulated - 1)])
    amount = np.rint(lognormal(rng, a.dibao_monthly, len(route)) * members)
    for status, code, value in (
        (DIBAO, "DB//ENTER", amount),
        (DESTITUTE, "TK//ENTER", lognormal(rng, a.destitute_monthly, len(route))),
        (EDGE, "LIP//EDGE_ENTER", None),
        (RIGID, "LIP//RIGID_ENTER", a.rigid_ratio[0] + rng.gamma(2.0, a.rigid_ratio[1] / 2.0, len(route))),
        (MONITORED, "MON//ENTER", _monitored_type(block, causes)),
    ):
        rows = np.flatnonzero(route == status)
        whom = person[rows] if status == DESTITUTE else None
        ledger.add(
            code, spells.household[rows], enters[rows], person=whom, value=None if value is None else value[rows]
        )
    for status, code, value in (
        (DIBAO, "DB//EXIT", rng.integers(0, a.dibao_grace_months // 3 + 1, len(route)) * 3.0),
        (DESTITUTE, "TK//EXIT", None),
        (MONITORED, "MON//RISK_CLEAR", None),
    ):
        rows = np.flatnonzero(route == status)
        whom = person[rows] if status == DESTITUTE else None
        ledger.add(code, exits[rows], leaves[rows], person=whom, value=None if value is None else value[rows])
    rows = np.flatnonzero((route == EDGE) | (route == RIGID))
    ledger.add("LIP//EXPIRE", exits[rows], expires[rows], known=enters[rows] + 20 * MICROS_PER_DAY)
    _adjustments(block, ledger, route, amount, rng)
    refused, refused_in = _refusals(block)
    _surveys(block, ledger, income, route, rng)
    return Decisions(
        spells.household,
        spells.enters,
        spells.exits,
        enters,
        route,
        np.where(route == DESTITUTE, person, -1),
        refused,
        refused_in,
        block.sometime(block.chance.of("refusal moments"), refused_in),
    )


def _out_of_poverty(block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
    """The mark of formerly registered households, set at the end of the year in which they left poverty."""
    home = np.flatnonzero(block.standing.formerly_poor)
    years_before = rng.integers(1, 6, len(home))
    year = int(block.assumptions.first_month[:4]) - years_before
    december = block.grid.warm_up - 12 * years_before + 11
    ledger.add("MON//OUT_OF_POVERTY", home, block.grid.moment(december, 0.9), value=year.astype(np.float64))


def _causes(block: Block) -> dict[str, Floats]:
    """Share of each family of blows in what had piled up by the entry, and of blows altogether; one entry a spell."""
    a, shocks, spells = block.assumptions, block.shocks, block.course.spells
    families = sorted({kind.family for kind in a.shocks})
    order = np.argsort(shocks.household, kind="stable")
    starts = np.searchsorted(shocks.household[order], np.arange(block.n + 1))
    counts = starts[spells.household + 1] - starts[spells.household]
    row = np.repeat(np.arange(len(counts)), counts)
    at = order[np.repeat(starts[spells.household], counts) + rank_within(row)]
    elapsed = spells.enters[row] - shocks.month[at]
    fresh = np.where(elapsed > 0, block.course.weight[at] * np.exp(-elapsed / a.cause_fades_months), 0.0)
    family = np.array([families.index(kind.family) for kind in a.shocks])[shocks.kind[at]]
    piled = {name: np.bincount(row, fresh * (family == i), len(counts)) for i, name in enumerate(families)}
    everything = np.maximum(sum(piled.values(), np.zeros(len(counts))), 1e-12)
    shares = {name: amount / everything for name, amount in piled.items()}
    shares["any"] = everything / (everything + a.sudden_from)
    return shares


def _destitute_person(block: Block, rng: np.random.Generator) -> Ints:
    """For each spell someone without work, who stays through it, to be supported as destitute; -1 where nobody is."""
    spells, people = block.course.spells, block.people
    begin = np.clip(spells.enters, 0, block.grid.simulated - 1)

    def alone_and_staying(who: Ints, when: Ints) -> npt.NDArray[np.floating[Any]]:
        age = (when - people.born[who]) / 12.0
        stays = np.minimum(people.leaves[who], people.moves[who]) - when
        return ((age >= 60.0) | (age < 16.0)) * (stays > max(block.assumptions.spell_months) + 1) * 1.0

    person = block.residents.befallen(rng, spells.household, begin, alone_and_staying)
    earners = block.composed.earners[spells.household, begin]
    return np.where((earners == 0) & (spells.enters >= 0), person, -1)


def _routes(block: Block, causes: dict[str, Floats], person: Ints) -> Ints:
    """Which status each spell is, by place, cause and length: a rigid-expenditure recognition lasts one year."""
    a, spells = block.assumptions, block.course.spells
    formerly = block.standing.formerly_poor[spells.household]
    length = spells.exits - spells.enters
    rural = block.places.residence[spells.household] == 0
    sick = causes["medical"] + causes["disability"]
    pull = np.stack(
        [
            np.where(rural, *a.route_dibao),
            np.where(person >= 0, a.route_destitute, 0.0),
            np.where((length == 12) | (length == 24), a.route_edge, 0.0),
            np.where(length == 12, a.route_rigid[0] + a.route_rigid[1] * sick * causes["any"], 0.0),
            np.where(rural, a.route_monitored[0] + a.route_monitored[1] * formerly, 0.0),
        ]
    )
    limits = np.cumsum(pull, axis=0) / pull.sum(axis=0)
    return np.asarray((spells.drawn > limits).sum(axis=0), np.int64)


def _monitored_type(block: Block, causes: dict[str, Floats]) -> Floats:
    """1 out of poverty but unstable, 3 sudden hardship where recent blows prevail, 2 on the edge otherwise."""
    formerly = block.standing.formerly_poor[block.course.spells.household]
    return np.where(causes["any"] > 0.5, 3.0, np.where(formerly, 1.0, 2.0))


def _adjustments(block: Block, ledger: Ledger, route: Ints, amount: Floats, rng: np.random.Generator) -> None:
    """The allowance is adjusted each July."""
    spells, grid = block.course.spells, block.grid
    last = np.minimum(np.minimum(spells.exits, block.places.ends[spells.household]), grid.simulated)
    julys = np.flatnonzero(grid.calendar()[: grid.simulated] == JULY)
    row, which = np.nonzero(
        (route == DIBAO)[:, np.newaxis] & (julys > spells.enters[:, np.newaxis]) & (julys < last[:, np.newaxis])
    )
    new = np.rint(amount[row] * rng.uniform(*block.assumptions.dibao_adjusted, len(row)))
    ledger.add("DB//ADJUST", spells.household[row], block.sometime(rng, julys[which]), value=new)


def _refusals(block: Block) -> tuple[Ints, Ints]:
    """Households and months of dibao applications without success, the more the harder pressed the household is."""
    a, course, rng = block.assumptions, block.course, block.chance.of("DB//REJECT")
    at_risk = ~course.in_status & (block.places.ends[:, np.newaxis] > np.arange(block.grid.simulated))
    chance = np.where(at_risk, -np.expm1(-a.refused_per_intensity * course.intensity), 0.0)
    seen = block.standing.visibility < 2
    household, month = np.nonzero((rng.random(chance.shape) < chance) & seen[:, np.newaxis])
    return household, month


def _surveys(block: Block, ledger: Ledger, income: Floats, route: Ints, rng: np.random.Generator) -> None:
    """Each November the net income per head of formerly poor and of monitored households is reckoned for the year."""
    a, grid = block.assumptions, block.grid
    watched: Bools = np.repeat(block.standing.formerly_poor[:, np.newaxis], grid.simulated, axis=1)
    spells = block.course.spells
    for row in np.flatnonzero(route == MONITORED):
        watched[spells.household[row], max(0, spells.enters[row]) : spells.exits[row] + 12] = True
    members = block.members[:, : grid.simulated]
    watched = watched & (grid.calendar()[: grid.simulated] == NOVEMBER) & (members > 0)
    yearly = np.cumsum(income, axis=1)
    yearly[:, 12:] -= yearly[:, :-12].copy()
    household, month = np.nonzero(watched & (np.arange(grid.simulated) >= 12))
    known = (
        yearly[household, month] / members[household, month] * np.exp(a.survey_noise * rng.standard_normal(len(month)))
    )
    ledger.add("MON//INCOME_SURVEY", household, block.sometime(rng, month), value=np.rint(known))
