"""From contributions to reasons: domains first, then at most two dated facts each, in Chinese and English.

A reason always rests on events that somebody can check. What is unknown is never a reason; it becomes a gap.
Words say what goes together with the score, never what causes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.definition import GROUP_TEXT, Feature, Group, Measure, Text
from features.history import History, Visible
from features.window import day, is_within, written
from models.bundle import Bundle
from models.explanation import Explanation

MAX_RAISING, MAX_LOWERING = 3, 2
MAX_FACTS = 2
MAX_EVENTS = 3
# A fact that hardly moves the score does not stand for its domain.
FACT_FROM = 0.05
SHOWN_FROM = 0.10
MEDIUM_FROM = 0.30
STRONG_FROM = 0.70


@dataclass(frozen=True)
class Record:
    """The visible events of one household and how to read them."""

    history: History
    seen: Visible
    household: int

    def events_of(self, feature: Feature) -> npt.NDArray[np.int64]:
        """Positions of the events behind a feature's value, oldest first."""
        if feature.measure.is_derived:
            by_name = self.history.catalogue.by_name
            behind = np.concatenate([self.events_of(by_name[name]) for name in feature.of])
            rows = self.seen.of(self.household)
            return rows[np.isin(rows, behind)]
        if not feature.measure.is_of_events:
            return np.zeros(0, np.int64)
        rows = self.seen.of(self.household)
        rows = rows[self.history.catalogue.codes_read[feature.name][self.history.code[rows]]]
        inside = is_within(self.history.occurred[rows], self.seen.as_of, feature.window, self.history.time_zone)
        return rows[inside]

    def written(self, row: int) -> dict[str, Any]:
        """One event as a reason cites it."""
        history = self.history
        return {
            "event_id": str(history.event_id[row]),
            "code": history.catalogue.kinds[history.code[row]].code,
            "occurred_at": written(int(history.occurred[row]), history.time_zone),
            "known_at": written(int(history.known_at[row]), history.time_zone),
            "source": str(history.source[row]),
        }


def reasons(bundle: Bundle, explanation: Explanation, row: int, record: Record) -> list[dict[str, Any]]:
    """Reasons of one row, strongest first: what raises, then what lowers.

    Each is `{group, direction, strength, facts}`; a group without a checkable fact is left out.
    """
    sums = {
        name: total
        for name, total in explanation.groups(bundle, row).items()
        if name in {g.value for g in Group} and name != Group.CONTEXT.value
    }
    chosen: list[dict[str, Any]] = []
    for direction, sign, most in (("raises", 1.0, MAX_RAISING), ("lowers", -1.0, MAX_LOWERING)):
        ranked = sorted((-sign * total, name) for name, total in sums.items() if sign * total >= SHOWN_FROM)
        found = 0
        for _, name in ranked:
            facts = _facts(bundle, explanation, row, record, Group(name), sign)
            if facts and found < most:
                found += 1
                chosen.append(
                    {
                        "group": name,
                        "group_text": GROUP_TEXT[Group(name)]._asdict(),
                        "direction": direction,
                        "strength": _strength(abs(sums[name])),
                        "facts": facts,
                    }
                )
    return chosen


def _facts(
    bundle: Bundle,
    explanation: Explanation,
    row: int,
    record: Record,
    group: Group,
    sign: float,
) -> list[dict[str, Any]]:
    """The features of the group that pull the same way and rest on events, largest pull first."""
    pulls = [
        (-sign * float(phi), feature.name, float(value))
        for feature, value, phi in zip(
            bundle.catalogue.features, explanation.values[row], explanation.contributions[row], strict=True
        )
        if feature.group is group and sign * phi >= FACT_FROM and not np.isnan(value)
    ]
    facts: list[dict[str, Any]] = []
    cited: set[tuple[int, ...]] = set()
    for _, name, value in sorted(pulls):
        feature = bundle.catalogue.by_name[name]
        behind = record.events_of(feature)
        key = tuple(behind.tolist())
        if len(behind) == 0 or key in cited or (feature.measure is Measure.OPEN and value == 0):
            continue
        cited.add(key)
        newest = behind[-1]
        facts.append(
            {
                "feature": name,
                "text": fact_text(
                    feature,
                    value,
                    bundle.currency,
                    day(int(record.history.occurred[newest]), record.history.time_zone),
                    str(record.history.source[newest]),
                )._asdict(),
                "events": [record.written(int(e)) for e in _most_telling(feature, behind, record)],
                "n_events": len(behind),
                "question": None,
            }
        )
        if len(facts) == MAX_FACTS:
            break
    return facts


def fact_text(feature: Feature, value: float, currency: str, newest_day: str, source: str) -> Text:
    """One sentence: what is on record, how much, and the newest entry's day and source."""
    if feature.measure is Measure.OPEN:
        return Text(f"{feature.meaning.zh}（{newest_day}，{source}）", f"{feature.meaning.en} ({newest_day}, {source})")
    zh, en = feature.unit.spoken(value, currency)
    return Text(
        f"{feature.meaning.zh}：{zh}（最近一条 {newest_day}，{source}）",
        f"{feature.meaning.en}: {en} (latest record {newest_day}, {source})",
    )


def data_gaps(bundle: Bundle, is_unknown: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Domains of which nothing or not everything is known, the most important first."""
    gaps: list[tuple[float, dict[str, Any]]] = []
    total = float(bundle.importance.sum()) or 1.0
    for group in Group:
        of_group = np.array([feature.group is group for feature in bundle.catalogue.features], np.bool_)
        unknown = of_group & is_unknown
        if group is Group.CONTEXT or not unknown.any():
            continue
        share = float(unknown.sum() / of_group.sum())
        weight = float(bundle.importance[unknown].sum()) / total
        zh, en = GROUP_TEXT[group]
        text = (
            Text(f"没有{zh}方面的记录", f"Nothing on record about: {en.lower()}")
            if share == 1.0
            else Text(f"{zh}方面的记录不全", f"The record is incomplete about: {en.lower()}")
        )
        gap = {
            "group": group.value,
            "kind": "missing" if share == 1.0 else "incomplete",
            "share_unknown": round(share, 4),
            "weight_in_model": round(weight, 4),
            "text": text._asdict(),
        }
        gaps.append((-weight, gap))
    return [gap for _, gap in sorted(gaps, key=_gap_order)]


def _gap_order(gap: tuple[float, dict[str, Any]]) -> tuple[float, str]:
    return gap[0], str(gap[1]["group"])


def _most_telling(feature: Feature, behind: npt.NDArray[np.int64], record: Record) -> list[int]:
    """The few events to cite: the largest amounts of a sum or maximum, otherwise the newest."""
    newest_first: list[int] = behind[::-1].tolist()
    if feature.measure in (Measure.SUM, Measure.MAX):
        size: Callable[[int], float] = lambda e: -float(np.nan_to_num(record.history.value[e]))  # noqa: E731
        return sorted(newest_first, key=size)[:MAX_EVENTS]
    return newest_first[:MAX_EVENTS]


def _strength(log_odds: float) -> str:
    """Words for the size of a group's pull; numbers are for auditors."""
    if log_odds > STRONG_FROM:
        return "strong"
    return "medium" if log_odds >= MEDIUM_FROM else "slight"
