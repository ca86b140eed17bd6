"""Selection over time: regret, the simplest within the noise, and nothing but past rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from features.window import as_of_moment, month_ends, parsed
from training.sample import Candidate, Sample
from training.selection import Judged, Noise, SelectionRefused, Table, over_origins, selection
from training.splitter import TemporalSplitter

ZONE = "Asia/Shanghai"
Floats = npt.NDArray[np.float64]
HOUSES = np.array([f"h{i}" for i in range(400)], object)
OUTCOME = (np.arange(400) % 4 == 0).astype(float)


def forecast(outcome: Floats, wrong: int, first: int) -> Floats:
    """Probabilities that are right but for so many positives and as many negatives, counted from the first."""
    p = np.where(outcome == 1.0, 0.9, 0.1)
    for value in (0.0, 1.0):
        p[np.roll(np.flatnonzero(outcome == value), -first)[:wrong]] = 0.9 if value == 0.0 else 0.1
    return p


def table(wrong: dict[str, tuple[int | None, ...]], complexity: dict[str, int], metric: str = "brier") -> Table:
    """Per candidate, how many positives and negatives it gets wrong at each origin, other households than the next
    candidate; None where it could not learn."""
    judged = []
    for i in range(len(next(iter(wrong.values())))):
        right = {
            name: forecast(OUTCOME, number, 30 * j)
            for j, (name, numbers) in enumerate(wrong.items())
            if (number := numbers[i]) is not None
        }
        judged.append(Judged(f"20{i + 18}-12-31", OUTCOME, HOUSES, right))
    return Table(metric, complexity, judged)


def rows_by_name(found: Any) -> dict[str, dict[str, Any]]:
    return {row["candidate"]: dict(row) for row in found.rows}


def brier(wrong: int) -> float:
    return ((400 - 2 * wrong) * 0.01 + 2 * wrong * 0.81) / 400


def test_who_wins_once_and_loses_twice_is_not_chosen() -> None:
    found = selection(table({"steady": (10, 10, 10), "erratic": (5, 40, 40)}, {"steady": 2, "erratic": 1}))
    assert found.chosen == "steady"
    rows = rows_by_name(found)
    at_first, later = brier(10) - brier(5), brier(40) - brier(10)
    assert rows["steady"]["mean_regret"] == pytest.approx(at_first / 3)
    assert rows["steady"]["max_regret"] == pytest.approx(at_first)
    assert rows["erratic"]["mean_regret"] == pytest.approx(2 * later / 3)
    assert rows["erratic"]["max_regret"] == pytest.approx(later)
    assert rows["erratic"]["by_origin"] == pytest.approx([brier(5), brier(40), brier(40)])
    assert rows["steady"]["mean"] == pytest.approx(brier(10))
    assert rows["erratic"]["behind"] == pytest.approx((2 * later - at_first) / 3)
    assert rows["erratic"]["behind_low"] > 0.0 and not rows["erratic"]["within_noise"]
    assert [row["candidate"] for row in found.rows] == ["steady", "erratic"]


def test_the_simplest_within_the_noise_is_chosen_although_another_is_a_little_better() -> None:
    by_count = {"bag": (10, 11, 10), "single": (13, 10, 11), "constant": (60, 60, 60)}
    found = selection(table(by_count, {"bag": 5, "single": 1, "constant": 0}))
    assert found.chosen == "single"
    rows = rows_by_name(found)
    assert [rows[name]["within_noise"] for name in ("bag", "single", "constant")] == [True, True, False]
    assert rows["single"]["behind_low"] < 0.0 < rows["single"]["behind"] < rows["single"]["behind_high"]
    assert (rows["bag"]["behind"], rows["bag"]["behind_low"], rows["bag"]["behind_high"]) == (0.0, 0.0, 0.0)
    assert found.text.startswith(
        "Selected over time: single, at 3 origin(s) (2018-12-31, 2019-12-31, 2020-12-31), by brier. "
        "It is the simplest within the noise of bag, which has the lowest mean regret: 0.0040 behind on average, "
    )


def test_a_difference_that_is_no_noise_outweighs_simplicity() -> None:
    found = selection(table({"bag": (5, 5), "single": (30, 30)}, {"bag": 5, "single": 1}))
    assert found.chosen == "bag"
    assert found.text.endswith("It has the lowest mean regret, and no simpler candidate is within the noise of it.")


def test_equal_candidates_of_one_complexity_are_told_apart_by_regret_and_then_by_name() -> None:
    assert selection(table({"b": (9, 9), "a": (9, 9)}, {"b": 1, "a": 1})).chosen == "a"
    assert selection(table({"a": (10, 9), "b": (9, 9)}, {"a": 1, "b": 1})).chosen == "b"


@pytest.mark.parametrize("metric", ["average_precision", "auc", "log_loss", "brier", "recall_at_5pct"])
def test_better_means_higher_or_lower_as_the_metric_says(metric: str) -> None:
    found = selection(table({"worse": (50, 50), "better": (3, 3)}, {"worse": 0, "better": 1}, metric))
    assert found.chosen == "better"
    worse = rows_by_name(found)["worse"]
    first, second = (rows_by_name(found)[name]["by_origin"][0] for name in ("better", "worse"))
    assert worse["mean_regret"] == worse["max_regret"] == pytest.approx(abs(first - second)) and first != second


def test_the_noise_is_that_of_households_drawn_for_all_origins_together() -> None:
    rng = np.random.default_rng(5)
    outcomes = [(rng.random(300) < 0.3).astype(float) for _ in range(2)]
    ids = [rng.integers(0, 60, 300), rng.integers(30, 90, 300)]
    forecasts = [{"a": rng.random(300) * 0.5 + 0.4 * y, "b": rng.random(300) * 0.5 + 0.3 * y} for y in outcomes]
    judged = [Judged(str(i), outcomes[i], np.array([f"h{n}" for n in ids[i]], object), forecasts[i]) for i in range(2)]
    found = rows_by_name(selection(Table("average_precision", {"a": 1, "b": 1}, judged), Noise(150, seed=3, level=0.8)))
    # The same by repeating rows: households are numbered as they appear.
    everybody = list(dict.fromkeys([*ids[0], *ids[1]]))
    drawn, rng = [], np.random.default_rng(3)
    for _ in range(150):
        times = np.bincount(rng.integers(len(everybody), size=len(everybody)), minlength=len(everybody))
        count = dict(zip(everybody, times, strict=True))
        differences = []
        for y, who, p in zip(outcomes, ids, forecasts, strict=True):
            rows = np.repeat(np.arange(300), [count[n] for n in who])
            scores = [average_precision_score(y[rows], p[name][rows]) for name in ("a", "b")]
            differences.append(scores[0] - scores[1])
        drawn.append(np.mean(differences))
    best, other = ("a", "b") if found["a"]["mean_regret"] < found["b"]["mean_regret"] else ("b", "a")
    sign = 1.0 if best == "a" else -1.0
    low, high = np.quantile(sign * np.array(drawn), [0.1, 0.9])
    assert found[other]["behind_low"] == pytest.approx(low)
    assert found[other]["behind_high"] == pytest.approx(high)


def test_who_could_not_learn_at_every_origin_is_not_chosen_and_comes_last() -> None:
    found = selection(table({"new": (None, 1), "old": (20, 20)}, {"new": 0, "old": 1}))
    assert found.chosen == "old"
    assert [row["candidate"] for row in found.rows] == ["old", "new"]
    new = rows_by_name(found)["new"]
    assert (new["mean_regret"], new["behind_low"], new["within_noise"]) == (None, None, False)
    assert new["by_origin"] == [None, pytest.approx(brier(1))]
    assert rows_by_name(found)["old"]["mean_regret"] == pytest.approx((brier(20) - brier(1)) / 2)
    nobody = selection(table({"a": (None, 1), "b": (1, None)}, {"a": 0, "b": 1}))
    assert nobody.chosen is None and "no candidate could learn at every origin" in nobody.text
    assert selection(table({"a": (None,)}, {"a": 0})).chosen is None


def test_without_an_origin_nothing_is_chosen_and_the_text_says_why() -> None:
    found = selection(Table("auc", {"a": 0}, [], ["3 without rows on both sides"]))
    assert (found.chosen, found.rows) == (None, ())
    assert found.text == (
        "No model was selected over time: no origin can be used; left out: 3 without rows on both sides."
    )
    assert Table("auc", {"a": 0}, []).rows.empty


def test_it_tells_in_json_without_naming_a_household_or_counting_few() -> None:
    few = np.where(np.arange(400) < 9, 1.0, 0.0)
    judged = [Judged("2020-12-31", few, HOUSES, {"a": forecast(few, 1, 0)})]
    found = selection(Table("auc", {"a": 0}, judged))
    assert found.origins == ({"origin": "2020-12-31", "n": 400, "positives": "fewer than 10"},)
    said = json.dumps([found.rows, found.origins, found.text])
    assert not any(f'"{house}"' in said for house in HOUSES)


# Over origins, with made-up candidates on rows of households at months.


def months(first: str, until: str, n: int = 120, step: int = 3) -> pd.DataFrame:
    grid = month_ends(parsed(first, ZONE), as_of_moment(until, ZONE), step, ZONE)
    rows = pd.DataFrame([(f"h{i}", at) for i in range(n) for at in grid], columns=["household_id", "as_of"])
    rng = np.random.default_rng(1)
    return rows.assign(outcome=(rng.random(len(rows)) < 0.3).astype(float))


def sample(rows: pd.DataFrame) -> Sample:
    """The first column gives the outcome away, the second is the row's position."""
    return Sample(np.column_stack([rows["outcome"], np.arange(len(rows), dtype=float)]), rows)


def oracle(learned: Sample, asked: Sample, seed: int) -> Floats:
    return 0.1 + 0.8 * asked.values[:, 0]


def level(learned: Sample, asked: Sample, seed: int) -> Floats:
    return np.full(len(asked.values), learned.outcome.mean())


def splitter(**asked: Any) -> TemporalSplitter:
    return TemporalSplitter(**({"time_zone": ZONE, "origins": 3} | asked))


def seen_by(candidates: Callable[..., Any], of: Sample, **how: Any) -> list[tuple[Sample, Sample]]:
    seen: list[tuple[Sample, Sample]] = []

    def watching(learned: Sample, asked: Sample, seed: int) -> Floats:
        seen.append((learned, asked))
        return candidates(learned, asked, seed)

    over_origins([Candidate("watching", 0, watching)], of, splitter(), seed=1, **how)
    return seen


def test_each_candidate_is_judged_at_each_origin_on_the_rows_of_the_splitter() -> None:
    of = sample(months("2017-03-31", "2020-12-31"))
    steps: list[tuple[int, int]] = []
    judged = over_origins(
        [Candidate("oracle", 3, oracle), Candidate("level", 0, level)],
        of,
        splitter(),
        seed=1,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert judged.rows.columns.tolist() == ["origin", "candidate", "value", "n", "positives"]
    folds = splitter().folds(of.rows)
    for fold, one in zip(folds, judged.judged, strict=True):
        assert one.origin == fold.description["origin"]
        assert one.outcome.tolist() == of.outcome[fold.test].tolist()
        rows = judged.rows[judged.rows["origin"] == one.origin]
        assert rows["value"].tolist() == pytest.approx([1.0, one.outcome.mean()])
        assert (rows["n"] == 120).all() and (rows["positives"] == one.outcome.sum()).all()
    assert selection(judged).chosen == "oracle"
    for (learned, asked), fold in zip(seen_by(level, of), folds, strict=True):
        assert learned.values[:, 1].astype(int).tolist() == fold.train.tolist()
        assert asked.values[:, 1].astype(int).tolist() == fold.test.tolist()


def test_too_many_rows_are_thinned_by_whole_households_whatever_their_order() -> None:
    rows = months("2016-03-31", "2020-12-31")
    whole, thinned = seen_by(level, sample(rows)), seen_by(level, sample(rows), most_rows=60)
    drawn: list[set[str]] = []
    for (all_learned, _), (learned, asked) in zip(whole, thinned, strict=True):
        assert 40 <= len(learned.rows) <= 60 and len(asked.rows) == 60
        kept = all_learned.rows[all_learned.rows["household_id"].isin(set(learned.rows["household_id"]))]
        assert kept["as_of"].tolist() == learned.rows["as_of"].tolist()
        drawn.append(set(asked.rows["household_id"]))
    assert drawn[0] == drawn[1] == drawn[2]
    shuffled = seen_by(level, sample(rows.sample(frac=1.0, random_state=1).reset_index(drop=True)), most_rows=60)
    assert [set(asked.rows["household_id"]) for _, asked in shuffled] == drawn
    # A household with more rows than fit is still taken whole.
    alone = seen_by(level, sample(rows), most_rows=30)[-1][0].rows
    assert alone["household_id"].nunique() >= 1 and len(alone) <= 30


def test_origins_that_cannot_be_used_are_named() -> None:
    rows = months("2019-03-31", "2020-12-31")
    found = over_origins([Candidate("level", 0, level)], sample(rows), splitter(origins=6), seed=1)
    assert len(found.judged) == 4
    assert found.left_out == ["2 without rows on both sides"]
    one_sided = rows.assign(outcome=np.where(rows["as_of"] > as_of_moment("2020-09-30", ZONE), 0.0, rows["outcome"]))
    found = over_origins([Candidate("level", 0, level)], sample(one_sided), splitter(), seed=1)
    assert found.left_out == ["2020-12-31 with one outcome only on a side"]
    assert "left out: 2020-12-31 with one outcome only on a side." in selection(found).text
    found = over_origins([Candidate("level", 0, level)], sample(rows[rows["household_id"] < "h12"]), splitter(), seed=1)
    assert not found.judged and "2020-12-31 with fewer than 30 test households" in found.left_out


def test_too_few_months_for_one_origin_give_a_selection_that_says_so() -> None:
    short = sample(months("2020-03-31", "2020-12-31"))
    found = selection(over_origins([Candidate("level", 0, level)], short, splitter(), seed=1))
    assert found.chosen is None
    assert found.text == (
        "No model was selected over time: no origin can be used; left out: 3 without rows on both sides."
    )


def test_a_candidate_that_refuses_an_origin_is_left_out_of_it_with_its_reason() -> None:
    def late(learned: Sample, asked: Sample, seed: int) -> Floats:
        if len(learned.rows) <= 1_200:
            raise ValueError("too few rows")
        return oracle(learned, asked, seed)

    of = sample(months("2017-03-31", "2020-12-31"))
    found = over_origins([Candidate("late", 0, late), Candidate("level", 1, level)], of, splitter(), seed=1)
    assert [dict(one.could_not) for one in found.judged] == [{"late": "too few rows"}, {}, {}]
    assert found.rows.query("candidate == 'late'")["value"].isna().tolist() == [True, False, False]
    assert selection(found).chosen == "level"


@pytest.mark.parametrize("wrong", [lambda a: np.full(len(a.rows), np.nan), lambda a: [0.5], lambda a: 2.0 + a.outcome])
def test_forecasts_that_are_no_probabilities_are_refused_by_the_candidates_name(wrong: Callable[..., Any]) -> None:
    bad = Candidate("bad", 0, lambda learned, asked, seed: wrong(asked))
    with pytest.raises(
        SelectionRefused, match="bad gave something else than one probability for each row at 2020-06-30"
    ):
        over_origins([bad], sample(months("2017-03-31", "2020-12-31")), splitter(), seed=1)


def test_candidates_without_or_with_the_same_name_are_refused() -> None:
    of = sample(months("2017-03-31", "2020-12-31"))
    for names in ([], ["a", "a"]):
        with pytest.raises(SelectionRefused, match="different names"):
            over_origins([Candidate(name, 0, level) for name in names], of, splitter(), seed=1)
