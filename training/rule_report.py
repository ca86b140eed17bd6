"""What rules say about the households of a dataset at one moment, and what changes when the rules do.

Counts only: nobody's record stands here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.history import History, visible
from features.matrix import matrix_of
from features.rules.indicator import POVERTY_TYPES, Indicator
from features.rules.number import FALSE, NOT_EVALUABLE, TRUE
from features.rules.rulebook import Rulebook
from features.window import Micros
from models.rules import Ruled, ruled
from models.tier import RANKED, Tier

if TYPE_CHECKING:
    from models.bundle import Bundle

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
OPT_OUT = "SLF//OPTOUT"
# Grey is neither above nor below green: it asks for a visit because nothing is known.
GREY = -1
SHOWN = (*reversed(RANKED), Tier.GREY)


@dataclass(frozen=True)
class Told:
    """What the rules alone say. `silent`: nobody may call the household green; `opted_out`: no rule speaks of it."""

    ruled: Ruled
    silent: Bools
    opted_out: Bools

    @cached_property
    def tier(self) -> Ints:
        """Rank of the tier by household, 0 green to 3 red, from triggers and points; `GREY` for grey."""
        rank = np.maximum(self.ruled.floor, self.ruled.points_rank)
        rank = np.where(self.opted_out, 0, rank)
        return np.where((rank == 0) & (self.silent | self.opted_out), GREY, rank)

    def state(self, name: str) -> npt.NDArray[np.int8]:
        """State of an indicator by household; false where no rule speaks."""
        return np.where(self.opted_out, FALSE, self.ruled.states.state(name))

    def brought(self, name: str) -> npt.NDArray[np.object_]:
        """What the reached level of an indicator brings by household, None where none is reached."""
        indicator = self.indicators().get(name)
        if indicator is None:
            return np.full(self.ruled.n, None, object)
        brings = np.empty(len(indicator.levels) + 1, object)
        brings[:] = [*((level.tier, level.points) for level in indicator.levels), None]
        return brings[np.where(self.opted_out, -1, self.ruled.states.level(name))]

    def indicators(self) -> dict[str, Indicator]:
        """The indicators in force on the day."""
        return self.ruled.states.book.by_id


def told(book: Rulebook, history: History, as_of: Micros) -> Told:
    """Apply the rules to everybody. Raises `PackNotInForce` where no pack covers the day."""
    seen = visible(history, as_of)
    vectors = matrix_of(history, seen)
    applied = ruled(book, history, seen)
    silent = (vectors.n_events == 0) | (vectors.n_members == 0)
    for flags in applied.flagged["grey"].values():
        silent = silent | flags
    opted_out = np.zeros(applied.n, np.bool_)
    facts = applied.states.facts
    opted_out[facts.household[facts.rows((OPT_OUT,))]] = True
    return Told(applied, silent, opted_out)


def report(of: Told) -> dict[str, Any]:
    """Tiers, indicators, kinds of poverty and findings to verify, each with the number of households."""
    types = np.stack([np.where(of.opted_out, 0.0, of.ruled.poverty_types[name]) for name in POVERTY_TYPES])
    main = np.where(types.any(axis=0), types.argmax(axis=0), -1)
    findings = [of.state(each.id) == TRUE for each in of.ruled.of_mode("verification")]
    return {
        "households": of.ruled.n,
        "opted_out": int(of.opted_out.sum()),
        "tiers": _by_tier(of.tier),
        "grey_share": _share(of.tier == GREY),
        "indicators": [_counts(each, of.state(each.id)) for each in of.indicators().values()],
        "poverty_types": {
            name: {"main": int((main == i).sum()), "any": int((types[i] > 0).sum())}
            for i, name in enumerate(POVERTY_TYPES)
        },
        "without_poverty_type": int((main == -1).sum()),
        "to_verify": int(np.any(findings, axis=0).sum()) if findings else 0,
    }


def _counts(each: Indicator, state: npt.NDArray[np.int8]) -> dict[str, Any]:
    return {
        "id": each.id,
        "name": each.name._asdict(),
        "mode": each.mode,
        "true": int((state == TRUE).sum()),
        "true_share": _share(state == TRUE),
        "not_evaluable": int((state == NOT_EVALUABLE).sum()),
        "not_evaluable_share": _share(state == NOT_EVALUABLE),
    }


def beside_model(of: Told, bundle: Bundle, book: Rulebook) -> dict[str, Any]:
    """The tiers of the full assessment beside those of the rules, whom the model raised, and whom it lowered."""
    # Only here: whoever asks the rules alone need not wait for a model's libraries.
    from models.assessment import assess
    from models.handling import Handling

    facts = of.ruled.states.facts
    full = assess(bundle, facts.history, facts.as_of, reasons=False, handling=Handling(book=book))
    rows = [full.row(i) for i in range(facts.n_households)]
    with_model = np.array([_rank(row["tier"]) for row in rows], np.int64)
    return {"tiers": _by_tier(with_model), "statuses": dict(Counter(row["status"] for row in rows))} | _moved(
        of.tier, with_model
    )


def differences(before: Told, after: Told) -> dict[str, Any]:
    """What changes between two sets of rules for the same households at the same moment; what does not is left out."""
    known = before.indicators() | after.indicators()
    found = [_difference(each, before, after) for _, each in sorted(known.items())]
    tiers = {name: [n, _by_tier(after.tier)[name]] for name, n in _by_tier(before.tier).items()}
    moves = Counter(zip(before.tier.tolist(), after.tier.tolist(), strict=True))
    points = np.abs(before.ruled.points - after.ruled.points) > 1e-9
    return {
        "households": before.ruled.n,
        "indicators": [each for each in found if each is not None],
        "points_changed": int(points.sum()),
        "tiers": {name: pair for name, pair in tiers.items() if pair[0] != pair[1]},
        "moves": [
            {"from": _name(old), "to": _name(new), "households": n}
            for (old, new), n in sorted(moves.items(), key=lambda move: (-move[1], move[0]))
            if old != new
        ],
    } | _moved(before.tier, after.tier)


def _difference(each: Indicator, before: Told, after: Told) -> dict[str, Any] | None:
    was, now = before.state(each.id), after.state(each.id)
    is_level_changed = (was == TRUE) & (now == TRUE) & (before.brought(each.id) != after.brought(each.id))
    if np.array_equal(was, now) and not is_level_changed.any():
        return None
    return {
        "id": each.id,
        "name": each.name._asdict(),
        "true": [int((was == TRUE).sum()), int((now == TRUE).sum())],
        "not_evaluable": [int((was == NOT_EVALUABLE).sum()), int((now == NOT_EVALUABLE).sum())],
        "appears": int(((was != TRUE) & (now == TRUE)).sum()),
        "disappears": int(((was == TRUE) & (now != TRUE)).sum()),
        "other_level": int(is_level_changed.sum()),
    }


def _moved(before: Ints, after: Ints) -> dict[str, int]:
    """How many are more, and less, urgent than before. To be called green instead of grey counts as less."""
    low, high = np.maximum(before, 0), np.maximum(after, 0)
    return {
        "raised": int((high > low).sum()),
        "lowered": int(((high < low) | ((before == GREY) & (after == 0))).sum()),
    }


def _by_tier(rank: Ints) -> dict[str, int]:
    return {tier.value: int((rank == _rank(tier.value)).sum()) for tier in SHOWN}


def _rank(name: str) -> int:
    return GREY if name == Tier.GREY.value else RANKED.index(Tier(name))


def _name(rank: int) -> str:
    return Tier.GREY.value if rank == GREY else RANKED[rank].value


def _share(flags: Bools) -> float:
    return float(flags.mean()) if len(flags) else 0.0
