"""The audit counts right, says what it cannot know, and blocks only on what is large, certain and of consequence."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from training.acceptance import is_publishable
from training.audit import Audit, AuditRefused, audit, nothing_to_audit
from training.audit_judgement import Finding, evidence_of, judged
from training.audit_report import as_json
from training.audit_selection import reserves, selected
from training.audit_sums import Estimate, Sums, difference, estimate, holm, ratio

QUICK = {"capacities": (0.1,), "seed": 1, "resamples": 300}


def households(n: int, member: float = 0.5, rate: float = 0.1, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a household with true probabilities, and one group to which they belong by chance."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(np.log(rate / (1 - rate)), 1.0, n)
    probability = 1 / (1 + np.exp(-margin))
    test = pd.DataFrame(
        {
            "household_id": [f"h{i}" for i in range(n)],
            "as_of": 0,
            "outcome": (rng.random(n) < probability).astype(float),
            "probability": probability,
        }
    )
    return test, column(rng.random(n) < member)


def column(belongs: Sequence[object] | np.ndarray, name: str = "minority") -> pd.DataFrame:
    return pd.DataFrame({name: pd.array(list(belongs), dtype="boolean")})


def exact(
    positives: int, others: int, reached: int, of_others: int, size: int = 1_000
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A group and the others with so many affected, of whom so many are among the tenth with the highest scores."""
    rows = []
    for group, (affected, seen) in enumerate(((positives, reached), (others, of_others))):
        outcome = np.zeros(size)
        outcome[:affected] = 1.0
        score = np.full(size, 0.05)
        score[:seen] = 0.9
        rows.append(pd.DataFrame({"outcome": outcome, "probability": score, "group": group == 0}))
    test = pd.concat(rows, ignore_index=True)
    # Unaffected households fill the list up, alike in both halves.
    free = 2 * size // 10 - reached - of_others
    fill = np.concatenate([np.arange(size - free // 2, size), np.arange(2 * size - (free - free // 2), 2 * size)])
    test.loc[fill, "probability"] = 0.9
    test["household_id"] = [f"h{i}" for i in range(len(test))]
    test["as_of"] = 0
    return test, column(test.pop("group"))


def value(found: Audit, measure: str, against: str | None = None) -> Estimate:
    estimated = found.groups[0].find(measure, None if measure in WHOLE else 0.1, against)
    assert estimated is not None, measure
    return estimated


WHOLE = ("observed_expected", "abstention", "abstention_ratio", "data_gap", "data_gap_ratio")


def test_every_figure_is_what_plain_counting_gives() -> None:
    test, of = exact(100, 80, 30, 40)
    test["baseline_points"] = np.where(test["outcome"] * of["minority"].to_numpy(float) == 1.0, 0.6, 0.1)
    test["coverage"] = np.where(of["minority"], 0.5, 0.75)
    found = audit(test, of, **QUICK)
    group = found.groups[0]
    assert (group.households, group.positives, group.positive_households) == (1_000, 100, 100)
    inside = of["minority"].to_numpy(bool)
    visited = test["probability"].to_numpy() == 0.9
    assert visited.sum() == 200
    y, p = test["outcome"].to_numpy(), test["probability"].to_numpy()
    assert value(found, "recall").value == pytest.approx(0.30)
    assert value(found, "recall_gap").value == pytest.approx(0.30 - 0.50)
    missed = [y[side & ~visited].mean() for side in (inside, ~inside)]
    assert value(found, "missed_rate").value == pytest.approx(missed[0])
    assert value(found, "missed_ratio").value == pytest.approx(missed[0] / missed[1])
    precise = [y[side & visited].mean() for side in (inside, ~inside)]
    assert value(found, "precision_ratio").value == pytest.approx(precise[0] / precise[1])
    assert value(found, "observed_expected").value == pytest.approx(100 / p[inside].sum())
    both = inside & visited
    assert value(found, "observed_expected_selected").value == pytest.approx(30 / p[both].sum())
    # The rules have 200 visits too: the group's hundred affected, then anybody of the other 1,900.
    assert value(found, "recall_over", "points").value == pytest.approx(0.30 - 1.0)
    assert value(found, "data_gap").value == 0.5
    assert value(found, "data_gap_ratio").value == pytest.approx(0.5 / 0.375)


def test_resampled_sums_are_those_of_drawing_the_clusters_one_by_one() -> None:
    rng = np.random.default_rng(3)
    weight, cluster = rng.random(40), rng.integers(0, 7, 40)
    mask = rng.random(40) < 0.6
    sums = Sums({"w": weight}, {"m": mask}, cluster, resamples=5, seed=9)
    order = pd.unique(cluster)
    drawn = np.random.default_rng(9).integers(7, size=(5, 7))
    expected = [sum(weight[mask & (cluster == order[which])].sum() for which in row) for row in drawn]
    assert sums("m", "w") == pytest.approx([weight[mask].sum(), *expected])


def test_intervals_are_those_of_a_binomial_share_where_every_row_stands_for_itself() -> None:
    test, of = households(8_000)
    found = value(audit(test, of, capacities=(0.1,), seed=1), "recall")
    positives = int(test.loc[of["minority"], "outcome"].sum())
    spread = np.sqrt(found.value * (1 - found.value) / positives)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(spread, rel=0.15)


def test_repeating_every_household_at_four_moments_adds_no_certainty() -> None:
    test, of = households(3_000)
    once = value(audit(test, of, **QUICK), "recall_gap")
    again = pd.concat([test.assign(as_of=moment) for moment in range(4)], ignore_index=True)
    repeated = audit(again, pd.concat([of] * 4, ignore_index=True), **QUICK)
    assert value(repeated, "recall_gap") == pytest.approx(once)
    assert repeated.groups[0].positives == 4 * test.loc[of["minority"], "outcome"].sum()
    assert repeated.groups[0].positive_households == test.loc[of["minority"], "outcome"].sum()


def test_p_values_are_corrected_as_holm_wrote() -> None:
    given = [0.011, 0.02, float("nan"), 0.001, 0.3]
    assert holm(given) == pytest.approx([0.033, 0.04, np.nan, 0.004, 0.3], nan_ok=True)
    assert holm([0.04, 0.04]) == pytest.approx([0.08, 0.08])


def test_a_difference_nobody_can_doubt_has_p_near_0_and_none_has_p_near_1() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0.0, 0.1, 4_000)
    assert difference(np.append(0.5, 0.5 + noise)).p < 1e-5
    assert difference(np.append(0.196, 0.196 + noise)).p == pytest.approx(0.05, abs=0.005)
    assert ratio(np.append(1.0, np.exp(noise))).p == 1.0
    assert ratio(np.append(1.0, np.exp(noise))).smallest == pytest.approx(np.exp(2.8 * 0.1), rel=0.05)
    assert np.isnan(estimate(np.append(1.0, noise)).p)


def test_a_gap_of_more_than_ten_points_blocks_and_the_gate_names_the_group_and_its_interval() -> None:
    found = audit(*exact(200, 200, 40, 100), **QUICK)
    assert found.groups[0].verdict == "block"
    gate = next(gate for gate in found.gates() if gate.name == "audit_recall_gap")
    gap = value(found, "recall_gap")
    assert (gate.passed, gate.value) == (False, gap.value)
    assert gate.text.startswith(f"minority: recall against the others at 10 % is {gap.value:+.3f} (95 % {gap.low:+.3f}")
    assert not is_publishable(found.gates())
    assert json.loads(json.dumps([g._asdict() for g in found.gates()]))


def test_a_passed_gate_says_what_it_could_have_seen_and_whom_it_did_not_test() -> None:
    test, of = exact(200, 200, 60, 62)
    of["few"] = pd.array([i < 30 for i in range(len(test))], dtype="boolean")
    found = audit(test, of, **QUICK)
    gate = next(gate for gate in found.gates() if gate.name == "audit_recall_gap")
    assert gate.passed
    assert gate.decided
    assert f"the smallest that could be seen is {value(found, 'recall_gap').smallest:.2f}" in gate.text
    assert "not tested for want of outcomes: 1 group(s)" in gate.text


def test_the_same_gap_among_few_warns_and_among_fewer_says_nothing() -> None:
    def verdict(positives: int) -> tuple[str, str, list[str]]:
        found = audit(*exact(positives, 200, 0, 150), **QUICK)
        failed = [gate.name for gate in found.gates() if not gate.passed]
        return found.groups[0].verdict, found.groups[0].evidence, failed

    assert verdict(50)[:2] == ("block", "gates")
    assert verdict(49) == ("warn", "warns", [])
    assert verdict(19) == ("insufficient", "insufficient", [])
    assert [evidence_of(n) for n in (0, 19, 20, 49, 50)] == ["insufficient"] * 2 + ["warns"] * 2 + ["gates"]


def test_the_others_need_as_many_outcomes_as_the_group() -> None:
    test, of = exact(200, 12, 60, 3)
    assert audit(test, of, **QUICK).groups[0].verdict == "insufficient"


def test_without_a_group_large_enough_the_gates_stay_undecided_and_never_say_passed_for_good() -> None:
    gates = {gate.name: gate for gate in audit(*exact(30, 30, 9, 9), **QUICK).gates()}
    assert set(gates) == {"audit_recall_gap", "audit_observed_expected"}
    assert all((gate.passed, gate.decided, gate.value) == (True, False, None) for gate in gates.values())
    assert "insufficient evidence" in gates["audit_recall_gap"].text


def test_few_figures_of_a_small_group_are_told_and_none_of_a_very_small_one() -> None:
    test, of = exact(9, 200, 3, 60)
    of["tiny"] = pd.array([i < 9 for i in range(len(test))], dtype="boolean")
    group, tiny = audit(test, of, **QUICK).groups
    assert (group.households, group.positives, group.positive_households, group.findings) == (1_000, None, None, ())
    assert (tiny.households, tiny.positives) == (None, None)
    told = as_json(audit(test, of, **QUICK))
    assert [g["positives"] for g in told["groups"]] == [None, None]
    json.dumps(told, allow_nan=False)


BOUNDS = [
    ("recall_gap", Estimate(-0.10, -0.19, -0.01), "block"),
    ("recall_gap", Estimate(-0.10, -0.19, 0.00), "warn"),
    ("recall_gap", Estimate(-0.09, -0.099, -0.01), "warn"),
    ("recall_gap", Estimate(-0.04, -0.099, 0.01), None),
    ("recall_gap", Estimate(-0.04, -0.101, 0.01), "warn"),
    ("missed_ratio", Estimate(1.51, 1.01, 2.0), "block"),
    ("missed_ratio", Estimate(1.51, 0.99, 2.0), "warn"),
    ("missed_ratio", Estimate(1.50, 1.01, 2.0), "warn"),
    ("missed_ratio", Estimate(1.25, 1.01, 2.0), None),
    ("observed_expected", Estimate(1.34, 1.01, 1.6), "block"),
    ("observed_expected", Estimate(1.33, 1.01, 1.6), "warn"),
    ("observed_expected", Estimate(1.18, 1.01, 1.3), None),
    ("observed_expected", Estimate(0.74, 0.50, 0.99), "block"),
    ("observed_expected", Estimate(0.74, 0.50, 1.00), "warn"),
    ("observed_expected", Estimate(0.85, 0.50, 0.99), None),
    ("observed_expected_selected", Estimate(1.34, 1.01, 1.6), "block"),
    ("recall_over", Estimate(-0.05, -0.09, -0.01), "block"),
    ("recall_over", Estimate(-0.04, -0.09, -0.01), "warn"),
    ("recall_over", Estimate(0.00, -0.09, 0.05), None),
    ("abstention_ratio", Estimate(2.1, 1.5, 3.0), "block"),
    ("abstention_ratio", Estimate(2.0, 1.5, 3.0), "warn"),
    ("abstention_ratio", Estimate(1.5, 1.2, 3.0), None),
    ("data_gap_ratio", Estimate(9.0, 8.0, 9.9), "warn"),
    ("precision_ratio", Estimate(0.79, 0.5, 0.9), "warn"),
    ("precision_ratio", Estimate(0.80, 0.5, 0.9), None),
    ("random_arm", Estimate(-0.06, -0.09, -0.01), "block"),
    ("random_arm", Estimate(0.06, 0.01, 0.09), "block"),
    ("random_arm", Estimate(0.06, -0.01, 0.09), "warn"),
    ("random_arm", Estimate(0.05, 0.01, 0.09), None),
    ("random_arm_small", Estimate(0.30, 0.20, 0.40), "warn"),
]


@pytest.mark.parametrize(("measure", "figure", "level"), BOUNDS)
def test_each_bound_lies_where_it_is_said_to(measure: str, figure: Estimate, level: str | None) -> None:
    found = [Finding("minority", measure, 0.1, None, figure._replace(p=0.001))]
    if measure != "recall_gap":
        found.append(Finding("minority", "recall_gap", 0.1, None, Estimate(-0.05, -0.09, 0.01, 0.5)))
    concerns = {c.finding.measure: c.level for c in judged({"minority": ("gates", found)})["minority"]}
    assert concerns.get(measure) == level
    # The same beyond doubt in a small group, or in doubt for there being many, only warns.
    unsure = [Finding(*finding[:4], finding.estimate._replace(p=0.05)) for finding in found]
    for evidence, listed in (("warns", found), ("gates", unsure)):
        weaker = {c.finding.measure: c.level for c in judged({"minority": (evidence, listed)})["minority"]}
        assert weaker.get(measure) == (level and "warn")


def test_one_group_among_many_needs_stronger_evidence() -> None:
    test, of = exact(100, 900, 10, 190)
    alone = next(c for c in audit(test, of, **QUICK).groups[0].concerns if c.finding.measure == "recall_gap")
    rng = np.random.default_rng(1)
    for i in range(9):
        of[f"by chance {i}"] = pd.array(rng.random(len(test)) < 0.5, dtype="boolean")
    among = next(c for c in audit(test, of, **QUICK).groups[0].concerns if c.finding.measure == "recall_gap")
    assert among.p == pytest.approx(min(1.0, 10 * alone.p), rel=0.2)


def test_greater_need_alone_does_not_block() -> None:
    """The true probabilities leave more of a needier group unvisited, although they reach a larger share of it."""
    rng = np.random.default_rng(2)
    n = 12_000
    needy = rng.random(n) < 0.25
    probability = 1 / (1 + np.exp(-rng.normal(np.where(needy, -1.6, -3.2), 1.0)))
    test, _ = households(n)
    test = test.assign(probability=probability, outcome=(rng.random(n) < probability).astype(float))
    found = audit(test, column(needy), **QUICK)
    assert value(found, "missed_ratio").value > 1.5
    assert value(found, "recall_gap").value > 0.05
    assert found.groups[0].verdict == "ok"


def test_probabilities_that_are_wrong_for_a_group_block() -> None:
    test, of = households(8_000)
    inside = of["minority"].to_numpy(bool)
    for factor, blocked in ((1.0, False), (0.6, True), (1.6, True)):
        wrong = np.where(inside, np.minimum(test["probability"] * factor, 1.0), test["probability"])
        gates = {gate.name: gate for gate in audit(test.assign(probability=wrong), of, **QUICK).gates()}
        assert gates["audit_observed_expected"].passed is not blocked


def test_a_group_worse_off_than_with_the_rules_blocks() -> None:
    test, of = exact(200, 200, 60, 60)
    better = np.where((test["outcome"] == 1.0) & of["minority"], 0.9, test["probability"] / 2)
    gates = {gate.name: gate for gate in audit(test.assign(baseline_points=better), of, **QUICK).gates()}
    assert not gates["audit_against_rules"].passed
    assert "(points) at 10 %" in gates["audit_against_rules"].text
    # Simple models are not the practice so far.
    gates = {gate.name: gate for gate in audit(test.assign(baseline_all_logistic=better), of, **QUICK).gates()}
    assert "audit_against_rules" not in gates


def test_who_has_no_score_is_not_visited_and_their_visits_go_to_others() -> None:
    score, moments = np.array([0.9, 0.8, 0.7, 0.6]), np.zeros(4, np.int64)
    assert selected(score, moments, 0.5, np.array([False, True, True, True])).tolist() == [0.0, 1.0, 1.0, 0.0]
    test, of = exact(200, 200, 60, 60)
    silent = of["minority"].to_numpy(bool) & (np.arange(len(test)) < 300)
    found = audit(test.assign(abstained=silent), of, **QUICK)
    assert value(found, "recall").value < 0.05
    assert value(found, "abstention").value == 0.3
    assert value(found, "abstention_ratio").value == pytest.approx(2.0)


@pytest.mark.parametrize("has_reserve", [False, True])
def test_leaving_a_group_without_scores_blocks_unless_visits_are_kept_for_it(has_reserve: bool) -> None:
    test, of = households(6_000, member=0.3)
    rng = np.random.default_rng(5)
    silent = rng.random(len(test)) < np.where(of["minority"], 0.20, 0.01)
    found = audit(test.assign(abstained=silent), of, **QUICK, has_reserve=has_reserve)
    gate = next(gate for gate in found.gates() if gate.name == "audit_abstention")
    assert gate.passed is has_reserve
    assert any(c.finding.measure == "abstention_ratio" for c in found.groups[0].concerns)


@pytest.mark.parametrize(
    ("name", "has_reserve", "passed"),
    [
        ("silent", False, False),
        ("silent", True, True),
        ("minority", True, False),
    ],
)
def test_only_those_whom_the_data_see_badly_are_served_by_visits_kept_for_them(
    name: str, has_reserve: bool, passed: bool
) -> None:
    test, of = exact(200, 200, 40, 100)
    found = audit(test, of.rename(columns={"minority": name}), **QUICK, has_reserve=has_reserve)
    gate = next(gate for gate in found.gates() if gate.name == "audit_recall_gap")
    assert gate.passed is passed
    assert any(c.finding.measure == "recall_gap" for c in found.groups[0].concerns)


def test_recorded_outcomes_that_a_random_audit_contradicts_block() -> None:
    rng = np.random.default_rng(4)
    test, of = households(12_000, rate=0.15)
    in_arm = rng.random(len(test)) < 0.25
    weight = np.where(in_arm, 4.0, 0.0)
    found = audit(test.assign(audit_weight=weight), of, **QUICK)
    assert abs(value(found, "random_arm").value) < 0.05
    assert next(g for g in found.gates() if g.name == "audit_random_arm").passed
    # Outside the arm nobody looked at those with low scores.
    unseen = ~in_arm & (test["probability"] < 0.3)
    hidden = test.assign(audit_weight=weight, outcome=np.where(unseen, 0.0, test["outcome"]))
    found = audit(hidden, of, **QUICK)
    assert value(found, "random_arm").value < -0.05
    assert not next(g for g in found.gates() if g.name == "audit_random_arm").passed
    # A random audit of a few hundred warns at most.
    few = np.where(in_arm & (np.cumsum(in_arm) <= 400), 30.0, np.nan)
    small = audit(hidden.assign(audit_weight=few), of, **QUICK)
    assert "audit_random_arm" not in [gate.name for gate in small.gates()]
    assert value(small, "random_arm_small").value < -0.05
    assert "warn" in [c.level for c in small.groups[0].concerns if c.finding.measure == "random_arm_small"]


def test_unknown_membership_is_on_neither_side() -> None:
    test, of = exact(200, 200, 40, 100)
    unknown = of["minority"].copy()
    # Of the others, nothing is known of 50 who are affected and reached.
    reached = np.flatnonzero(~of["minority"] & (test["outcome"] == 1.0) & (test["probability"] == 0.9))
    unknown[reached[:50]] = pd.NA
    found = audit(test, unknown.to_frame(), **QUICK)
    assert value(found, "recall").value == pytest.approx(40 / 200)
    assert value(found, "recall_gap").value == pytest.approx(40 / 200 - 50 / 150)
    assert found.groups[0].households == 1_000


def test_groups_for_comparison_have_figures_and_no_verdict() -> None:
    found = audit(*exact(200, 200, 40, 100), **QUICK, report_only=("minority",))
    assert found.groups[0].verdict == "reference"
    assert value(found, "recall_gap").value < -0.1
    assert found.concerns == ()


def test_the_reserve_moves_visits_to_those_badly_seen_and_costs_what_it_costs() -> None:
    y = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    test = pd.DataFrame(
        {
            "household_id": [f"h{i}" for i in range(10)],
            "as_of": 0,
            "outcome": y,
            "probability": np.linspace(0.9, 0.1, 10),
            "baseline_points": [0, 0, 0, 0, 9, 5, 0, 0, 0, 0],
        }
    )
    badly_seen = np.isin(np.arange(10), (1, 4, 5))
    found = reserves(test, badly_seen, (0.2,), (0.0, 0.5))
    assert [(r.recall, r.recall_of_reserved) for r in found] == [(0.5, 0.5), (0.5, 0.5)]
    # One visit by probability; of the three badly seen, the rules send the other to the fifth household.
    found = reserves(test, np.isin(np.arange(10), (4, 5)), (0.2,), (0.0, 0.5))
    assert [(r.recall, r.recall_of_reserved) for r in found] == [(0.5, 0.0), (0.5, 1.0)]
    # Who is visited anyway leaves the reserve to the others.
    found = reserves(
        test.assign(baseline_points=[9, 0, 0, 0, 5, 0, 0, 0, 0, 0]), np.isin(np.arange(10), (0, 4)), (0.3,), (0.34,)
    )
    assert (found[0].recall, found[0].recall_of_reserved) == (0.75, 1.0)
    found = reserves(test.assign(abstained=np.arange(10) == 0), badly_seen, (0.2,), (0.0,))
    assert (found[0].recall, found[0].recall_of_reserved) == (0.5, pytest.approx(1 / 3))


def test_wrong_rows_are_refused_and_no_value_is_told() -> None:
    test, of = exact(60, 60, 20, 20)
    with pytest.raises(AuditRefused, match="one row of groups"):
        audit(test, of.iloc[1:], **QUICK)
    with pytest.raises(AuditRefused, match="outcome holds"):
        audit(test.assign(outcome=0.731), of, **QUICK)
    with pytest.raises(AuditRefused, match="probability holds") as refused:
        audit(test.assign(probability=1.731), of, **QUICK)
    assert "731" not in str(refused.value)


def test_there_is_nothing_to_audit_without_ten_affected_households() -> None:
    test, _ = exact(200, 200, 60, 60)
    assert nothing_to_audit(test) is None
    assert "no row has the outcome" in str(nothing_to_audit(test.assign(outcome=0.0)))
    nine = test.assign(outcome=(np.arange(len(test)) < 9).astype(float))
    assert "fewer than 10 households" in str(nothing_to_audit(nine))


def test_the_same_seed_gives_the_same_audit() -> None:
    rows = households(1_500)
    assert as_json(audit(*rows, **QUICK)) == as_json(audit(*rows, **QUICK))
    assert isinstance(audit(*rows, **QUICK).groups[0].findings[0], Finding)
