"""Amounts and truths that admit what is not known: whatever is decided is so for every value that is possible."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.rules import number as n3
from features.rules.number import FALSE, NOT_EVALUABLE, TRUE, Number, Truths

INF = math.inf
Interval = tuple[float, float]
_values = st.one_of(st.integers(-4, 4).map(float), st.floats(-1e6, 1e6).map(lambda x: x or 0.0))
_ends = st.one_of(_values, _values, st.sampled_from([-INF, INF]))


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """A number of which something is known, and of which a value inside can be drawn."""
    lo, hi = sorted((draw(_ends), draw(_ends)))
    return (lo if lo < INF else -INF, hi if hi > -INF else INF)


def value_in(data: st.DataObject, interval: Interval) -> float:
    lo, hi = max(interval[0], -1e9), min(interval[1], 1e9)
    return data.draw(st.one_of(st.just(lo), st.just(hi), st.floats(lo, hi)))


def number(*intervals: Interval) -> Number:
    return Number(np.array([lo for lo, _ in intervals]), np.array([hi for _, hi in intervals]))


def truth(value: bool) -> Truths:
    return np.array([value], np.int8)


NOWHERE = number((math.nan, math.nan))
ARITHMETIC: list[Callable[[Number, Number], Number]] = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [
    (n3.less, operator.lt),
    (n3.at_most, operator.le),
    (n3.greater, operator.gt),
    (n3.at_least, operator.ge),
    (n3.equal, operator.eq),
]


@given(st.data(), st.sampled_from(ARITHMETIC), intervals(), intervals())
def test_arithmetic_includes_every_possible_result(
    data: st.DataObject, calculate: Callable[[Number, Number], Number], a: Interval, b: Interval
) -> None:
    x, y = value_in(data, a), value_in(data, b)
    if calculate is operator.truediv and y == 0:
        return
    found, exact = calculate(number(a), number(b)), calculate(x, y)
    slack = 1e-9 * max(1.0, abs(exact))
    assert found.lo[0] - slack <= exact <= found.hi[0] + slack


@given(_values, st.sampled_from([1.0, 2.0, 3.0, 7.0, 12.0, 49.0]))
def test_known_numbers_are_calculated_as_everywhere_else(a: float, b: float) -> None:
    """A line reached to the cent is reached: dividing is not multiplying by a rounded inverse."""
    for calculate in ARITHMETIC:
        found = calculate(number((a, a)), number((b, b)))
        assert found.lo[0] == found.hi[0] == calculate(a, b)


@given(intervals(), intervals())
def test_division_by_what_may_be_zero_or_less_is_unknown(a: Interval, b: Interval) -> None:
    found = number(a) / number(b)
    if b[0] <= 0:
        assert (found.lo[0], found.hi[0]) == (-INF, INF)
    else:
        assert not math.isnan(found.lo[0]) and not math.isnan(found.hi[0])


@given(st.data(), st.sampled_from(COMPARISONS), intervals(), intervals())
def test_a_comparison_is_decided_only_if_it_cannot_come_out_otherwise(
    data: st.DataObject,
    comparison: tuple[Callable[[Number, Number], Truths], Callable[[float, float], bool]],
    a: Interval,
    b: Interval,
) -> None:
    compare, plain = comparison
    said = compare(number(a), number(b))[0]
    held = plain(value_in(data, a), value_in(data, b))
    assert said in (NOT_EVALUABLE, TRUE if held else FALSE)


@given(st.sampled_from(COMPARISONS), _values, _values)
def test_a_comparison_of_known_numbers_is_always_decided(
    comparison: tuple[Callable[[Number, Number], Truths], Callable[[float, float], bool]], a: float, b: float
) -> None:
    compare, plain = comparison
    assert compare(number((a, a)), number((b, b)))[0] == (TRUE if plain(a, b) else FALSE)


@given(
    st.sampled_from([*ARITHMETIC, *(compare for compare, _ in COMPARISONS)]),
    intervals(),
    intervals(),
    st.sampled_from(["lo", "hi", "both"]),
)
def test_knowing_less_of_a_number_only_widens_or_opens(
    work: Callable[..., Number | Truths], a: Interval, b: Interval, end: str
) -> None:
    wider = (a[0] - 3 if end != "hi" else a[0], INF if end != "lo" else a[1])
    before, after = work(number(a), number(b)), work(number(wider), number(b))
    if isinstance(before, Number):
        assert isinstance(after, Number)
        slack = 1e-9 * max([1.0, *(abs(x) for x in (before.lo[0], before.hi[0]) if math.isfinite(x))])
        assert after.lo[0] - slack <= before.lo[0] and before.hi[0] <= after.hi[0] + slack
    else:
        assert after[0] in (before[0], NOT_EVALUABLE)


@given(intervals())
def test_what_does_not_exist_makes_every_comparison_false_and_every_result_not_exist(a: Interval) -> None:
    for x, y in ((NOWHERE, number(a)), (number(a), NOWHERE), (NOWHERE, NOWHERE)):
        for compare, _ in COMPARISONS:
            assert compare(x, y)[0] == FALSE
        for calculate in ARITHMETIC:
            found = calculate(x, y)
            assert math.isnan(found.lo[0]) and math.isnan(found.hi[0])


@given(intervals(), intervals())
def test_an_open_choice_allows_both_and_a_decided_one_is_taken(a: Interval, b: Interval) -> None:
    chosen = n3.chosen(np.array([TRUE, FALSE, NOT_EVALUABLE]), number(a, a, a), number(b, b, b))
    assert (chosen.lo[0], chosen.hi[0]) == a
    assert (chosen.lo[1], chosen.hi[1]) == b
    assert chosen.lo[2] == min(a[0], b[0]) and chosen.hi[2] == max(a[1], b[1])


@given(intervals())
def test_an_open_choice_between_something_and_nothing_decides_no_comparison(a: Interval) -> None:
    undecided = np.array([NOT_EVALUABLE])
    for x, y in ((NOWHERE, number(a)), (number(a), NOWHERE)):
        chosen = n3.chosen(undecided, x, y)
        assert n3.at_least(chosen, number((0.0, 0.0)))[0] == NOT_EVALUABLE
    nothing = n3.chosen(undecided, NOWHERE, NOWHERE)
    assert math.isnan(nothing.lo[0]) and math.isnan(nothing.hi[0])


@given(st.lists(intervals(), min_size=1, max_size=4), st.integers(0, 4))
def test_strongest_is_no_less_than_any_evidence_and_passes_over_what_does_not_exist(
    parts: list[Interval], at: int
) -> None:
    found = n3.strongest([number(part) for part in parts])
    assert found.lo[0] == max(lo for lo, _ in parts)
    complete = [hi for _, hi in parts if hi < INF]
    assert found.hi[0] == (max([*complete, found.lo[0]]) if complete else INF)
    with_nothing = [number(part) for part in parts]
    with_nothing.insert(at, NOWHERE)
    beside = n3.strongest(with_nothing)
    assert (beside.lo[0], beside.hi[0]) == (found.lo[0], found.hi[0])


def test_strongest_of_nothing_does_not_exist() -> None:
    found = n3.strongest([NOWHERE, NOWHERE])
    assert math.isnan(found.lo[0]) and math.isnan(found.hi[0])


KLEENE = {True: TRUE, False: FALSE, None: NOT_EVALUABLE}


@pytest.mark.parametrize(("a", "b"), list(itertools.product(KLEENE, KLEENE)))
def test_logic_is_what_holds_however_the_open_ones_turn_out(a: bool | None, b: bool | None) -> None:
    """Kleene's tables, written as what they mean: try every way the open truths may turn out."""
    ways = list(itertools.product([a] if a is not None else [True, False], [b] if b is not None else [True, False]))
    x, y = np.array([KLEENE[a]], np.int8), np.array([KLEENE[b]], np.int8)
    for joined, plain in ((n3.both, operator.and_), (n3.either, operator.or_)):
        outcomes = {plain(p, q) for p, q in ways}
        assert joined(x, y)[0] == (NOT_EVALUABLE if len(outcomes) == 2 else KLEENE[outcomes.pop()])
    turned = {not p for p, _ in ways}
    assert n3.negation(x)[0] == (NOT_EVALUABLE if len(turned) == 2 else KLEENE[turned.pop()])


def test_a_truth_as_a_number_lies_between_nought_and_one() -> None:
    found = n3.as_number(np.array([TRUE, FALSE, NOT_EVALUABLE]))
    assert found.lo.tolist() == [1.0, 0.0, 0.0] and found.hi.tolist() == [1.0, 0.0, 1.0]


def test_only_what_exists_and_is_one_value_is_known() -> None:
    assert number((2.0, 2.0), (2.0, 3.0), (math.nan, math.nan), (INF, INF)).is_known.tolist() == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("join", [n3.both, n3.either, n3.decided])
def test_answers_about_households_and_about_persons_are_never_mixed(join: Callable[[Truths, Truths], Truths]) -> None:
    with pytest.raises(ValueError, match="households and the other of persons"):
        join(np.array([1, 0], np.int8), np.array([1, 0, 1], np.int8))
    with pytest.raises(ValueError, match="households and the other of persons"):
        n3.less(number((0.0, 1.0)), number((0.0, 1.0), (2.0, 3.0)))
