"""The value of asking agrees with plain loops: one field, one level and one row at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.definition import Feature
from features.window import MICROS_PER_DAY
from models.asking import Asking
from models.bundle import Bundle
from models.fields import own_words
from models.similar import Similar
from tests.asked import asking, bundle, county
from tests.situations import CORE, moment

EVERY = 10
Row = dict[str, float]


def field_of(feature: Feature) -> tuple[str, tuple[str, ...]] | None:
    if feature.of or feature.group.value == "context":
        return None
    if feature.measure.value in ("members", "members_aged"):
        return feature.group.value, (feature.measure.value,)
    proof = feature.codes if feature.when_absent.value == "unknown" else feature.linked_by
    return feature.group.value, proof


def under(patterns: tuple[str, ...], code: str) -> bool:
    return any(p == code or (p.endswith("//*") and code.startswith(p[:-1])) for p in patterns)


def stratum(row: Row) -> list[str]:
    children, elders, members = (row[name] for name in ("children_under_16", "elders_60", "members"))
    people = None
    if not any(map(math.isnan, (children, elders, members))):
        people = "children" if children > 0 else "elders" if elders == members else "others"
    place = {1.0: "rural", 0.0: "elsewhere"}[row["residence_rural"]]
    return [f"{place}/{people}", place, "all"] if people else [place, "all"]


def levels(similar: Similar, row: Row, name: str) -> list[float] | None:
    for narrow in stratum(row):
        spread = similar.strata.get(narrow, {}).get(name)
        if spread is not None:
            return list(spread.values) if similar.worse[name] == 1 else list(reversed(spread.values))
    return None


def held(feature: Feature, value: float) -> float:
    return value if math.isnan(value) else min(max(value, feature.bounds[0]), feature.bounds[1])


def derived(row: Row) -> None:
    for feature in CORE.features:
        if feature.of:
            a, b = row[feature.of[0]] * feature.scale, row[feature.of[1]]
            if feature.measure.value == "ratio":
                row[feature.name] = math.nan if b == 0 else held(feature, a / b)
            else:
                row[feature.name] = held(feature, a - b)


READS = {f.name: {kind.code for kind in CORE.kinds if under(f.codes, kind.code)} for f in CORE.features}
SUMS = [f for f in CORE.features if f.measure.value == "sum"]


def with_answer(row: Row, answer: dict[str, float]) -> Row:
    new = dict(row) | answer
    for name, value in answer.items():
        of = CORE.by_name[name]
        if of.measure.value != "sum":
            continue
        wider = [g for g in SUMS if g.window == of.window and READS[g.name] > READS[name]]
        if any(g.name in answer for g in wider):
            continue
        more = value - (0.0 if math.isnan(row[name]) else row[name])
        for g in wider:
            if more != 0:
                new[g.name] = held(g, (0.0 if math.isnan(new[g.name]) else new[g.name]) + more)
    derived(new)
    return new


def probability(of: Bundle, row: Row, region: str) -> float:
    values = np.array([[row[name] for name in CORE.names]])
    if of.model.unlearned_unknowns(values)[0]:
        return math.nan
    margin = float(of.model.booster.predict(values, raw_score=True, num_threads=1)[0])
    calibration = of.calibration
    return 1 / (
        1 + math.exp(-(calibration.slope * margin + calibration.intercept + calibration.offsets.get(region, 0)))
    )


def point(probabilities: list[float], share: float) -> float:
    ordered, place = sorted(probabilities), share * (len(probabilities) - 1)
    low = int(place)
    return ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])


def expected(of: Bundle, where: Asking, i: int) -> dict[str, Any]:
    assert of.similar is not None
    row = dict(zip(CORE.names, where.vectors.values[i].tolist(), strict=True))
    unknown = dict(zip(CORE.names, where.vectors.unknown[i].tolist(), strict=True))
    events = where.seen.of(i)
    happened = [
        (CORE.kinds[where.history.code[e]].code, int(where.history.occurred[e]))
        for e in events
        if where.history.code[e] >= 0
    ]
    fields: dict[tuple[str, tuple[str, ...]], list[Feature]] = {}
    for feature in CORE.features:
        key = field_of(feature)
        if key is not None:
            fields.setdefault(key, []).append(feature)
    found = {}
    for key, features in fields.items():
        words = own_words()[key]
        if any(row[name] == 0 for name in words.none_where):
            continue
        told_by = [p for f in features for p in (*f.codes, *f.linked_by) if p != "*"]
        newest = max((when for code, when in happened if under(tuple(told_by), code)), default=None)
        limit = words.stale_after_days
        is_old = limit is not None and newest is not None and moment() - newest > limit * MICROS_PER_DAY
        gaps = [f for f in features if unknown[f.name]]
        if len(gaps) == len(features):
            kind, asked = "missing", features
        elif is_old:
            kind, asked = "stale", features
        elif gaps:
            kind, asked = "incomplete", gaps
        else:
            continue
        spreads = {f.name: levels(of.similar, row, f.name) for f in asked if f.when_absent.value != "not_applicable"}
        answers = [{name: each[k] for name, each in spreads.items() if each is not None} for k in range(20)]
        region = str(where.history.region[i])
        reached = [probability(of, with_answer(row, answer), region) for answer in answers]
        ends = None if any(map(math.isnan, reached)) else (point(reached, 0.1), point(reached, 0.9))
        found[words.name] = (kind, ends)
    return found


@pytest.mark.parametrize("first", [0, 3])
def test_it_is_what_plain_loops_find(first: int) -> None:
    of = bundle()
    if first:
        # Trees that never met an unknown here cannot score an answer that leaves it unknown.
        learned = of.model.had_unknown & (np.array(CORE.names) != "wage_amount_12m")
        of = replace(of, model=replace(of.model, had_unknown=learned))
    where, kinds, moved, unscored = asking(county(), of), set(), 0, 0
    for i in range(first, len(county()), EVERY):
        found = where.of(i)
        said = {each.gap.field.name: (each.gap.kind, each.points) for each in found}
        plain = expected(of, where, i)
        assert said.keys() == plain.keys()
        for name, (kind, ends) in plain.items():
            assert said[name][0] == kind
            assert said[name][1] == (None if ends is None else pytest.approx(ends, abs=1e-12))
            moved += ends is not None and ends[1] - ends[0] > 0.01
            unscored += ends is None
            kinds.add(kind)
        assert [each.value for each in found] == sorted((each.value for each in found), reverse=True)
    assert kinds == {"missing", "stale", "incomplete"}
    assert moved > 40 and (unscored > 0) == (first > 0)
