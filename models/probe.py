"""Child process that reads an unproven model file, so that only the child dies of it.

Reads `{"model": text, "values": rows}` from standard input and writes the margins of the rows as a JSON list.
"""

from __future__ import annotations

import json
import resource
import sys

import numpy as np

CPU_SECONDS = 40
MEMORY_BYTES = 8 << 30


def main() -> None:
    """Answer one question and leave. The process is of no use to anybody afterwards."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # LightGBM imports these for wrappers that nobody needs here; without them it starts in a quarter of the time.
    for unneeded in ("sklearn", "pandas", "pyarrow", "matplotlib", "dask", "graphviz"):
        sys.modules[unneeded] = None  # type: ignore[assignment]
    import lightgbm as lgb

    question = json.load(sys.stdin)
    booster = lgb.Booster(model_str=question["model"], params={"verbosity": -1})
    values = np.array(question["values"], np.float64)
    margins = np.asarray(booster.predict(values, raw_score=True, num_threads=1), np.float64)
    # Contributions walk through every node of every tree, and so meet a damaged branch that no golden row takes. What
    # comes out is not looked at: in deep trees LightGBM's are wrong even where the model is whole; `models.bundle`
    # checks those that are used.
    booster.predict(values, pred_contrib=True, num_threads=1)
    json.dump(margins.tolist(), sys.stdout)


if __name__ == "__main__":
    main()
