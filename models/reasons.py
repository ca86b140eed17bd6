"""From contributions to reasons: domains first, then at most two dated facts each, in Chinese and English.

A reason always rests on events that somebody can check. What is unknown is never a reason; it becomes a gap.
Words say what goes together with the score, never what causes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.definition import GROUP_TEXT, Feature, Group, Measure, Text
from features.evidence import Evidence
from features.history import History
from features.window import day, written
from models.bundle import Bundle
from models.explanation import DOMAINS, NOT_KNOWN, Explanation

MAX_RAISING, MAX_LOWERING = 3, 2
MAX_FACTS = 2
MAX_EVENTS = 3
# A fact that hardly moves the score does not stand for its domain.
FACT_FROM = 0.05
SHOWN_FROM = 0.10
MEDIUM_FROM = 0.30
STRONG_FROM = 0.70
DIRECTIONS = (("raises", 1.0, MAX_RAISING), ("lowers", -1.0, MAX_LOWERING))
_NEVER_SHOWN = (NOT_KNOWN, Group.CONTEXT.value)
_TEXTS = {group.value: text._asdict() for group, text in GROUP_TEXT.items()}


class Pull(NamedTuple):
    """One feature's part in a score: how far it moves the log-odds, and its value."""

    against: float
    feature: str
    value: float


@dataclass(frozen=True)
class Reasons:
    """The reasons behind the scores of some households; `evidence` holds the events that they rest on."""

    bundle: Bundle
    explanation: Explanation
    evidence: Evidence

    def of(self, row: int, household: int) -> list[dict[str, Any]]:
        """Reasons of one row of the explanation, strongest first: what raises, then what lowers.

        Each is `{group, direction, strength, facts}`; a group without a checkable fact is left out.
        """
        sums = self.explanation.domains[0][row]
        domains = [(total, name) for total, name in zip(sums, DOMAINS, strict=True) if name not in _NEVER_SHOWN]
        pulls = None
        chosen: list[dict[str, Any]] = []
        for direction, sign, most in DIRECTIONS:
            ranked = sorted((-sign * total, name) for total, name in domains if sign * total >= SHOWN_FROM)
            found = 0
            for against, name in ranked:
                if found == most:
                    break
                pulls = self._pulls_of(row) if pulls is None else pulls
                facts = self._facts(pulls.get((name, sign), []), household)
                if facts:
                    found += 1
                    chosen.append(
                        {
                            "group": name,
                            "group_text": _TEXTS[name],
                            "direction": direction,
                            "strength": _strength(-against),
                            "facts": facts,
                        }
                    )
        return chosen

    @cached_property
    def _strong(self) -> tuple[npt.NDArray[np.int64], list[int], list[float], list[float]]:
        """Every pull that may be told: where each row's begin, and features, contributions and values."""
        phi, values = self.explanation.contributions, self.explanation.values
        rows, columns = np.nonzero((np.abs(phi) >= FACT_FROM) & ~np.isnan(values))
        starts = np.searchsorted(rows, np.arange(len(phi) + 1))
        return starts, columns.tolist(), phi[rows, columns].tolist(), values[rows, columns].tolist()

    def _pulls_of(self, row: int) -> dict[tuple[str, float], list[Pull]]:
        """The row's pulls by domain and direction."""
        starts, columns, contributions, values = self._strong
        features = self.bundle.catalogue.features
        found: dict[tuple[str, float], list[Pull]] = {}
        for k in range(int(starts[row]), int(starts[row + 1])):
            feature, phi = features[columns[k]], contributions[k]
            sign = 1.0 if phi > 0 else -1.0
            found.setdefault((feature.group.value, sign), []).append(Pull(-sign * phi, feature.name, values[k]))
        return found

    def _facts(self, pulls: list[Pull], household: int) -> list[dict[str, Any]]:
        """The features that pull the same way and rest on events, largest pull first."""
        facts: list[dict[str, Any]] = []
        cited: set[tuple[int, ...]] = set()
        history = self.evidence.history
        for _, name, value in sorted(pulls):
            feature = self.bundle.catalogue.by_name[name]
            behind = self.evidence.behind(name, household).tolist()
            key = tuple(behind)
            if not behind or key in cited or (feature.measure is Measure.OPEN and value == 0):
                continue
            cited.add(key)
            newest = behind[-1]
            text = fact_text(
                feature,
                value,
                self.bundle.currency,
                day(int(history.occurred[newest]), history.time_zone),
                str(history.source[newest]),
            )
            facts.append(
                {
                    "feature": name,
                    "text": text._asdict(),
                    "events": [cited_event(history, e) for e in _most_telling(feature, behind, history)],
                    "n_events": len(behind),
                    "question": None,
                }
            )
            if len(facts) == MAX_FACTS:
                break
        return facts


def cited_event(history: History, row: int) -> dict[str, Any]:
    """One event as a reason or a trigger cites it."""
    return {
        "event_id": str(history.event_id[row]),
        "code": history.catalogue.kinds[history.code[row]].code,
        "occurred_at": written(int(history.occurred[row]), history.time_zone),
        "known_at": written(int(history.known_at[row]), history.time_zone),
        "source": str(history.source[row]),
    }


def fact_text(feature: Feature, value: float, currency: str, newest_day: str, source: str) -> Text:
    """One sentence: what is on record, how much, and the newest entry's day and source."""
    if feature.measure is Measure.OPEN:
        return Text(f"{feature.meaning.zh}（{newest_day}，{source}）", f"{feature.meaning.en} ({newest_day}, {source})")
    zh, en = feature.unit.spoken(value, currency)
    return Text(
        f"{feature.meaning.zh}：{zh}（最近一条 {newest_day}，{source}）",
        f"{feature.meaning.en}: {en} (latest record {newest_day}, {source})",
    )


def _most_telling(feature: Feature, behind: list[int], history: History) -> list[int]:
    """The few events to cite: the largest amounts of a sum or maximum, otherwise the newest."""
    newest_first = behind[::-1]
    if feature.measure in (Measure.SUM, Measure.MAX):
        values = dict(zip(behind, history.value[behind].tolist(), strict=True))
        size: Callable[[int], float] = lambda e: 0.0 if math.isnan(values[e]) else -values[e]  # noqa: E731
        return sorted(newest_first, key=size)[:MAX_EVENTS]
    return newest_first[:MAX_EVENTS]


def _strength(log_odds: float) -> str:
    """Words for the size of a group's pull; numbers are for auditors."""
    if log_odds > STRONG_FROM:
        return "strong"
    return "medium" if log_odds >= MEDIUM_FROM else "slight"
