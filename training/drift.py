"""Whether a model in use still fits the households it reads: what they look like, and what became of them.

Two kinds of evidence. Without outcomes, at once: are the features, the unknown shares and the scores as they were in
training? With outcomes, a horizon later: does "8 of 100" still mean 8 of 100? Only the second kind may propose a
recalibration, and only a person may accept it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2

from models.profile import Bins, Profile, index
from training.drift_findings import (
    VERDICTS,
    Changed,
    Finding,
    Season,
    Verdict,
    abstained_finding,
    feature_finding,
    is_off,
    level_finding,
    score_finding,
    season_finding,
    slope_finding,
    unknown_finding,
)
from training.evaluation import evaluate
from training.level import Level, levels, month, of_moments, quarter
from training.resampling import RESAMPLES, Ids

Floats = npt.NDArray[np.float64]

LATEST_QUARTERS = 4
FEWEST_FOR_SLOPE = 100
CHANCE = 0.999


class DriftRefused(ValueError):
    """Rows cannot be watched; the message says which column and what is needed."""


@dataclass(frozen=True)
class Drift:
    """Everything found; free of household identifiers and of counts below ten households.

    `by_quarter` are the quarters with outcomes, `latest` the last four of them together, `slope` that of the
    calibration there. `features` come in the order of the catalogue; `score_shares` are the shares of the scores in
    the bins of training, then and now.
    """

    moments: tuple[str, str]
    rows: int
    recent_rows: int
    features: tuple[Changed, ...]
    score: Changed
    score_shares: tuple[tuple[float, ...], tuple[float, ...]]
    season: Season | None
    by_quarter: tuple[Level, ...]
    latest: Level | None
    slope: float | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The most serious of the findings."""
        return max((finding.verdict for finding in self.findings), key=VERDICTS.index)

    @property
    def may_propose(self) -> bool:
        """Whether the level is off by more than chance, so that a recalibration may be proposed."""
        level = self.latest
        return level is not None and is_off(level)


def drift(
    profile: Profile,
    rows: pd.DataFrame,
    recent_values: Floats,
    *,
    importance: Floats,
    time_zone: str,
    clusters: Ids | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Drift:
    """Compare watched rows with training.

    `rows` have household_id, as_of (microseconds), probability, outcome (NaN where it is not known yet), `recent`
    (bool: the rows whose vectors are `recent_values`, in the same order) and, where known, `abstained`: such rows count
    for the features, and for nothing that is about scores. `clusters` are the ids of what is drawn in the bootstrap,
    households if not given.
    """
    _refuse_unfit(profile, rows, recent_values, importance)
    rows = rows.reset_index(drop=True)
    recent = rows[rows["recent"]]
    abstained = rows["abstained"].astype(bool) if "abstained" in rows else pd.Series(False, index=rows.index)
    scored = rows[~abstained]
    chance_n = (recent["household_id"].nunique(), profile.households)
    weight = importance / max(float(importance.sum()), 1e-300)
    features = tuple(
        _changed(name, bins, column, float(share), chance_n)
        for name, bins, column, share in zip(profile.names, profile.features, recent_values.T, weight, strict=True)
    )
    score = _changed("score", profile.score, _scores(recent, scored), 1.0, chance_n)
    season = _season(profile, scored, time_zone)
    whose = rows["household_id"] if clusters is None else pd.Series(list(clusters), index=rows.index, dtype=object)
    by_quarter, latest, slope = _outcomes(scored, whose, time_zone, resamples, seed)
    first, last = (month(int(moment), time_zone) for moment in (rows["as_of"].min(), rows["as_of"].max()))
    findings = [
        level_finding(latest),
        slope_finding(slope),
        score_finding(score),
        feature_finding(features),
        unknown_finding(features, chance_n),
        season_finding(season),
        abstained_finding(profile, recent),
    ]
    return Drift(
        (first, last),
        len(rows),
        len(recent),
        features,
        score,
        (
            tuple(profile.score.expected[:-1].tolist()),
            tuple(profile.score.cells(_scores(recent, scored))[:-1].tolist()),
        ),
        season,
        tuple(by_quarter),
        latest,
        slope,
        tuple(finding for finding in findings if finding is not None),
    )


def latest_rows(rows: pd.DataFrame, time_zone: str) -> pd.DataFrame:
    """The rows with outcomes of the last four quarters that have any: what a recalibration is learned from."""
    known = rows[rows["outcome"].notna()]
    of_row = of_moments(known["as_of"], quarter, time_zone)
    return known[of_row.isin(sorted(of_row.unique())[-LATEST_QUARTERS:])]


def _outcomes(
    rows: pd.DataFrame, whose: pd.Series, time_zone: str, resamples: int, seed: int
) -> tuple[list[Level], Level | None, float | None]:
    known = rows[rows["outcome"].notna()]
    if known.empty:
        return [], None, None
    period = of_moments(known["as_of"], quarter, time_zone)
    by_quarter = levels(known, period.tolist(), whose[known.index], resamples=resamples, seed=seed)
    recent = latest_rows(rows, time_zone)
    spans = sorted(set(period[recent.index]))
    name = spans[0] if len(spans) == 1 else f"{spans[0]} to {spans[-1]}"
    (latest,) = levels(recent, [name] * len(recent), whose[recent.index], resamples=resamples, seed=seed)
    slope = None
    if latest.affected is not None and latest.affected >= FEWEST_FOR_SLOPE:
        slope = evaluate(recent["outcome"], recent["probability"]).get("calibration_slope")
    return by_quarter, latest, slope


def _scores(recent: pd.DataFrame, scored: pd.DataFrame) -> Floats:
    return recent.loc[recent.index.isin(scored.index), "probability"].to_numpy(np.float64)


def _changed(name: str, bins: Bins, column: Floats, weight: float, n: tuple[int, int]) -> Changed:
    cells = len(bins.edges) + 1 + (bins.unknown != 0.0)
    # Under no change the index is about chi-squared over the numbers of independent rows; months of a household
    # repeat each other, so households count.
    chance = float(chi2.ppf(CHANCE, max(cells - 1, 1))) * (1.0 / max(n[0], 1) + 1.0 / n[1])
    return Changed(name, index(bins, column), chance, bins.unknown, float(np.isnan(column).mean()), weight)


def _season(profile: Profile, rows: pd.DataFrame, time_zone: str) -> Season | None:
    """The latest month against the same month a year before, from the watched rows or else from training."""
    of_row = of_moments(rows["as_of"], month, time_zone)
    means = rows.groupby(of_row)["probability"].agg(["mean", "size"])
    known = {str(name): float(mean) for name, mean, n in means.itertuples() if n >= 10}
    latest = str(of_row.max())
    year_ago = f"{int(latest[:4]) - 1:04d}{latest[4:]}"
    before = known.get(year_ago)
    if before is None and year_ago in profile.months:
        before = profile.months[year_ago].probability
    if before is None or latest not in known:
        return None
    return Season(latest, known[latest], before)


def _refuse_unfit(profile: Profile, rows: pd.DataFrame, recent_values: Floats, importance: Floats) -> None:
    missing = [c for c in ("household_id", "as_of", "probability", "outcome", "recent") if c not in rows]
    if missing:
        raise DriftRefused(f"the watched rows lack {', '.join(missing)}")
    if rows.empty or not rows["recent"].any():
        raise DriftRefused("there is no row to watch; choose other moments")
    if recent_values.shape != (int(rows["recent"].sum()), len(profile.names)):
        raise DriftRefused("the vectors are not those of the recent rows and of the profile's features")
    if len(importance) != len(profile.names):
        raise DriftRefused("there must be one importance per feature of the profile")
    if rows["probability"].isna().any():
        raise DriftRefused("a row has no probability; mark it as abstained and give what the model would have said")
    if "abstained" in rows and rows.loc[rows["recent"], "abstained"].astype(bool).all():
        raise DriftRefused("no recent row has a score; all are abstained from")


def as_json(found: Drift) -> dict[str, Any]:
    """The report for machines: `drift.v1`."""

    def level(one: Level) -> dict[str, Any]:
        ratio = None if one.ratio is None else [None if np.isnan(x) else float(x) for x in one.ratio]
        return {**asdict(one), "ratio": ratio}

    return {
        "schema": "drift.v1",
        "verdict": found.verdict,
        "findings": [asdict(finding) for finding in found.findings],
        "moments": list(found.moments),
        "rows": found.rows,
        "recent_rows": found.recent_rows,
        "latest": None if found.latest is None else level(found.latest),
        "by_quarter": [level(one) for one in found.by_quarter],
        "calibration_slope": found.slope,
        "season": None if found.season is None else asdict(found.season),
        "score": asdict(found.score) | {"shares": dict(zip(("then", "now"), found.score_shares, strict=True))},
        "features": [asdict(one) for one in found.features],
    }
