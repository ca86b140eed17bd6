"""Child process that reads an unproven model file, so that only the child dies of it.

Reads `{"model": text, "values": rows}` from standard input and writes the margins of the rows as a JSON list.
"""

from __future__ import annotations

import json
import sys

import lightgbm as lgb
import numpy as np


def main() -> None:
    """Answer one question and leave."""
    question = json.load(sys.stdin)
    booster = lgb.Booster(model_str=question["model"], params={"verbosity": -1})
    values = np.array(question["values"], np.float64)
    margins = np.asarray(booster.predict(values, raw_score=True, num_threads=1), np.float64)
    json.dump(margins.tolist(), sys.stdout)


if __name__ == "__main__":
    main()
