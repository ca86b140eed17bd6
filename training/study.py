"""One training study, without any tracker: data in; model, test rows, comparison, audit, gates and candidate out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import CORE, Catalogue, catalogue
from features.dataset import Dataset, read_dataset
from features.history import History
from features.intake import admitted
from models.bundle import GOLDEN_ROWS, Bundle
from models.certainty import Certainty
from models.similar import Similar
from models.tier import Bands
from models.wording import wording_of
from training.abstained import abstained
from training.acceptance import Gate, gates, is_publishable
from training.audit import Audit, nothing_to_audit, study_audit
from training.baselines import Baselines
from training.certainty import certainty_of
from training.challengers import ALL, CHAMPION, candidates, challengers, champion_probability
from training.comparison import METRICS, Comparison, clusters_of, comparisons
from training.evaluation import evaluate
from training.judged import judged_rows, regions
from training.labels import Label, label
from training.learning import Learned, learn
from training.metrics import headline_metrics
from training.moments import last_day, moments
from training.past_origins import selected
from training.rows import dataset_history, labelled_rows, vectors_of
from training.rule_scores import RulesLeftOut, rule_baselines
from training.sample import Sample
from training.search import TRIES
from training.selection import Selection
from training.similar import similar_households
from training.splits import Split, split

Floats = npt.NDArray[np.float64]
IMPORTANCE_ROWS = 4_000
COMPARED_BY = (*METRICS, "recall_at_10pct")
# Enough to place a household to a tenth of a percent, and too few to be anybody's score.
REFERENCE_SCORES = 1_001


@dataclass(frozen=True)
class Plan:
    """What the user asked for; `None` takes the dataset's own default. Dates are days whose end is the moment.

    `tries` is the budget of the search for settings, `origins` over how many past moments the candidates are compared
    for the selection; 0 leaves either out. `challengers` are those of `training.challengers.ALL` to compare with.
    """

    label: str | None = None
    train_until: str | None = None
    test_from: str | None = None
    test_until: str | None = None
    split: str = "time+household"
    seed: int = 1
    tries: int = TRIES
    origins: int = 3
    challengers: tuple[str, ...] = ALL


@dataclass(frozen=True)
class Study:
    """Everything a study found.

    `test` are the judged rows (`training.judged`); they stay on the user's machine. All else is free of household
    identifiers.
    `notes` say what was left out of the comparison or the audit, and why.
    """

    dataset: Dataset
    catalogue: Catalogue
    label: Label
    split: Split
    learned: Learned
    certainty: Certainty
    train_rows: int
    test: pd.DataFrame
    metrics: dict[str, float]
    baseline_metrics: dict[str, dict[str, float]]
    comparisons: list[Comparison]
    audit: Audit | None
    selection: Selection | None
    best_single_feature: str
    best_trigger: str | None
    gates: list[Gate]
    bands: Bands
    reference: Floats
    base_rate: float
    importance: Floats
    golden_values: Floats
    explained_values: Floats
    contributions: Floats
    similar: Similar
    train_until: str
    publication_lag_days: int
    notes: tuple[str, ...] = field(default=())

    @property
    def is_publishable(self) -> bool:
        """Whether every gate is passed."""
        return is_publishable(self.gates)


Progress = Callable[[str], Callable[[int, int], None]]
NO_PROGRESS: Progress = lambda stage: lambda done, total: None  # noqa: E731


def study(folder: Path, plan: Plan, progress: Progress | None = None, champion: Bundle | None = None) -> Study:
    """Run the study on a dataset folder. `progress(stage)` gives the bar of a stage; `champion` is the bundle in use,
    which is judged on the same rows and must not be behind."""
    bar = progress or NO_PROGRESS
    dataset = read_dataset(folder)
    chosen = catalogue(dataset.meta.catalogue)
    # Asked before the hours of training, not after them: a model that cannot be put into words is not made.
    wording_of(chosen)
    # An unknown challenger must not cost the time before it is asked.
    candidates(chosen.features, plan.challengers)
    dataset = admitted(dataset, chosen)
    foreseen = label(plan.label or dataset.meta.default_label, dataset)
    bar("Labels")(0, 1)
    rows, divided, lag_days, notes = _divided(dataset, foreseen, plan)
    bar("Labels")(1, 1)
    history = dataset_history(dataset, chosen)
    # From here on the history has them; kept twice, a register of events would not fit beside its vectors.
    dataset = replace(dataset, events=dataset.events.iloc[:0])
    train, test = rows[divided.train].reset_index(drop=True), rows[divided.test].reset_index(drop=True)
    learns = Sample(vectors_of(history, train, bar("Vectors (training)")), train)
    of_region = regions(dataset, train)
    learned = learn(
        learns.values,
        learns.outcome,
        train["household_id"],
        chosen.features,
        seed=plan.seed,
        regions=of_region,
        tries=plan.tries,
        progress=bar("Growing trees"),
    )
    sample = np.random.default_rng(plan.seed).permutation(len(train))[:IMPORTANCE_ROWS]
    contributions = learned.model.contributions(learns.values[sample])[0] * learned.calibration.slope
    importance = np.abs(contributions).mean(axis=0)
    certainty = certainty_of(
        learns.values,
        train,
        learned.held_out_margins,
        learned.calibration,
        names=chosen.names,
        members=learned.model.members,
        dataset=dataset,
        region=of_region,
    )
    asked = Sample(vectors_of(history, test, bar("Vectors (test)")), test)
    left_out = abstained(history, test, learned.model, importance, limits=certainty.limits, ranges=certainty.ranges)
    probability = learned.calibration.probability(learned.model.margins(asked.values), regions(dataset, test))
    compared, best_trigger = _challenged(folder, dataset, history, chosen, learns, asked, plan, champion, bar, notes)
    judged = judged_rows(test, probability, left_out, compared.probabilities, dataset)
    clusters, _ = clusters_of(judged)
    metrics = headline_metrics(judged, clusters, seed=plan.seed)
    baseline_metrics = {name: evaluate(judged["outcome"], told) for name, told in compared.probabilities.items()}
    against = comparisons(judged, COMPARED_BY, seed=plan.seed)
    audited = _audited(dataset, judged, plan, history, notes, bar)
    held_out = learned.calibration.probability(learned.held_out_margins, of_region)
    return Study(
        dataset=dataset,
        catalogue=chosen,
        label=foreseen,
        split=divided,
        learned=learned,
        certainty=certainty,
        train_rows=len(train),
        test=judged,
        metrics=metrics,
        baseline_metrics=baseline_metrics,
        comparisons=against,
        audit=audited,
        selection=selected(
            dataset,
            history,
            foreseen,
            rows,
            divided,
            origins=plan.origins,
            seed=plan.seed,
            which=plan.challengers,
            progress=bar("Selection over time"),
        )
        if plan.origins
        else None,
        best_single_feature=compared.best_single_feature,
        best_trigger=best_trigger,
        gates=gates(
            metrics,
            baseline_metrics,
            comparisons=against,
            audit=[] if audited is None else audited.gates(),
            abstention_share=float(judged["abstained"].mean()),
            champion=None if champion is None else champion.version,
        ),
        bands=Bands.from_scores(held_out),
        reference=np.quantile(held_out, np.linspace(0.0, 1.0, REFERENCE_SCORES)),
        base_rate=float(learns.outcome.mean()),
        importance=importance,
        golden_values=_golden(learns.values, plan.seed),
        explained_values=learns.values[sample],
        contributions=contributions,
        similar=similar_households(chosen, learns.values, train, learns.values[sample], contributions),
        train_until=last_day(int(train["as_of"].max()), dataset.meta),
        publication_lag_days=lag_days,
        notes=tuple(notes),
    )


def _divided(dataset: Dataset, foreseen: Label, plan: Plan) -> tuple[pd.DataFrame, Split, int, list[str]]:
    """The labelled rows in their canonical order, which side each is on, the publication lag, and what is to note."""
    grid = moments(dataset.meta, until=plan.test_until)
    rows = labelled_rows(foreseen, dataset, grid)
    lag_days, notes = foreseen.publication_lag_days(dataset), []
    is_set = plan.train_until is not None and plan.test_from is not None and "time" in plan.split
    if is_set and lag_days:
        notes.append(
            f"both ends of the gap were given: outcomes of the last {lag_days} days before the first test moment may "
            "not have been on record then"
        )
    divided = split(
        rows,
        kind=plan.split,
        train_until=plan.train_until,
        test_from=plan.test_from,
        test_until=plan.test_until,
        horizon_months=foreseen.horizon_months,
        publication_lag_days=0 if is_set else lag_days,
        time_zone=dataset.meta.time_zone,
        seed=plan.seed,
    )
    return rows, divided, lag_days, notes


def _challenged(
    folder: Path,
    dataset: Dataset,
    history: History,
    of: Catalogue,
    learns: Sample,
    asked: Sample,
    plan: Plan,
    champion: Bundle | None,
    bar: Progress,
    notes: list[str],
) -> tuple[Baselines, str | None]:
    """Probabilities of every challenger on the test rows, and the trigger that was the best in training."""
    compared = challengers(learns, asked, of.features, plan.seed, bar("Challengers"), plan.challengers)
    found, best_trigger = dict(compared.probabilities), None
    if of.name == CORE:
        try:
            by_rules = rule_baselines(history, learns.rows, asked.rows, bar("Rules"))
            best_trigger = by_rules.best_trigger
            found |= by_rules.probabilities
        except RulesLeftOut as why:
            notes.append(f"not compared with the rules: {why}")
    if champion is not None:

        def values_of(theirs: Catalogue) -> Floats:
            if theirs.digest == of.digest:
                return asked.values
            return vectors_of(dataset_history(admitted(read_dataset(folder), theirs), theirs), asked.rows)

        said = champion_probability(champion, values_of, regions(dataset, asked.rows))
        found[CHAMPION] = said.probability
        notes.append(
            f"the model in use is {champion.name} {champion.version}; it may have learned from test households"
        )
        if said.n_at_base_rate:
            notes.append(f"it could not score {said.n_at_base_rate / len(asked.rows):.1%} of the rows (its base rate)")
    return replace(compared, probabilities=found), best_trigger


def _audited(
    dataset: Dataset,
    judged: pd.DataFrame,
    plan: Plan,
    history: History,
    notes: list[str],
    bar: Progress,
) -> Audit | None:
    why_not = nothing_to_audit(judged)
    if why_not is not None:
        notes.append(f"not audited: {why_not}")
        return None
    advance = bar("Fairness audit")
    advance(0, 1)
    found = study_audit(dataset, judged, judged["coverage"], plan.seed, history=history)
    advance(1, 1)
    return found


def _golden(values: Floats, seed: int) -> Floats:
    """Rows that test a model file and describe nobody: every column drawn from another household."""
    rng = np.random.default_rng(seed)
    return np.stack([column[rng.integers(0, len(column), GOLDEN_ROWS)] for column in values.T], axis=1)
