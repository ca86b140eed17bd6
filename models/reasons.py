"""From contributions to reasons: domains first, then at most two dated facts each, in every language of the wording.

A reason always rests on events that somebody can check. What is unknown is never a reason; it becomes a gap. What the
work of assistance leaves behind (a visit, an application) and what is sealed is never told as a fact. Words say what
goes together with the score, never what causes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, made_once
from features.definition import GROUP_TEXT, Feature, Group, Measure
from features.evidence import Evidence
from features.history import History
from features.unit import Unit
from features.window import day, day_of, written
from models.bundle import Bundle
from models.explanation import DOMAINS, NOT_KNOWN, Explanation
from models.language import texts
from models.wording import Told, Wording, not_itemised, wording_of

MAX_RAISING, MAX_LOWERING = 3, 2
MAX_FACTS = 2
# Domains that a note names of which no record can be shown.
MAX_UNSEEN = 2
MAX_EVENTS = 3
# A fact that hardly moves the score does not stand for its domain.
FACT_FROM = 0.05
SHOWN_FROM = 0.10
MEDIUM_FROM = 0.30
STRONG_FROM = 0.70
# From here on both sides of a domain count, and it is told as mixed.
MIXED_FROM = 0.15
# The shown domains must carry this part of all that raises the score; otherwise a note says so.
CARRIED_FROM = 0.60
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

        Each is `{group, group_text, direction, strength, mixed, facts}`; a group without a checkable fact is left out.
        """
        pulls = None
        chosen: list[dict[str, Any]] = []
        for direction, sign, most in DIRECTIONS:
            found = 0
            for against, name in self._ranked(row, sign):
                if found == most:
                    break
                pulls = self._pulls_of(row) if pulls is None else pulls
                facts = self._facts(pulls.get((name, sign), []), household, direction)
                if facts:
                    found += 1
                    chosen.append(
                        {
                            "group": name,
                            "group_text": _TEXTS[name],
                            "direction": direction,
                            "strength": _strength(-against),
                            "mixed": self._is_mixed(row, name),
                            "facts": facts,
                        }
                    )
        return chosen

    def note(self, row: int, reasons: list[dict[str, Any]]) -> dict[str, str] | None:
        """What to say where the `reasons` (as `of` gives them) carry less than 60 % of all that raises the score.

        Most of it may go with gaps in the record; or no domain stands out, and several small things come together; or
        one does, but rests on no record that could be checked, as the number of children. None where the reasons carry
        the score, or where nothing raises it worth a word.
        """
        sums = dict(zip(DOMAINS, self.explanation.domains[0][row], strict=True))
        raising = {name: total for name, total in sums.items() if total > 0 and name not in _NEVER_SHOWN}
        known, unknown = sum(raising.values()), max(0.0, sums[NOT_KNOWN])
        if unknown >= SHOWN_FROM and unknown > known:
            return texts("notes", "mostly_unknown")
        shown = {reason["group"] for reason in reasons if reason["direction"] == "raises"}
        if known < SHOWN_FROM or sum(raising[name] for name in shown) >= CARRIED_FROM * known:
            return None
        largest = [name for _, name in self._ranked(row, 1.0)[:MAX_RAISING]]
        if sum(raising[name] for name in largest) < CARRIED_FROM * known:
            return texts("notes", "several_small")
        return not_itemised([name for name in largest if name not in shown][:MAX_UNSEEN])

    def _ranked(self, row: int, sign: float) -> list[tuple[float, str]]:
        """The row's domains that pull this way by enough to be shown, the largest pull first (negative)."""
        sums = self.explanation.domains[0][row]
        domains = zip(sums, DOMAINS, strict=True)
        return sorted(
            (-sign * total, name) for total, name in domains if sign * total >= SHOWN_FROM and name not in _NEVER_SHOWN
        )

    def _is_mixed(self, row: int, group: str) -> bool:
        """Whether known features of the domain pull both ways by more than a little."""
        columns, explanation = _columns(self.bundle.catalogue)[group], self.explanation
        known = [
            pull
            for pull, unknown in zip(
                explanation.contributions[row, columns].tolist(),
                explanation.unknown[row, columns].tolist(),
                strict=True,
            )
            if not unknown
        ]
        raising, lowering = sum(p for p in known if p > 0), -sum(p for p in known if p < 0)
        return bool(min(raising, lowering) > MIXED_FROM)

    @cached_property
    def _wording(self) -> Wording:
        return wording_of(self.bundle.catalogue)

    @cached_property
    def _year(self) -> str:
        """The year of the judgement, which a date of that year does not repeat."""
        return str(day_of(self.evidence.seen.as_of, self.evidence.history.time_zone).year)

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

    def _facts(self, pulls: list[Pull], household: int, direction: str) -> list[dict[str, Any]]:
        """The features that pull the same way and rest on events, largest pull first."""
        facts: list[dict[str, Any]] = []
        cited: set[tuple[int, ...]] = set()
        never_told = _never_told(self.bundle.catalogue)
        for _, name, value in sorted(pulls):
            feature = self.bundle.catalogue.by_name[name]
            behind = self.evidence.behind(name, household).tolist()
            key = tuple(behind)
            is_over = feature.measure in (Measure.OPEN, Measure.MONTHS_OPEN) and value == 0
            if not behind or key in cited or is_over or name in never_told:
                continue
            cited.add(key)
            facts.append(self._fact(feature, value, behind, direction))
            if len(facts) == MAX_FACTS:
                break
        return facts

    def _fact(self, feature: Feature, value: float, behind: list[int], direction: str) -> dict[str, Any]:
        """One fact with its sentence and the events to check it by."""
        history = self.evidence.history
        telling = _most_telling(feature, behind, history)
        tells_of_largest = feature.measure is Measure.MAX or (
            feature.measure is Measure.SUM and feature.unit is Unit.MONEY
        )
        row = telling[0] if tells_of_largest else behind[-1]
        template, text = self._wording.fact(
            Told(
                feature,
                value,
                direction,
                len(behind),
                float(history.value[row]),
                day(int(history.occurred[row]), history.time_zone),
                history.catalogue.kinds[history.code[row]],
                str(history.source[row]),
                self.bundle.currency,
                self._year,
            )
        )
        return {
            "fact_id": feature.name,
            "feature": feature.name,
            "template": template,
            "text": text,
            "public_text": texts("public", "groups", feature.group.value),
            "events": [cited_event(history, e) for e in telling],
            "n_events": len(behind),
            "question": None,
        }


@made_once
def _columns(catalogue: Catalogue) -> dict[str, npt.NDArray[np.int64]]:
    """Where the features of each domain stand."""
    groups = [feature.group.value for feature in catalogue.features]
    return {name: np.flatnonzero([group == name for group in groups]) for name in set(groups)}


@made_once
def _never_told(catalogue: Catalogue) -> frozenset[str]:
    """Features that read what assistance itself left behind, or what is sealed."""
    found: set[str] = set()
    hidden = np.array([kind.is_trace or kind.is_sealed for kind in catalogue.kinds], np.bool_)
    for feature in catalogue.features:
        if bool((catalogue.codes_read[feature.name] & hidden).any()) or found & set(feature.of):
            found.add(feature.name)
    return frozenset(found)


def cited_event(history: History, row: int) -> dict[str, Any]:
    """One event as a reason or a trigger cites it."""
    time_zone = history.time_zone
    return {
        "event_id": str(history.event_id[row]),
        "code": history.catalogue.kinds[history.code[row]].code,
        "occurred_at": written(int(history.occurred[row]), time_zone),
        "known_at": written(int(history.known_at[row]), time_zone),
        "source": str(history.source[row]),
    }


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
