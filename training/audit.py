"""Whether some households are served worse than others: figures by group with intervals, and a verdict for each.

The programme assists, so the harm is to be missed. There is no single fairness score and no parity of selection: need
differs between groups. What a group is too small to show is said to be unknown, never passed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import catalogue
from features.dataset import Dataset
from features.history import History
from training.acceptance import Gate
from training.audit_figures import add_gaps_to_best, figures_of, row_weights, sides
from training.audit_groups import LOW_VISIBILITY, groups, record_quality, references
from training.audit_judgement import Concern, Evidence, Finding, Verdict, evidence_of, gates_of, judged, verdict_of
from training.audit_selection import Reserve, reserves
from training.audit_sums import Estimate, Sums
from training.baselines import BEST_TRIGGER, POINTS
from training.comparison import clusters_of
from training.evaluation import CAPACITY
from training.rows import dataset_history

RULES = (POINTS, BEST_TRIGGER, "champion")
RESAMPLES = 1_000
FEWEST_SHOWN = 10


class AuditRefused(ValueError):
    """The rows cannot be audited; the message says which column is wrong."""


@dataclass(frozen=True)
class GroupAudit:
    """One group. Counts of fewer than ten households are None; `households` counts those with a row, `positives` rows
    with the outcome and `positive_households` households with at least one."""

    name: str
    households: int | None
    positives: int | None
    positive_households: int | None
    evidence: Evidence
    is_reference: bool
    verdict: Verdict
    findings: tuple[Finding, ...]
    concerns: tuple[Concern, ...]

    def find(self, measure: str, capacity: float | None = None, against: str | None = None) -> Estimate | None:
        """The estimate of a measure, None where it was not measured."""
        for finding in self.findings:
            if (finding.measure, finding.capacity, finding.against) == (measure, capacity, against):
                return finding.estimate
        return None


@dataclass(frozen=True)
class Audit:
    """What was found about every group. `clusters` says what was drawn anew in each resample, `compared` which other
    lists the same groups were looked up in."""

    capacities: tuple[float, ...]
    rows: int
    households: int
    positives: int
    clusters: str
    n_clusters: int
    resamples: int
    seed: int
    groups: tuple[GroupAudit, ...]
    reserves: tuple[Reserve, ...] = ()
    compared: tuple[str, ...] = ()

    def gates(self) -> list[Gate]:
        """One gate for each measure that at least one group had enough positives for."""
        return gates_of(self.groups)

    def group(self, name: str) -> GroupAudit:
        """The group of that name."""
        return next(group for group in self.groups if group.name == name)

    @property
    def concerns(self) -> tuple[Concern, ...]:
        """Everything that blocks or warns, blocks first."""
        return tuple(sorted((c for group in self.groups for c in group.concerns), key=lambda c: c.level != "block"))


def audit(
    test: pd.DataFrame,
    of: pd.DataFrame,
    *,
    capacities: Sequence[float] = CAPACITY,
    baselines: Sequence[str] = RULES,
    seed: int,
    resamples: int = RESAMPLES,
    clusters: npt.ArrayLike | None = None,
    clustered_by: str = "household",
    report_only: Collection[str] = (),
    has_reserve: bool = False,
) -> Audit:
    """Audit judged rows (`household_id`, `as_of`, `outcome`, `probability` and, where known, `baseline_<name>`,
    `abstained`, `coverage`, `audit_weight`, `hazard`) by the groups of `audit_groups.groups`.

    At each moment the `capacities` (shares) highest probabilities are visited; abstained rows are not. `clusters` has
    one label a row, whole ones are drawn; households if not given. Groups in `report_only` have figures and no verdict.
    `audit_weight` is the inverse probability with which a row was drawn into a random audit, NaN where it was not.
    `has_reserve` says that visits are kept for households the data see badly or who have no score. Raises
    `AuditRefused`.
    """
    rows = _checked(test, of)
    household = pd.factorize(rows["household_id"])[0]
    known = [name for name in baselines if f"baseline_{name}" in rows]
    labels = household if clusters is None else np.asarray(clusters, object)
    names = [str(name) for name in of]
    masks = {f"{side} {name}": mask for name in names for side, mask in sides(of[name])}
    sums = Sums(row_weights(rows, capacities, known), masks, labels, resamples=resamples, seed=seed)
    evidence = {name: _evidence(rows, of[name], household) for name in names}
    drawn = rows["audit_weight"].gt(0.0).to_numpy() if "audit_weight" in rows else np.zeros(len(rows), np.bool_)
    arm = {name: _evidence(rows, of[name].where(drawn), household) for name in names}
    measured = {name: figures_of(name, sums, capacities, known, evidence[name], arm[name]) for name in names}
    add_gaps_to_best(measured, sums, capacities)
    tested = {name: (evidence[name], measured[name]) for name in names if name not in report_only}
    concerns = judged(tested, has_reserve=has_reserve)
    badly_seen = np.zeros(len(rows), np.bool_)
    for name in LOW_VISIBILITY:
        if name in of:
            badly_seen |= of[name].fillna(False).to_numpy(np.bool_)
    return Audit(
        capacities=tuple(capacities),
        rows=len(rows),
        households=int(household.max()) + 1,
        positives=int(rows["outcome"].sum()),
        clusters=clustered_by,
        n_clusters=sums.n_clusters,
        resamples=resamples,
        seed=seed,
        groups=tuple(
            _group(
                name,
                rows,
                of[name],
                household,
                evidence[name],
                measured[name],
                concerns.get(name, ()),
                is_reference=name in report_only,
            )
            for name in names
        ),
        reserves=tuple(_shown_reserves(rows, badly_seen, capacities, household)),
        compared=tuple(known),
    )


def nothing_to_audit(test: pd.DataFrame) -> str | None:
    """Why judged rows cannot be audited, None where they can."""
    if test.empty or not test["outcome"].sum():
        return "no row has the outcome; an audit needs outcomes that have come"
    if test.loc[test["outcome"] == 1.0, "household_id"].nunique() < FEWEST_SHOWN:
        return f"fewer than {FEWEST_SHOWN} households have the outcome; an audit of so few would point at them"
    return None


def study_audit(
    dataset: Dataset,
    test: pd.DataFrame,
    coverage: npt.ArrayLike,
    seed: int,
    *,
    history: History | None = None,
    capacities: Sequence[float] = CAPACITY,
    resamples: int = RESAMPLES,
    has_reserve: bool = True,
) -> Audit | None:
    """The audit of a study's test rows; None where `nothing_to_audit` gives a reason.

    `coverage` is the share of the model's weight that lies on known features, by row; `history` the dataset's events,
    encoded here if not given.
    What is drawn are townships where at least 20 are known, else households. The service puts
    households without a score on the list to be visited anyway, so `has_reserve` is true unless told otherwise.
    """
    if nothing_to_audit(test) is not None:
        return None
    if history is None:
        history = dataset_history(dataset, catalogue(dataset.meta.catalogue))
    of = groups(dataset, test, record_quality(history, test, coverage), history)
    rows = test.reset_index(drop=True).assign(coverage=np.asarray(coverage, np.float64))
    if "township" not in rows:
        township = dataset.households.drop_duplicates("household_id").set_index("household_id")["township"]
        rows["township"] = township.reindex(rows["household_id"]).to_numpy(object)
    clusters, clustered_by = clusters_of(rows)
    return audit(
        rows,
        of,
        capacities=capacities,
        seed=seed,
        resamples=resamples,
        clusters=clusters,
        clustered_by=clustered_by,
        report_only=references(of, dataset),
        has_reserve=has_reserve,
    )


def _checked(test: pd.DataFrame, of: pd.DataFrame) -> pd.DataFrame:
    if len(of) != len(test) or not len(test):
        raise AuditRefused(f"one row of groups a judged row is needed, not {len(of)} for {len(test)}")
    if not test["outcome"].isin([0.0, 1.0]).all():
        raise AuditRefused("outcome holds something other than 0 and 1; leave rows without an outcome out")
    if not test["probability"].between(0.0, 1.0).all():
        raise AuditRefused("probability holds something other than a number from 0 to 1")
    return test.reset_index(drop=True)


def _evidence(rows: pd.DataFrame, column: pd.Series, household: npt.NDArray[np.int64]) -> Evidence:
    """By the households with the outcome in the group and among the others, whichever are fewer."""
    y = rows["outcome"].to_numpy(np.float64) == 1.0
    return evidence_of(min(len(np.unique(household[mask & y])) for _, mask in sides(column)))


def _group(
    name: str,
    rows: pd.DataFrame,
    column: pd.Series,
    household: npt.NDArray[np.int64],
    evidence: Evidence,
    found: Sequence[Finding],
    concerns: Sequence[Concern],
    *,
    is_reference: bool,
) -> GroupAudit:
    (_, inside), _ = sides(column)
    y = rows["outcome"].to_numpy(np.float64) == 1.0
    households, positive = (len(np.unique(household[mask])) for mask in (inside, inside & y))
    return GroupAudit(
        name=name,
        households=_told(households, households),
        positives=_told(int((inside & y).sum()), positive),
        positive_households=_told(positive, positive),
        evidence=evidence,
        is_reference=is_reference,
        verdict=verdict_of(evidence, concerns, is_reference=is_reference),
        findings=tuple(found),
        concerns=tuple(concerns),
    )


def _told(count: int, households: int) -> int | None:
    return count if households >= FEWEST_SHOWN else None


def _shown_reserves(
    rows: pd.DataFrame, badly_seen: npt.NDArray[np.bool_], capacities: Sequence[float], household: npt.NDArray[np.int64]
) -> list[Reserve]:
    helped = badly_seen | (rows["abstained"].to_numpy(np.bool_) if "abstained" in rows else False)
    affected = np.unique(household[helped & (rows["outcome"].to_numpy(np.float64) == 1.0)])
    return reserves(rows, badly_seen, capacities) if evidence_of(len(affected)) != "insufficient" else []
