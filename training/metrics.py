"""The figures of a study's model: as an office would meet them, with those who get no score counted as missed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.evaluation import evaluate_rows
from training.level_intervals import level_intervals
from training.risk_coverage import headline

# What a list reaches; everything else judges the probabilities themselves.
HEADLINE = "headline_"


def headline_metrics(judged: pd.DataFrame, clusters: npt.NDArray[np.object_], *, seed: int) -> dict[str, float]:
    """Everything `evaluate_rows` and `level_intervals` say about the judged rows.

    Recall and precision at capacity count the abstained as missed; what they would be if everybody were scored stands
    beside them as `..._if_all_scored`; `abstention_share` is the share without a score.
    """
    found = evaluate_rows(judged, seed=seed)
    found |= level_intervals(judged["outcome"], judged["probability"], clusters, seed=seed)
    if "abstained" not in judged:
        return found
    said = headline(judged)
    honest = {name.removeprefix(HEADLINE): value for name, value in said.items() if name.startswith(HEADLINE)}
    found |= {f"{name}_if_all_scored": found[name] for name in honest if name in found}
    return found | {name: value for name, value in said.items() if not name.startswith(HEADLINE)} | honest
