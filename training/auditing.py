"""A published bundle audited on a dataset: the same rows as `training.judging`, each with how much of it was known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.catalogue import CORE
from features.dataset import DatasetRefused, read_dataset
from features.history import History, visible
from features.intake import admitted
from features.matrix import matrix_of
from features.rules.pack import PackNotInForce
from features.rules.rulebook import rulebook
from models.bundle import Bundle, read_bundle
from models.data_quality import DataQuality
from models.handling import PLAIN
from models.scores import Scores
from training.audit import Audit, nothing_to_audit, study_audit
from training.audit_sums import Floats
from training.labels import label as label_of
from training.moments import last_day, moments
from training.rows import dataset_history, labelled_rows
from training.rule_scores import rule_scores

Progress = Callable[[str], Callable[[int, int], None]]


def bundle_audit(
    bundle_folder: Path,
    folder: Path,
    *,
    label: str | None,
    since: str | None,
    until: str | None,
    capacities: Sequence[float],
    seed: int,
    has_reserve: bool = True,
    progress: Progress | None = None,
) -> tuple[Audit, str]:
    """The audit of a bundle on every labelled row from `since` to `until`, and a title for it.

    Who would get no score in service counts as not visited; `has_reserve` is as in `study_audit`. The
    points of the rules are the practice it is compared with, on datasets of the core catalogue. Refused when the
    dataset's catalogue or currency is not the bundle's, or nobody has the outcome.
    """
    bar = progress or (lambda stage: lambda done, total: None)
    bundle = read_bundle(bundle_folder)
    dataset = read_dataset(folder)
    bundle.refuse_foreign(dataset.meta)
    dataset = admitted(dataset, bundle.catalogue)
    foreseen = label_of(label or bundle.label, dataset)
    rows = labelled_rows(foreseen, dataset, moments(dataset.meta, since=since, until=until))
    why_not = nothing_to_audit(rows)
    if why_not is not None:
        raise DatasetRefused(f"{why_not}; choose earlier moments, more households or another label")
    history = dataset_history(dataset, bundle.catalogue)
    scored, coverage = _scored(bundle, history, rows, bar("Vectors"))
    scored = _with_points(scored, history, bar("Rules"))
    bar("Resampling")(0, 1)
    found = study_audit(
        dataset, scored, coverage, seed, history=history, capacities=capacities, has_reserve=has_reserve
    )
    bar("Resampling")(1, 1)
    assert found is not None
    days = [last_day(int(moment), dataset.meta) for moment in (rows["as_of"].min(), rows["as_of"].max())]
    return found, f"{bundle.name} {bundle.version}, {dataset.meta.name}, {foreseen.name}, {days[0]} to {days[1]}"


def _scored(
    bundle: Bundle, history: History, rows: pd.DataFrame, progress: Callable[[int, int], None]
) -> tuple[pd.DataFrame, Floats]:
    """The rows with `probability` and `abstained`, and the coverage of each."""
    household = np.array([history.index[name] for name in rows["household_id"]], np.int64)
    as_of = rows["as_of"].to_numpy(np.int64)
    probability, coverage = np.empty(len(rows)), np.empty(len(rows))
    abstained = np.zeros(len(rows), np.bool_)
    found = np.unique(as_of)
    for done, moment in enumerate(found):
        wanted = np.flatnonzero(as_of == moment)
        seen = visible(history, int(moment))
        vectors = matrix_of(history, seen)
        quality = DataQuality(bundle, vectors.unknown)
        here = household[wanted]
        margins = bundle.model.margins(vectors.values[here])
        probability[wanted] = bundle.calibration.probability(margins, history.region[here])
        coverage[wanted] = np.array(quality.coverage)[here]
        against = Scores(bundle, history, seen, vectors, PLAIN, quality).abstentions
        abstained[wanted] = np.array([bool(codes) for codes in against], np.bool_)[here]
        progress(done + 1, len(found))
    return rows.assign(probability=probability, abstained=abstained), coverage


def _with_points(rows: pd.DataFrame, history: History, progress: Callable[[int, int], None]) -> pd.DataFrame:
    """The rows with the rules' points as a list to compare with, where rules can be asked about all of them."""
    if history.catalogue.name != CORE:
        return rows
    try:
        scores = rule_scores(history, rows, rulebook(), progress)
    except PackNotInForce:
        return rows
    return rows.assign(baseline_points=scores.points) if scores.is_ruled.all() else rows
