"""How much is known about a household: coverage of what the model weighs, gaps by domain, freshness of sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, made_once
from features.definition import GROUP_TEXT, Group, Text
from features.history import History, Visible
from features.window import ALWAYS, DAYS_PER_MONTH, MICROS_PER_DAY, day
from models.bundle import Bundle

# A source counts as fresh while its newest row is younger than two quarters and its usual worst delay.
FRESH_DAYS = 183
GROUPS = tuple(Group)


@dataclass(frozen=True)
class DataQuality:
    """What is unknown (households x features) about the households of one moment."""

    bundle: Bundle
    unknown: npt.NDArray[np.bool_]

    @cached_property
    def _weights(self) -> npt.NDArray[np.float64]:
        """Importance of the known and the unknown features: households x groups x (known, unknown)."""
        return _counted(self.bundle.catalogue, self.unknown, self.bundle.importance)

    @cached_property
    def _numbers(self) -> npt.NDArray[np.float64]:
        """How many features are known and unknown: households x groups x (known, unknown)."""
        return _counted(self.bundle.catalogue, self.unknown, np.ones(self.unknown.shape[1]))

    @cached_property
    def coverage(self) -> list[float]:
        """Share of the model's weight that lies on known features, by household."""
        return _shares(self._weights, self.bundle.importance)

    @cached_property
    def _gaps(self) -> list[list[dict[str, Any]]]:
        total = float(self.bundle.importance.sum()) or 1.0
        unknown, known = self._numbers[:, :, 1].tolist(), self._numbers[:, :, 0].tolist()
        weights = (self._weights[:, :, 1] / total).tolist()
        shown = [(g, group.value) for g, group in enumerate(GROUPS) if group is not Group.CONTEXT]
        found = []
        for missing, there, weight in zip(unknown, known, weights, strict=True):
            ranked = sorted((-weight[g], name, g) for g, name in shown if missing[g])
            found.append([_gap(g, missing[g] / (missing[g] + there[g]), weight[g]) for _, _, g in ranked])
        return found

    def gaps(self, household: int) -> list[dict[str, Any]]:
        """Domains of which nothing or not everything is known, the most important first."""
        return self._gaps[household]


def known_share(
    catalogue: Catalogue, importance: npt.NDArray[np.float64], unknown: npt.NDArray[np.bool_]
) -> list[float]:
    """`DataQuality.coverage` before there is a bundle: the share of the importance that lies on known features."""
    return _shares(_counted(catalogue, unknown, importance), importance)


def _counted(
    catalogue: Catalogue, unknown: npt.NDArray[np.bool_], of_feature: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sums of what each feature counts: households x groups x (known, unknown)."""
    n, shape = len(unknown), (len(unknown), len(GROUPS), 2)
    cell = 2 * (_groups(catalogue) + len(GROUPS) * np.arange(n)[:, np.newaxis]) + unknown
    # Added in the order of the features, so a household's sums do not depend on its neighbours.
    weights = np.broadcast_to(of_feature, unknown.shape).ravel()
    found = np.bincount(cell.ravel(), weights=weights, minlength=n * len(GROUPS) * 2)
    return found.astype(np.float64).reshape(shape)


@made_once
def _groups(catalogue: Catalogue) -> npt.NDArray[np.int64]:
    return np.array([GROUPS.index(feature.group) for feature in catalogue.features], np.int64)


def _shares(weights: npt.NDArray[np.float64], importance: npt.NDArray[np.float64]) -> list[float]:
    total = float(importance.sum())
    known = weights[:, :, 0].sum(axis=1) / total if total > 0 else np.zeros(len(weights))
    return [round(share, 4) for share in known.tolist()]


def _gap(g: int, share: float, weight: float) -> dict[str, Any]:
    kind = "missing" if share == 1.0 else "incomplete"
    return {
        "group": GROUPS[g].value,
        "kind": kind,
        "share_unknown": round(share, 4),
        "weight_in_model": round(weight, 4),
        "text": _TEXTS[g, kind],
    }


def _texts() -> dict[tuple[int, str], dict[str, str]]:
    found = {}
    for g, group in enumerate(GROUPS):
        zh, en = GROUP_TEXT[group]
        missing = Text(f"没有{zh}方面的记录", f"Nothing on record about: {en.lower()}")
        incomplete = Text(f"{zh}方面的记录不全", f"The record is incomplete about: {en.lower()}")
        found[g, "missing"], found[g, "incomplete"] = missing._asdict(), incomplete._asdict()
    return found


_TEXTS = _texts()


def sources(bundle: Bundle, history: History, seen: Visible, household: int) -> list[dict[str, Any]]:
    """Newest report of each source that has sent anything about the household."""
    rows = seen.of(household)
    # The last place is for rows without a source.
    latest = np.full(len(history.sources) + 1, ALWAYS, np.int64)
    np.maximum.at(latest, history.source_number[rows], np.maximum(history.known_at[rows], 0))
    names = (*history.sources, str(None))
    newest = {name: known_at for name, known_at in zip(names, latest.tolist(), strict=True) if known_at != ALWAYS}
    listed = []
    for source in sorted(newest):
        usual_delay = int(bundle.sources[source][1]) if source in bundle.sources else 0
        age_days = (seen.as_of - newest[source]) / MICROS_PER_DAY
        listed.append(
            {
                "source": source,
                "latest_known_at": day(newest[source], history.time_zone),
                "age_months": round(age_days / DAYS_PER_MONTH, 1),
                "fresh": age_days <= FRESH_DAYS + usual_delay,
            }
        )
    return listed
