"""Before anything is timed: the services must answer, and give the same probability for the same household."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from benchmarks.apart import RunFailed
from benchmarks.services import TOKEN
from models.bundle import Bundle

COMPARED, TOLERANCE = 20, 1e-9


def refuse_difference(bundle: Bundle, answering: Mapping[str, tuple[str, Path]]) -> str:
    """Compare the first households. `answering` has address and bodies of each service, the first of them ours.

    The tutorial tells the model's own probability; it is calibrated here, which costs it nothing. Raises `RunFailed`.
    """
    told = {name: _probabilities(*of) for name, of in answering.items()}
    (ours, own), *others = told.items()
    numbered = [i for i, (probability, _) in enumerate(own) if probability is not None]
    if not numbered:
        raise RunFailed(f"{ours} gives none of the households a probability, so there is nothing to compare")
    for name, theirs in others:
        raw = np.array([theirs[i][0] for i in numbered], np.float64)
        expected = bundle.calibration.probability(np.log(raw / (1 - raw)), [own[i][1] for i in numbered])
        found = np.array([own[i][0] for i in numbered], np.float64)
        if not np.allclose(found, expected, rtol=0, atol=TOLERANCE):
            raise RunFailed(f"{name} gives other probabilities than {ours}")
    return f"{len(numbered)} of {len(own)} households compared, {len(own) - len(numbered)} without a number"


def _probabilities(address: str, bodies: Path) -> list[tuple[float | None, str]]:
    """Probability and region of the first households, asked for one by one."""
    found = []
    with bodies.open("rb") as lines:
        for body in islice(lines, COMPARED):
            answer = _asked(address, body)
            results = answer["results"] if isinstance(answer, dict) else answer
            if results[0].get("status") == "error":
                raise RunFailed("a service could not assess one of the first households; its log says why")
            found.append((results[0]["probability"], json.loads(body)["households"][0].get("region", "")))
    return found


def _asked(address: str, body: bytes) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", "X-Purpose": "prepare_visit"}
    try:
        with urlopen(Request(address, body, headers), timeout=60) as answer:
            return json.load(answer)
    except HTTPError as error:
        raise RunFailed(f"a service refused the first body: {error.code} {error.read()[:400]!r}") from None
