"""Is the bag worth its five members? AUC, visit list and reasons between two retrains, beside single models.

    python -m benchmarks.bag DIR [--label L] [--split household] [--test-until DATE] [--seeds 3] [--json]

Two retrains are meant in two ways. "seed": the same rows, another seed. "resampled": both learn from households drawn
anew with replacement, which stands for the same county one quarter on. Overlap is the share of the 10 % highest test
rows that both lists have; reasons agree by the three domains that raise a household's score most, among the highest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

from features.catalogue import Catalogue, catalogue
from features.dataset import read_dataset
from features.intake import admitted
from models.boosted import BoostedModel
from training.labels import label
from training.learning import PARAMETERS, learn
from training.moments import moments
from training.rows import dataset_history, labelled_rows, vectors_of
from training.sample import Sample
from training.splits import split

Grow = Callable[[Sample, int], BoostedModel]
TOP = 0.10


def ways(of: Catalogue) -> dict[str, Grow]:
    """What is compared: one model as people grow it, one of small trees, and the bag."""

    def single(learned: Sample, seed: int, **changed: Any) -> BoostedModel:
        parameters = {
            **PARAMETERS,
            "seed": seed,
            "monotone_constraints": [feature.direction.value for feature in of.features],
            **changed,
        }
        trees = round(np.mean(learn_bag(learned, seed).members))
        data = lgb.Dataset(learned.values, learned.outcome, feature_name=list(of.names), params=parameters)
        text = lgb.train(parameters, data, trees).model_to_string()
        return BoostedModel.from_text(text, of.names, np.isnan(learned.values).any(axis=0))

    def learn_bag(learned: Sample, seed: int) -> BoostedModel:
        return learn(learned.values, learned.outcome, learned.rows["household_id"], of.features, seed=seed).model

    return {
        "one, 31 leaves": lambda rows, seed: single(rows, seed, num_leaves=31, min_data_in_leaf=20, lambda_l2=0.0),
        "one, 8 leaves": single,
        "bag of five, 8 leaves": learn_bag,
    }


def resampled(sample: Sample, seed: int) -> Sample:
    """Households drawn with replacement; each draw is a household of its own."""
    rng = np.random.default_rng(seed)
    code, unique = pd.factorize(sample.rows["household_id"])
    by_household = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    drawn = rng.integers(len(unique), size=len(unique))
    positions = np.concatenate([by_household[k] for k in drawn])
    rows = sample.rows.iloc[positions].reset_index(drop=True)
    rows["household_id"] = np.repeat([f"{n}" for n in range(len(drawn))], [len(by_household[k]) for k in drawn])
    return Sample(sample.values[positions], rows)


def top(margins: np.ndarray) -> np.ndarray:
    """Positions of the highest rows."""
    return np.argsort(-margins, kind="stable")[: max(1, int(TOP * len(margins)))]


def leading_domains(model: BoostedModel, values: np.ndarray, of: Catalogue) -> np.ndarray:
    """The three domains that raise each row's score most, rows x domains as marks."""
    contributions, _ = model.contributions(values)
    groups = sorted({feature.group.value for feature in of.features})
    owner = np.array([groups.index(feature.group.value) for feature in of.features])
    sums = np.stack([contributions[:, owner == g].sum(axis=1) for g in range(len(groups))], axis=1)
    marks = np.zeros(sums.shape, bool)
    np.put_along_axis(marks, np.argsort(-sums, axis=1)[:, :3], True, axis=1)
    return marks


def compared(learns: Sample, asked: Sample, of: Catalogue, seed: int) -> dict[str, dict[str, float]]:
    """Figures of every way for one seed."""
    found = {}
    for name, grow in ways(of).items():
        first, second = grow(learns, 2 * seed), grow(learns, 2 * seed + 1)
        margins = [model.margins(asked.values) for model in (first, second)]
        anew = [grow(resampled(learns, 100 + 2 * seed + n), 2 * seed + n).margins(asked.values) for n in (0, 1)]
        lists, lists_anew = [set(top(m)) for m in margins], [set(top(m)) for m in anew]
        shown = np.array(sorted(lists[0]))
        known = shown[~(first.unlearned_unknowns(asked.values) | second.unlearned_unknowns(asked.values))[shown]]
        a, b = (leading_domains(model, asked.values[known], of) for model in (first, second))
        found[name] = {
            "auc": roc_auc_score(asked.outcome, margins[0]),
            "average_precision": average_precision_score(asked.outcome, margins[0]),
            "overlap_seed": len(lists[0] & lists[1]) / len(lists[0]),
            "overlap_resampled": len(lists_anew[0] & lists_anew[1]) / len(lists_anew[0]),
            "same_top_3_domains": float(((a & b).sum(axis=1) / (a | b).sum(axis=1)).mean()),
        }
    return found


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    for name in ("--label", "--train-until", "--test-from", "--test-until"):
        asked.add_argument(name)
    asked.add_argument("--split", default="time+household")
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    dataset = read_dataset(given.folder)
    of = catalogue(dataset.meta.catalogue)
    dataset = admitted(dataset, of)
    foreseen = label(given.label or dataset.meta.default_label, dataset)
    rows = labelled_rows(foreseen, dataset, moments(dataset.meta, until=given.test_until))
    divided = split(
        rows,
        kind=given.split,
        train_until=given.train_until,
        test_from=given.test_from,
        test_until=given.test_until,
        horizon_months=foreseen.horizon_months,
        time_zone=dataset.meta.time_zone,
        seed=1,
    )
    history = dataset_history(dataset, of)
    train, test = (
        Sample(vectors_of(history, part), part)
        for part in (rows[side].reset_index(drop=True) for side in (divided.train, divided.test))
    )
    by_seed = [compared(train, test, of, seed) for seed in range(1, given.seeds + 1)]
    mean = {
        name: {figure: float(np.mean([one[name][figure] for one in by_seed])) for figure in by_seed[0][name]}
        for name in by_seed[0]
    }
    if given.json:
        print(json.dumps({"rows": [len(train.rows), len(test.rows)], "seeds": given.seeds, "ways": mean}))
        return
    table = Table("model", "AUC", "AP", "list, seed", "list, resampled", "same 3 domains")
    for name, figures in mean.items():
        table.add_row(name, *(f"{value:.3f}" for value in figures.values()))
    Console().print(f"{len(train.rows):,} training rows, {len(test.rows):,} test rows, mean of {given.seeds} seeds")
    Console().print(table)


if __name__ == "__main__":
    main()
