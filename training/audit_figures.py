"""The figures of an audit: what is summed over rows, and what the sums say about each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.audit_judgement import FEWEST_TO_WARN, Evidence, Finding
from training.audit_selection import selected
from training.audit_sums import Floats, Sums, difference, estimate, ratio, share


def sides(column: pd.Series) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The group and the others; rows of which it is not known are on neither side."""
    known = column.astype("boolean")
    yield "in", known.fillna(False).to_numpy(np.bool_)
    yield "out", (~known).fillna(False).to_numpy(np.bool_)


def row_weights(rows: pd.DataFrame, capacities: Sequence[float], baselines: Sequence[str]) -> dict[str, Floats]:
    """What is summed over rows, by name."""
    y, p = rows["outcome"].to_numpy(np.float64), rows["probability"].to_numpy(np.float64)
    as_of = rows["as_of"].to_numpy(np.int64)
    found = {"n": np.ones(len(rows)), "y": y, "p": p}
    speaks = None
    if "abstained" in rows:
        abstained = rows["abstained"].to_numpy(np.bool_)
        speaks, found["abstained"] = ~abstained, abstained.astype(np.float64)
    if "coverage" in rows:
        found["gap"] = 1.0 - rows["coverage"].to_numpy(np.float64)
    drawn = np.nan_to_num(rows["audit_weight"].to_numpy(np.float64)) if "audit_weight" in rows else None
    if drawn is not None:
        found["drawn y"] = drawn * y
    for capacity in capacities:
        visited = selected(p, as_of, capacity, speaks)
        found |= {f"s {capacity}": visited, f"sy {capacity}": visited * y, f"sp {capacity}": visited * p}
        if drawn is not None:
            found[f"drawn sy {capacity}"] = drawn * visited * y
        for name in baselines:
            found[f"{name} sy {capacity}"] = (
                selected(rows[f"baseline_{name}"].to_numpy(np.float64), as_of, capacity) * y
            )
        if "hazard" in rows and rows["hazard"].notna().all():
            found[f"truth sy {capacity}"] = selected(rows["hazard"].to_numpy(np.float64), as_of, capacity) * y
    return found


def figures_of(
    name: str, sums: Sums, capacities: Sequence[float], baselines: Sequence[str], evidence: Evidence, arm: Evidence
) -> list[Finding]:
    """Every figure of one group; none where the group or the others have too few positives to say anything. `arm` is
    the same about the rows of the random audit."""
    if evidence == "insufficient":
        return []

    def inside(what: str) -> Floats:
        return sums(f"in {name}", what)

    def outside(what: str) -> Floats:
        return sums(f"out {name}", what)

    def compared(part: str, whole: str) -> tuple[Floats, Floats]:
        return share(inside(part), inside(whole)), share(outside(part), outside(whole))

    found = [Finding(name, "observed_expected", None, None, ratio(share(inside("y"), inside("p"))))]
    for what, measure in (("abstained", "abstention"), ("gap", "data_gap")):
        # Neither may a share tell of a handful of households.
        if what in sums and (what != "abstained" or inside(what)[0] >= FEWEST_TO_WARN):
            rate, _ = compared(what, "n")
            overall = share(inside(what) + outside(what), inside("n") + outside("n"))
            found.append(Finding(name, measure, None, None, estimate(rate)))
            found.append(Finding(name, f"{measure}_ratio", None, None, ratio(share(rate, overall))))
    for k in capacities:
        recall, others = compared(f"sy {k}", "y")
        missed = [share(side("y") - side(f"sy {k}"), side("n") - side(f"s {k}")) for side in (inside, outside)]
        precise = compared(f"sy {k}", f"s {k}")
        found += [
            Finding(name, "recall", k, None, estimate(recall)),
            Finding(name, "recall_gap", k, None, difference(recall - others)),
            Finding(name, "missed_rate", k, None, estimate(missed[0])),
            Finding(name, "missed_ratio", k, None, ratio(share(*missed))),
            Finding(name, "precision", k, None, estimate(precise[0])),
        ]
        # A handful of visits says nothing about the visited.
        if min(side(f"sp {k}")[0] for side in (inside, outside)) >= FEWEST_TO_WARN:
            level = share(inside(f"sy {k}"), inside(f"sp {k}"))
            found.append(Finding(name, "precision_ratio", k, None, ratio(share(*precise))))
            found.append(Finding(name, "observed_expected_selected", k, None, ratio(level)))
        for rule in baselines:
            gained = share(inside(f"sy {k}") - inside(f"{rule} sy {k}"), inside("y"))
            found.append(Finding(name, "recall_over", k, rule, difference(gained)))
        if f"truth sy {k}" in sums:
            best, of_others = compared(f"truth sy {k}", "y")
            found.append(Finding(name, "recall_gap_of_truth", k, None, difference(best - of_others)))
        if arm != "insufficient":
            of_arm = share(inside(f"drawn sy {k}"), inside("drawn y"))
            measure = "random_arm" if arm == "gates" else "random_arm_small"
            found.append(Finding(name, measure, k, None, difference(of_arm - recall)))
    return found


def add_gaps_to_best(measured: dict[str, list[Finding]], sums: Sums, capacities: Sequence[float]) -> None:
    """Add the gap to the group with the highest recall. The same data choose it, so it is told and gates nothing."""
    for k in capacities:
        recalls = {
            name: share(sums(f"in {name}", f"sy {k}"), sums(f"in {name}", "y"))
            for name, found in measured.items()
            if found
        }
        if recalls:
            best = max(recalls, key=lambda name: recalls[name][0])
            for name, recall in recalls.items():
                measured[name].append(Finding(name, "recall_gap_to_best", k, best, difference(recall - recalls[best])))
