"""The first parse of a model file, in a child process, so that only the child dies of it.

The child reads `{"model": text, "values": rows}` from standard input and writes the margins of the rows as a JSON list.
It has little time and memory, writes no file worth the name, leaves no core, and its environment holds nothing of ours:
no token, no key, no address of a store.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

MEGABYTE = 1 << 20
# What is read back: more than any answer, far less than a model that complains about every tree could write.
ANSWER_BYTES = 4 * MEGABYTE
# What the interpreter may need to find its libraries. Everything else of our environment stays here.
PASSED_ON = ("LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
# LightGBM, its OpenMP and the linear algebra of NumPy each start a thread a core, with memory for all of them.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class ProbeLimits(NamedTuple):
    """What the child process may use: wall time and processor time, and address space."""

    seconds: float = 60.0
    megabytes: int = 8192


def margins_in_child(model_text: str, values: list[list[float | None]], limits: ProbeLimits) -> list[float] | None:
    """Margins of the rows from a child process, or None if it failed, died, or took too long or too much.

    Raises `ValueError` for an answer that is none.
    """
    command = [sys.executable, "-P", "-m", "models.probe", f"{limits.seconds:g}", f"{limits.megabytes:d}"]
    with tempfile.TemporaryFile() as answer:
        try:
            done = subprocess.run(  # noqa: S603 - our own module and two numbers
                # -P: nothing is imported from the working directory, which may be the very folder under suspicion.
                command,
                input=json.dumps({"model": model_text, "values": values}).encode(),
                stdout=answer,
                stderr=subprocess.DEVNULL,
                timeout=limits.seconds,
                check=False,
                env=_environment(),
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != 0:
            return None
        answer.seek(0)
        found: list[float] = json.loads(answer.read(ANSWER_BYTES))
        return found


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed_on, **ONE_THREAD, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


def main() -> None:
    """Answer one question and leave. The process is of no use to anybody afterwards."""
    _bind(float(sys.argv[1]), int(sys.argv[2]))
    # LightGBM imports these for wrappers that nobody needs here; without them it starts in a quarter of the time.
    for unneeded in ("sklearn", "pandas", "pyarrow", "matplotlib", "dask", "graphviz"):
        sys.modules[unneeded] = None  # type: ignore[assignment]
    import lightgbm as lgb

    question = json.load(sys.stdin.buffer)
    booster = lgb.Booster(model_str=question["model"], params={"verbosity": -1})
    values = np.array(question["values"], np.float64)
    margins = np.asarray(booster.predict(values, raw_score=True, num_threads=1), np.float64)
    # Contributions walk through every node of every tree, and so meet a damaged branch that no golden row takes. What
    # comes out is not looked at: in deep trees LightGBM's are wrong even where the model is whole; `models.bundle`
    # checks those that are used.
    booster.predict(values, pred_contrib=True, num_threads=1)
    json.dump(margins.tolist(), sys.stdout)


def _bind(seconds: float, megabytes: int) -> None:
    """Give up what is not needed for one answer, for good."""
    import resource

    def at_most(what: int, amount: int) -> None:
        _, highest = resource.getrlimit(what)
        amount = amount if highest == resource.RLIM_INFINITY else min(amount, highest)
        resource.setrlimit(what, (amount, amount))

    # The wall time is the parent's to watch; a parent that is gone watches nothing.
    at_most(resource.RLIMIT_CPU, math.ceil(seconds))
    at_most(resource.RLIMIT_AS, megabytes * MEGABYTE)
    at_most(resource.RLIMIT_FSIZE, ANSWER_BYTES)
    at_most(resource.RLIMIT_CORE, 0)


if __name__ == "__main__":
    main()
