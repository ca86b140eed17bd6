"""The value of a source: what is lost without it, on the same rows, and never more than can be told from chance."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import average_precision_score

from features.dataset import Dataset, Moments, write_dataset
from features.history import history_of
from features.matrix import matrix
from features.tables import Tables
from tests.records import CORE, META, Row, at, dataset, event, household, member
from training.evaluation import reached, visits_at
from training.resampling import Interval
from training.sample import Sample
from training.source_commands import value
from training.source_report import as_json, figure, page, sentence, unread
from training.source_rows import SourceValueRefused, readers, sources_of, without
from training.source_value import Loss, SourceValue, SourceValues, source_values
from training.study import Plan

N = 600
HEALTH, SCHOOL, CIVIL, COURTS = "医保", "教育", "民政", "法院"
BILL, FEE = "inpatient_out_of_pocket_amount_12m", "education_fees_12m"
PLAN = Plan(split="household", seed=4)
META_2020 = dataclasses.replace(
    META,
    data_until="2022-12-31",
    moments=Moments("2020-06-30", "2020-06-30"),
    sources={HEALTH: (5, 30), SCHOOL: (5, 30), CIVIL: (5, 30), COURTS: (5, 30)},
)


def county(n: int = N) -> Dataset:
    """A large hospital bill makes dibao likely; schooling and courts have nothing to do with it."""
    rng = np.random.default_rng(2)
    events: list[Row] = []
    for i in range(n):
        name, bill = f"h{i:04}", float(rng.lognormal(8, 1))
        events.append(event("CLM//INPATIENT", "2020-03-01", value=round(bill, 2), household=name, person_id=f"p{i}"))
        if rng.random() < 0.5:
            events.append(event("EDU//ENROL", "2020-02-01", household=name, person_id=f"p{i}"))
        if rng.random() < 0.5:
            events.append(event("JUD//ENFORCED", "2020-02-01", value=900.0, household=name, person_id=f"p{i}"))
        if rng.random() < (0.6 if bill > 6_000 else 0.05):
            events.append(event("DB//ENTER", "2021-01-01", household=name, person_id=f"p{i}"))
    people = [member(f"p{i}", household=f"h{i:04}", born="1980-01-01") for i in range(n)]
    homes = [household(f"h{i:04}") | {"township": None} for i in range(n)]
    return dataset(events, people, homes, META_2020)


@pytest.fixture(scope="module")
def data() -> Iterator[Dataset]:
    yield county()


def by_bill(learned: Sample, asked: Sample, seed: int) -> np.ndarray:
    """Nothing learned: the bill by its size, and one half where it is unknown."""
    bill = asked.values[:, CORE.names.index(BILL)]
    return np.where(np.isnan(bill), 0.5, np.nan_to_num(bill) / 1e6)


def test_what_is_lost_is_the_difference_of_the_metrics_on_the_same_rows(data: Dataset) -> None:
    asked: list[Sample] = []

    def learn(learned: Sample, rows: Sample, seed: int) -> np.ndarray:
        asked.append(rows)
        return by_bill(learned, rows, seed)

    found = source_values(data, PLAN, learn=learn, capacity=(0.1,), repeats=1, resamples=50)
    health = next(one for one in found.sources if one.source == HEALTH)
    y, p = asked[0].outcome, by_bill(asked[0], asked[0], 0)
    recall = reached(y, p, visits_at(0.1, len(y))).expected / y.sum()
    blind = visits_at(0.1, len(y)) / len(y)
    assert found.metrics == ("recall_at_10pct", "average_precision")
    assert found.whole == pytest.approx({"recall_at_10pct": recall, "average_precision": average_precision_score(y, p)})
    lost = {metric: loss.interval.value for metric, loss in health.losses.items()}
    assert lost == pytest.approx(
        {"recall_at_10pct": recall - blind, "average_precision": average_precision_score(y, p) - y.mean()}
    )
    assert health.says("recall_at_10pct") == "adds"
    assert sentence(found).startswith("Without health insurance the recall at 10 % falls")


def test_outcomes_and_rows_stay_those_of_the_whole_data_even_without_the_office_that_decides(data: Dataset) -> None:
    seen: list[Sample] = []

    def learn(learned: Sample, asked: Sample, seed: int) -> np.ndarray:
        seen.append(asked)
        return by_bill(learned, asked, seed)

    found = source_values(data, PLAN, learn=learn, repeats=1, resamples=20)
    assert len(seen) >= 3
    assert found.positives >= 10
    for sample in seen:
        assert sample.rows["household_id"].tolist() == seen[0].rows["household_id"].tolist()
        assert np.array_equal(sample.outcome, seen[0].outcome)


def test_a_source_that_no_feature_reads_is_said_so_and_not_learned_again(data: Dataset) -> None:
    times: list[int] = []

    def learn(learned: Sample, asked: Sample, seed: int) -> np.ndarray:
        times.append(seed)
        return by_bill(learned, asked, seed)

    found = source_values(data, PLAN, learn=learn, repeats=2, resamples=20)
    courts = next(one for one in found.sources if one.source == COURTS)
    assert courts.losses == {}
    assert courts.says("average_precision") == "no feature reads it"
    assert courts.features == 0
    assert "courts" in unread(found)
    learned_again = [one for one in found.sources if one.losses]
    assert times == [4, 5] * (1 + len(learned_again))


def test_the_default_trees_find_the_source_that_matters_and_claim_nothing_for_the_others(data: Dataset) -> None:
    found = source_values(data, PLAN, resamples=200)
    says = {one.source: one.says("average_precision") for one in found.sources}
    assert says[HEALTH] == "adds"
    assert found.sources[0].source == HEALTH
    assert says[SCHOOL] in ("no measurable value here", "no feature reads it")
    again = source_values(data, PLAN, resamples=200)
    assert again == found


def test_a_source_that_is_not_connected_is_unknown_and_never_none() -> None:
    rows = [
        event("CLM//INPATIENT", "2020-03-01", value=500.0, household="h1", person_id="p of h1"),
        event("DIS//CERT_NEW", "2020-03-01", value=2.0, household="h2", person_id="p of h2"),
        event("CLM//INPATIENT", "2020-03-01", value=500.0, household="h2", person_id="p of h2"),
    ]
    told = dataset(rows, meta=META_2020)
    tables = Tables.from_frames(told.events, told.members, told.households)

    def vectors(tables: Tables, catalogue: object) -> dict[str, np.ndarray]:
        found = matrix(history_of(tables, catalogue, time_zone=META.time_zone), at("2020-06-30"))
        return {name: found.column(name) for name in ("disabled_members_ever", "inpatient_stays_12m")}

    whole = vectors(tables, CORE)
    assert whole["disabled_members_ever"].tolist() == [0.0, 1.0]
    kept, catalogue = without(tables, CORE, "残联")
    part = vectors(kept, catalogue)
    assert np.isnan(part["disabled_members_ever"]).all()
    assert part["inpatient_stays_12m"].tolist() == whole["inpatient_stays_12m"].tolist()
    assert catalogue.names == CORE.names
    assert kept.events.num_rows == 2
    assert "disabled_members_ever" in readers(tables, CORE, "残联")
    assert "inpatient_stays_12m" not in readers(tables, CORE, "残联")


def test_what_retraining_moves_widens_the_interval(data: Dataset) -> None:
    def shaky(learned: Sample, asked: Sample, seed: int) -> np.ndarray:
        noise = np.random.default_rng([seed, int(np.isnan(asked.values).sum())]).normal(0, 0.02, len(asked.values))
        return np.clip(by_bill(learned, asked, seed) + 0.3 + noise, 0, 1)

    steady = source_values(data, PLAN, learn=by_bill, repeats=2, resamples=50)
    moved = source_values(data, PLAN, learn=shaky, repeats=2, resamples=50)
    once = source_values(data, PLAN, learn=shaky, repeats=1, resamples=50)
    assert steady.retraining is not None
    assert moved.retraining is not None
    assert max(steady.retraining.values()) < 1e-12 < 1e-3 < moved.retraining["average_precision"]
    assert once.retraining is None
    assert "is not in the interval" in page(once, data.meta)


def test_an_interval_around_zero_is_no_measurable_value_and_says_how_small_a_loss_would_be_seen() -> None:
    around = Loss(Interval(0.001, -0.02, 0.03), 0.036)
    loss = {"recall_at_5pct": around, "average_precision": Loss(Interval(0.02, 0.01, 0.03), 0.014)}
    one = SourceValue("公安", "household register", 40, 3, loss)
    found = SourceValues(
        "L1", tuple(loss), 2, 900, 300, 30, "household", dict.fromkeys(loss, 0.3), dict.fromkeys(loss, 0.01), (one,)
    )
    assert around.says == "no measurable value here"
    assert Loss(Interval(-0.02, -0.03, -0.01), 0.014).says == "better without it here"
    assert sentence(found) == (
        "No single source has a measurable value by recall at 5 % here; losses below 3.6 points stay unnoticed."
    )
    text = page(found, META)
    assert "worthless" not in text
    assert (
        "| household register | 40 | 3 | +0.1 (-2.0 to +3.0) | +2.0* (+1.0 to +3.0) | no measurable value here | 3.6 |"
        in text
    )
    written = json.loads(json.dumps(as_json(found, META)))
    assert written["sources"][0]["losses"]["average_precision"] == {
        "value": 0.02, "low": 0.01, "high": 0.03, "detectable": 0.014
    }  # fmt: skip
    assert [label.get_text() for label in figure(found).axes[0].get_yticklabels()] == ["household register"]


def test_too_few_outcomes_and_a_single_source_are_refused(data: Dataset) -> None:
    few = data.events[(data.events["code"] != "DB//ENTER") | (data.events["household_id"] < "h0040")]
    with pytest.raises(SourceValueRefused, match=r"fewer than 10 (training|test) households have the outcome"):
        source_values(dataclasses.replace(data, events=few), PLAN, learn=by_bill)
    alone = dataset([event("CLM//INPATIENT", "2020-03-01", value=5.0)])
    with pytest.raises(SourceValueRefused, match="come from one source"):
        sources_of(Tables.from_frames(alone.events, alone.members, alone.households))


def test_the_command_prints_a_table_and_writes_three_files(data: Dataset, tmp_path: Path) -> None:
    folder, out = tmp_path / "county", tmp_path / "out"
    tables = {"events": data.events, "members": data.members, "households": data.households}
    write_dataset(folder, **tables, meta=data.meta)
    asked = [str(folder), "--split", "household", "--repeats", "1", "--capacity", "0.1", "--out", str(out)]
    told = CliRunner().invoke(value, asked, env={"COLUMNS": "80"})
    assert told.exit_code == 0, told.output
    assert "health insurance" in told.output
    shown = told.stdout.split("Without ")[0].split("No single ")[0]
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert sorted(path.name for path in out.iterdir()) == ["value.json", "value.md", "value.png"]
    everything = told.output + (out / "value.json").read_text("utf-8") + (out / "value.md").read_text("utf-8")
    assert "h00" not in everything
    as_machine = CliRunner().invoke(value, [*asked[:-2], "--json"])
    assert json.loads(as_machine.stdout) == json.loads((out / "value.json").read_text("utf-8"))
    refused = CliRunner().invoke(value, [str(folder), "--label", "L9"])
    assert refused.exit_code == 1
    assert "no label 'L9'" in refused.output
