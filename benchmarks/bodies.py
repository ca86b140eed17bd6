"""What a service is asked with: simulated households as they were known at the end of their county's data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import MARK
from benchmarks.tutorial.feature_frame import feature_frame
from benchmarks.tutorial.messages import Household
from features.dataset import read_dataset
from features.tables import Tables
from features.window import as_of_moment
from models.bundle import Bundle
from serving.extract import Requests

EVENTS_WANTED = 60


@dataclass(frozen=True)
class Bodies:
    """Files with one JSON body a line, all of different households, and what is in them.

    The households' ids end in the load client's mark, so that no household is ever asked about twice: a store keeps
    each of them, and nothing that was answered before can be answered again from memory.

    `one` has one household a body, `hundred` has `together` of them; `vector` has the same single households as
    finished features, for the tutorial service that takes those.
    """

    one: Path
    hundred: Path
    vector: Path
    households: int
    together: int
    events: float
    events_least: int
    events_most: int
    bytes_of_one: float

    def file(self, households: int, *, is_vector: bool = False) -> Path:
        """The file of bodies with one household, or with many."""
        return self.vector if is_vector else self.one if households == 1 else self.hundred


def write_bodies(folder: Path, county: Path, bundle: Bundle, *, households: int, together: int) -> Bodies:
    """Write the files; the households are those whose number of events is nearest to 60."""
    chosen = _nearest(county, households)
    together = min(together, len(chosen))
    n_events = [len(household["events"]) for household in chosen]
    one = [{"households": [household]} for household in chosen]
    many = [
        {"households": chosen[first : first + together]} for first in range(0, len(chosen) - together + 1, together)
    ]
    return Bodies(
        one=_file(folder / "one.jsonl", one),
        hundred=_file(folder / "hundred.jsonl", many),
        vector=_file(folder / "vector.jsonl", _vectors(chosen, bundle)),
        households=len(chosen),
        together=together,
        events=float(np.mean(n_events)),
        events_least=min(n_events),
        events_most=max(n_events),
        bytes_of_one=(folder / "one.jsonl").stat().st_size / len(chosen),
    )


def _nearest(county: Path, households: int) -> list[dict[str, Any]]:
    dataset = read_dataset(county)
    until = dataset.meta.moments.until
    tables = Tables.from_frames(dataset.events, dataset.members, dataset.households)
    requests = Requests(tables, as_of_moment(until, dataset.meta.time_zone), dataset.meta)
    # Rows filed under a household are nearly those that are known of it; so few requests need to be made.
    filed = dataset.events["household_id"].value_counts()
    near = (filed - EVENTS_WANTED).abs().sort_values(kind="stable").index[: 2 * households]
    made = [_asked(request, until) for request in requests.of(list(near)).values()]
    return sorted(made, key=lambda household: abs(len(household["events"]) - EVENTS_WANTED))[:households]


def _asked(request: dict[str, Any], until: str) -> dict[str, Any]:
    return {**request, "as_of": until, "household_id": f"{request['household_id']}-{MARK.decode()}"}


def _vectors(chosen: Sequence[dict[str, Any]], bundle: Bundle) -> list[dict[str, Any]]:
    frame = feature_frame([Household.model_validate(each) for each in chosen], bundle.catalogue, bundle.time_zone)
    rows = frame[list(bundle.model.names)].to_dict("records")
    return [
        {"households": [{"household_id": each["household_id"], "features": _known(row)}]}
        for each, row in zip(chosen, rows, strict=True)
    ]


def _known(row: dict[Any, float]) -> dict[str, float]:
    return {str(name): value for name, value in row.items() if value == value}


def _file(place: Path, documents: Sequence[dict[str, Any]]) -> Path:
    place.write_bytes(b"\n".join(json.dumps(each, ensure_ascii=False).encode() for each in documents))
    return place
