"""A random audit arm: households drawn by lot and visited whatever any list says.

Needs are recorded where somebody looks. What the lists missed shows only in a sample whose chances are known: each
household of the county list has a known chance above 0 to be drawn, the ones no model can score included. With its
inverse as weight the sample speaks for the county (Horvitz and Thompson 1952; Hajek 1971). The draw follows from a hash
of the household's id, the moment and a seed, so that anybody who has the list can draw it again and see that nobody was
put in or left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.dataset import META_FILE, folder_digest, read_meta, read_table
from features.event import AUDIT_ARM
from features.window import Micros, from_micros, micros_of
from models.calibration import MIN_POSITIVES, Calibration, fit_calibration
from training.capacity import list_name, on_monthly_list, shares_checked
from training.evaluation import CAPACITY
from training.held_out import shares
from training.resampling import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EVERYBODY = "all"
UNKNOWN_STRATUM = "unknown"
RESAMPLES = 400
# A level from fewer positives says less than the model's own.
FEWEST_POSITIVES = 20


class ArmRefused(ValueError):
    """An audit arm cannot be drawn or used as asked; the message says which field and what to do."""


def draw_audit_arm(
    households: pd.DataFrame,
    *,
    drawn_at: Micros,
    seed: int,
    share: float | None = None,
    visits: int | None = None,
    strata: Sequence[str] = (),
) -> pd.DataFrame:
    """Draw `share` of the households, or `visits` of them, by lot within each stratum.

    `households` has `household_id`, each once, and the columns named in `strata`; leave out whoever is on a visit list
    already, and leave nobody out for want of data. Each stratum gives its share, at least one household. Columns of the
    answer: `household_id`, `drawn_at` (microseconds), `stratum`, `inclusion_probability` (the number drawn in the
    stratum through its size).

    >>> listed = pd.DataFrame({"household_id": [f"h{i}" for i in range(200)]})
    >>> arm = draw_audit_arm(listed, drawn_at=0, seed=1, share=0.03)
    >>> len(arm), set(arm["inclusion_probability"])
    (6, {0.03})
    """
    listed = households["household_id"]
    if listed.duplicated().any() or listed.isna().any():
        raise ArmRefused("household_id is missing in a row, or names a household twice; list each once")
    missing = [name for name in strata if name not in households]
    if missing:
        raise ArmRefused(f"the households have no column {', '.join(missing)}; choose other strata or none")
    number, names = pd.factorize(_strata(households, strata), sort=True)
    sizes = np.bincount(number, minlength=len(names))
    wanted = _wanted(sizes, share, visits)
    lot = shares(listed, f"audit-arm/{seed}/{drawn_at}")
    # The lowest numbers of each stratum are drawn.
    order = np.lexsort((listed.to_numpy(object).astype(str), lot, number))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    drawn = np.flatnonzero(place < wanted[number])
    arm = pd.DataFrame(
        {
            "household_id": listed.to_numpy(object)[drawn],
            "drawn_at": np.int64(drawn_at),
            "stratum": np.asarray(names, object)[number[drawn]],
            "inclusion_probability": (wanted / sizes)[number[drawn]],
        }
    )
    return arm.sort_values("household_id", kind="stable").reset_index(drop=True)


def keep_audit_arm(folder: Path, arm: pd.DataFrame) -> None:
    """Lay the arm (as drawn) beside the dataset's tables as `audit_arm.parquet`, after the draws that lie there.

    `dataset.json` gets the digest of the tables with it. Raises `ArmRefused` where the same moment was drawn before: a
    second draw for one moment would leave nobody with a known chance.
    """
    path, meta = folder / "audit_arm.parquet", read_meta(folder)
    added = _table(arm)
    if path.is_file():
        kept = read_table(folder, "audit_arm")
        if set(kept["drawn_at"].to_pylist()) & set(added["drawn_at"].to_pylist()):
            raise ArmRefused("audit_arm.parquet has a draw of this moment already; a moment is drawn once")
        added = pa.concat_tables([kept.cast(AUDIT_ARM), added])
    unfinished = folder / ".audit_arm.parquet"
    pq.write_table(added, unfinished, compression="zstd")
    unfinished.replace(path)
    if meta.digest:
        written = json.dumps(replace(meta, digest=folder_digest(folder)).as_json(), ensure_ascii=False, indent=2)
        (folder / f".{META_FILE}").write_text(written + "\n", encoding="utf-8")
        (folder / f".{META_FILE}").replace(folder / META_FILE)


def write_audit_arm(arm: pd.DataFrame, file: Path) -> None:
    """The arm as a file of its own: CSV where the name ends so, otherwise Parquet."""
    table = _table(arm)
    if file.suffix == ".csv":
        table.to_pandas().to_csv(file, index=False)
    else:
        pq.write_table(table, file, compression="zstd")


def inverse_probability_weights(rows: pd.DataFrame, arm: pd.DataFrame) -> Floats:
    """One weight a row: 1 through its inclusion probability for those in the arm, 0 for those whose outcome was left
    to chance.

    `rows` has household_id and as_of (microseconds) and, where lists were made, a bool column `selected`: whoever was
    visited for the list was sure to be looked at and has weight 1. A row belongs to the draw of its own moment. An arm
    drawn among the households off the list and the list then make up the county together.
    """
    drawn = arm.assign(as_of=_drawn_at(arm)).rename(columns={"inclusion_probability": "chance"})
    if not ((drawn["chance"] > 0.0) & (drawn["chance"] <= 1.0)).all():
        raise ArmRefused("inclusion_probability is not a number above 0 and up to 1; take the arm as it was drawn")
    if drawn.duplicated(["household_id", "as_of"]).any():
        raise ArmRefused("a household is twice in the draw of one moment; take the arm as it was drawn")
    left_out = sorted(set(rows["as_of"]) - set(drawn["as_of"]))
    if left_out:
        raise ArmRefused(f"{len(left_out)} of the rows' moments have no draw; judge at the moments of the arm")
    found = rows[["household_id", "as_of"]].merge(drawn, on=["household_id", "as_of"], how="left")
    weight = np.nan_to_num(1.0 / found["chance"].to_numpy(np.float64), nan=0.0)
    return np.where(rows["selected"].to_numpy(bool), 1.0, weight) if "selected" in rows else weight


def arm_estimates(
    rows: pd.DataFrame,
    weight: Floats,
    *,
    capacity: Sequence[float] = CAPACITY,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """What the weighted rows say of all rows, each figure with a 95 % interval from resampling households.

    `rows` are all households of the lists (household_id, as_of, probability, and `outcome` where the weight is not 0),
    `weight` is from `inverse_probability_weights`. `base_rate` divides by the weights (Hajek), `base_rate_total` by the
    number of rows (Horvitz-Thompson: unbiased, and more at the mercy of the lot); `observed_expected` compares with the
    probabilities of the same weighted rows; `recall_at_5pct` is the share of the affected that the lists would reach,
    each made anew at its moment from all rows, ties by expectation. What has no value (no positive in the sample) is
    left out.
    """
    counted = weight > 0.0
    y = np.where(counted, rows["outcome"].to_numpy(np.float64), 0.0)
    wrong = np.flatnonzero(~np.isin(y, (0.0, 1.0)))
    if len(wrong):
        raise ArmRefused(f"row {wrong[0]} has a weight and no outcome 0 or 1; an audited household needs its outcome")
    p, ones = rows["probability"].to_numpy(np.float64), np.ones(len(rows))
    columns = {"n": ones, "w": weight, "wy": weight * y, "wp": weight * p}
    ratios = {"base_rate": ("wy", "w"), "base_rate_total": ("wy", "n"), "observed_expected": ("wy", "wp")}
    for share in shares_checked(capacity):
        listed = on_monthly_list(p, rows["as_of"].to_numpy(np.int64), share)
        columns[list_name(share)] = weight * y * listed
        ratios[f"recall_at_{list_name(share)}"] = (list_name(share), "wy")
    sums = _resampled(columns, rows["household_id"], resamples, seed)
    drawn = {name: _ratio(sums[above], sums[below]) for name, (above, below) in ratios.items()}
    return {name: _interval(values) for name, values in drawn.items() if np.isfinite(values[0])}


def level_on_arm(margin: Floats, outcome: Floats, weight: Floats | None = None) -> Calibration:
    """The calibration from rows of a random arm alone, on margins of a model that did not learn from these rows.

    With at least 100 positives it is `fit_calibration`. With fewer the slope stays 1 and only the level is set, so that
    as many are foretold as were found: a model that learned from weighted or partly seen rows has a wrong level for
    certain, and one number needs few positives. Below 20 positives nothing is changed.
    """
    positives = int(outcome.sum())
    if not FEWEST_POSITIVES <= positives < min(MIN_POSITIVES, len(outcome)):
        return fit_calibration(margin, outcome, weight=weight)
    w = np.ones(len(outcome)) if weight is None else weight
    wanted, shift = float(w @ outcome), 0.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-(margin + shift)))
        # Newton's step on the log of the foretold number, which is nearly straight for rare outcomes.
        shift += float(np.log(wanted / (w @ p)) * (w @ p) / (w @ (p * (1.0 - p))))
    return Calibration(1.0, shift, len(outcome), positives)


def _strata(households: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.object_]:
    if not names:
        return np.full(len(households), EVERYBODY, dtype=object)
    words = [households[name].astype(object).where(households[name].notna(), UNKNOWN_STRATUM) for name in names]
    return np.array(["/".join(map(str, each)) for each in zip(*words, strict=True)], dtype=object)


def _wanted(sizes: Ints, share: float | None, visits: int | None) -> Ints:
    """How many to draw in each stratum: its share of them, at least one."""
    if (share is None) == (visits is None):
        raise ArmRefused("give either the share or the number of visits of the arm")
    total = int(sizes.sum())
    if not total:
        raise ArmRefused("there is no household to draw from")
    if share is not None and not 0.0 < share <= 1.0:
        raise ArmRefused("the share of the arm lies above 0 and up to 1")
    if visits is not None and not len(sizes) <= visits <= total:
        raise ArmRefused(f"{visits} visits for {len(sizes)} strata of {total:,} households; each stratum needs one")
    if share is not None:
        return np.asarray(np.maximum(1.0, np.floor(share * sizes + 0.5)), np.int64)
    assert visits is not None
    # One for each, the others by size, the largest remainders first.
    exact = (visits - len(sizes)) * (sizes - 1) / max(1, total - len(sizes))
    wanted = np.floor(exact + 1e-9).astype(np.int64)
    first = np.argsort(wanted - exact, kind="stable")[: visits - len(sizes) - int(wanted.sum())]
    wanted[first] += 1
    return np.asarray(wanted + 1, np.int64)


def _drawn_at(arm: pd.DataFrame) -> Ints:
    """Moments of the draws in microseconds, whether as drawn or as read from a dataset."""
    if pd.api.types.is_integer_dtype(arm["drawn_at"]):
        return np.asarray(arm["drawn_at"], np.int64)
    return micros_of(arm["drawn_at"])


def _table(arm: pd.DataFrame) -> pa.Table:
    moments = {moment: from_micros(moment) for moment in set(_drawn_at(arm).tolist())}
    written = arm.assign(drawn_at=[moments[moment] for moment in _drawn_at(arm).tolist()])
    return pa.Table.from_pandas(written[AUDIT_ARM.names], schema=AUDIT_ARM, preserve_index=False)


def _resampled(columns: Mapping[str, Floats], household_ids: pd.Series, resamples: int, seed: int) -> dict[str, Floats]:
    """The sum of each column, followed by its sums when whole households are drawn with replacement."""
    number, unique = pd.factorize(household_ids)
    n = len(unique)
    by_household = np.stack([np.bincount(number, column, n) for column in columns.values()], axis=1)
    rng = np.random.default_rng(seed)
    times = (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(resamples))
    sums = np.stack([by_household.sum(axis=0), *(each @ by_household for each in times)])
    return dict(zip(columns, sums.T, strict=True))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0.0), np.float64)


def _interval(values: Floats) -> Interval:
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))
