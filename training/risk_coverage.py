"""What leaving households without a score buys and costs: risk against coverage, and headline numbers without excuses.

Whoever abstains from the difficult looks better on the rest. So a household without a score counts as not selected: an
affected one is missed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models.abstention import ABSTAINING
from training.abstained import CODE
from training.evaluation import CAPACITY, reached, visits_at

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

POINTS = 40
# Smaller groups could point at somebody and prove nothing.
FEWEST = 10
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#595959"


def headline(test: pd.DataFrame, capacity: Sequence[float] = CAPACITY) -> dict[str, float]:
    """Metrics of the test rows (`outcome`, `probability`, `abstained`) with the abstained counted as not selected.

    `headline_recall_at_5pct` and `headline_precision_at_5pct` spend the visits of all rows; those that no scored row
    uses reach nobody. `abstention_share` and `abstained_share_of_positives` are shares of the rows and of the affected
    ones, `scored_observed_expected` is of the scored rows. What cannot be computed is left out.

    >>> rows = pd.DataFrame({"outcome": [1.0, 1.0, 0.0, 0.0], "probability": [0.9, 0.8, 0.2, 0.1],
    ...                      "abstained": [True, False, False, False]})
    >>> found = headline(rows, capacity=(0.5,))
    >>> found["headline_recall_at_50pct"], found["abstained_share_of_positives"]
    (0.5, 0.5)
    """
    outcome, probability = test["outcome"].to_numpy(np.float64), test["probability"].to_numpy(np.float64)
    scored = ~test["abstained"].to_numpy(bool)
    positives = float(outcome.sum())
    found = {"abstention_share": float(1.0 - scored.mean())}
    if positives:
        found["abstained_share_of_positives"] = float(outcome[~scored].sum()) / positives
    if probability[scored].sum() > 0.0:
        found["scored_observed_expected"] = float(outcome[scored].sum() / probability[scored].sum())
    for share in capacity:
        name, visits = f"{100 * share:g}pct".replace(".", "_"), visits_at(share, len(test))
        hits = _hits(outcome[scored], probability[scored], visits)
        found[f"headline_precision_at_{name}"] = hits / visits
        if positives:
            found[f"headline_recall_at_{name}"] = hits / positives
    return found


def risk_coverage(
    test: pd.DataFrame, certainty: npt.ArrayLike, *, capacity: float = 0.10, points: int = POINTS
) -> pd.DataFrame:
    """Recall and level if only the most certain rows were scored, from few of them to all.

    `certainty` is one number a row, higher where the model is surer (the share known, or the interval's width with a
    minus sign); equal ones are scored together. Columns: `coverage` (share of the rows scored), `certainty` (the lowest
    of the scored), `recall` and `precision` at the `capacity` of all rows with everybody else counted as not selected,
    and `observed_expected` of the scored (NaN where nothing is expected). Fewer than 10 scored or abstained households
    are not told.
    """
    outcome, probability = test["outcome"].to_numpy(np.float64), test["probability"].to_numpy(np.float64)
    sure = np.asarray(certainty, np.float64)
    if sure.shape != outcome.shape or np.isnan(sure).any():
        raise ValueError("one known certainty per test row is needed")
    positives, visits = float(outcome.sum()), visits_at(capacity, len(test))
    steps = np.unique(np.quantile(sure, np.linspace(0.0, 1.0, points + 1), method="lower"))[::-1]
    rows = []
    for least in steps:
        scored = sure >= least
        if _households(test, scored) < FEWEST or 0 < _households(test, ~scored) < FEWEST:
            continue
        hits, expected = _hits(outcome[scored], probability[scored], visits), float(probability[scored].sum())
        rows.append(
            {
                "coverage": float(scored.mean()),
                "certainty": float(least),
                "recall": hits / positives if positives else np.nan,
                "precision": hits / visits,
                "observed_expected": float(outcome[scored].sum()) / expected if expected else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=["coverage", "certainty", "recall", "precision", "observed_expected"])


def by_code(test: pd.DataFrame) -> pd.DataFrame:
    """How the model would have done on the rows of each code: what the limits rest on.

    `test` has the columns of `training.abstained` beside outcome and probability. Columns of the answer: `code`,
    `rows`, `share`, `rate` (outcomes a row), `expected` (mean probability), `observed_expected`, and `recall` (share of
    its affected rows among the 10 % highest of all). Codes of fewer than 10 households are left out; the last row,
    `scored`, is everybody without a code.
    """
    outcome, probability = test["outcome"].to_numpy(np.float64), test["probability"].to_numpy(np.float64)
    high = probability >= np.quantile(probability, 0.9)
    chosen = {name: test[CODE + name].to_numpy(bool) for name in ABSTAINING if CODE + name in test}
    chosen["scored"] = ~test["abstained"].to_numpy(bool)
    rows = []
    for name, of in chosen.items():
        if _households(test, of) < FEWEST:
            continue
        affected, expected = float(outcome[of].sum()), float(probability[of].sum())
        rows.append(
            {
                "code": name,
                "rows": int(of.sum()),
                "share": float(of.mean()),
                "rate": affected / of.sum(),
                "expected": expected / of.sum(),
                "observed_expected": affected / expected if expected else np.nan,
                "recall": float(outcome[of & high].sum()) / affected if affected else np.nan,
            }
        )
    return pd.DataFrame(rows)


def risk_coverage_figure(curve: pd.DataFrame, *, capacity: float = 0.10, chosen: float | None = None) -> Figure:
    """Recall at capacity and observed/expected against the share scored; `chosen` marks the share that is scored."""
    figure = Figure(figsize=(10.0, 4.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    recall, level = figure.subplots(1, 2)
    share = curve["coverage"].to_numpy(np.float64)
    recall.plot(share, curve["recall"].to_numpy(np.float64), color=BLUE, linewidth=2.2, marker="o", markersize=4)
    recall.set(ylabel=f"recall at {capacity:.0%} capacity\n(not scored = not selected)", ylim=(0.0, None))
    recall.yaxis.set_major_formatter(PercentFormatter(1.0))
    observed = curve["observed_expected"].to_numpy(np.float64)
    level.plot(share, observed, color=ORANGE, linewidth=2.2, marker="s", markersize=4)
    level.axhline(1.0, color=GREY, linewidth=1.2, linestyle="--")
    level.set(ylabel="observed / expected of the scored")
    for axes in (recall, level):
        axes.set(xlabel="share of households scored, the surest first", xlim=(0.0, 1.02))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(color="#DDDDDD", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        if chosen is not None:
            axes.axvline(chosen, color=GREY, linewidth=1.4, linestyle=":")
    return figure


def _hits(outcome: Floats, probability: Floats, visits: int) -> float:
    """Affected rows that the visits reach among scored rows, ties in random order."""
    visits = min(visits, len(outcome))
    return reached(outcome, probability, visits).expected if visits else 0.0


def _households(test: pd.DataFrame, of: Bools) -> int:
    return int(test["household_id"][of].nunique()) if "household_id" in test else int(of.sum())
