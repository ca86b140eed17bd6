"""The latest assessments beside training: stability indices, and how old the news of each source is.

It holds feature values and scores without any name, and forgets them: a window of so many rows, in memory alone. What
is told of it needs many rows (`FEWEST_ROWS`), because a share of few names a household.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.window import day
from models.bundle import Bundle
from models.profile import Bins, index
from serving.clock import now
from serving.settings import current

Floats = npt.NDArray[np.float64]

ROWS = 5_000
FEWEST_ROWS = 500
FEATURES = 20
# How many records must hold news of a source before its age is told, and as new as what is told.
FEWEST_RECORDS = 10
DAYS_KEPT = 60
OTHER = "other"
SCORE, INPUT, AGE = "povrisk_score_psi", "povrisk_input_psi", "povrisk_source_age_days"


class Told(NamedTuple):
    """One number for a gauge."""

    name: str
    label: tuple[str, ...]
    value: float


class _Ring:
    """The latest rows of a table of so many columns."""

    def __init__(self, columns: int) -> None:
        self.rows = np.full((ROWS, columns), np.nan)
        self.n = 0

    def add(self, rows: Floats) -> None:
        rows = rows[-ROWS:]
        self.rows[(self.n + np.arange(len(rows))) % ROWS] = rows
        self.n += len(rows)

    def column(self, i: int) -> Floats | None:
        """A copy of one column; None while there are too few rows."""
        return None if self.n < FEWEST_ROWS else self.rows[: min(self.n, ROWS), i].copy()


class Recent:
    """The latest assessments of one model. One thread adds, another asks what may be told."""

    def __init__(self, bundle: Bundle) -> None:
        self.sha256 = bundle.sha256
        self.time_zone = bundle.time_zone
        self.told: set[tuple[str, tuple[str, ...]]] = set()
        profile = bundle.certainty.profile
        ranked = () if profile is None else np.argsort(-bundle.importance, kind="stable")[:FEATURES].tolist()
        self._positions = np.array(ranked, np.int64)
        self._bins: list[tuple[str, tuple[str, ...], Bins]] = []
        if profile is not None:
            self._bins = [(INPUT, (profile.names[i],), profile.features[i]) for i in ranked]
            self._bins.append((SCORE, (), profile.score))
        self._values, self._scores = _Ring(len(ranked)), _Ring(1)
        self._sources = frozenset(bundle.sources)
        self._days: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._lock = Lock()
        self._turn = self._due = 0

    def add(self, records: Sequence[Mapping[str, Any]], values: Floats | None) -> None:
        """Take note of assessments; those of another model are passed over."""
        if not records or records[0]["model"]["bundle_sha256"] != self.sha256:
            return
        scores = [record["probability"] for record in records if record["probability"] is not None]
        with self._lock:
            if values is not None and len(self._positions):
                self._values.add(np.asarray(values, np.float64)[:, self._positions])
            if scores:
                self._scores.add(np.array(scores, np.float64)[:, None])
            for record in records:
                for each in record["data_quality"]["sources"]:
                    source = each["source"] if each["source"] in self._sources else OTHER
                    self._days[source][each["latest_known_at"]] += 1
            self._due = len(self._bins) + 1

    def next_told(self) -> list[Told]:
        """The next one of the stability indices, if there are new rows, and between them the ages of the sources."""
        self._turn = (self._turn + 1) % (len(self._bins) + 1)
        if self._turn == len(self._bins):
            return self._ages()
        if self._due == 0:
            return []
        self._due -= 1
        name, label, bins = self._bins[self._turn]
        with self._lock:
            column = self._scores.column(0) if name == SCORE else self._values.column(self._turn)
        if column is None:
            return []
        self.told.add((name, label))
        return [Told(name, label, round(index(bins, column), 4))]

    def _ages(self) -> list[Told]:
        today = date.fromisoformat(day(now(current()), self.time_zone)).toordinal()
        with self._lock:
            return [Told(AGE, (source,), age) for source, days in self._days.items() for age in _age(days, today)]


def _age(days: Counter[str], today: int) -> list[int]:
    """Days since the newest day by which enough records had news; nothing while there are too few of them."""
    newest_first = sorted((today - date.fromisoformat(each).toordinal(), each) for each in days)
    for _, long_ago in newest_first[DAYS_KEPT:]:
        del days[long_ago]
    so_many = 0
    for age, each in newest_first[:DAYS_KEPT]:
        so_many += days[each]
        if so_many >= FEWEST_RECORDS:
            return [max(age, 0)]
    return []
