"""The assistance chain as a person reads it: steps in order of time, with how long each let wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from features.window import as_of_moment, day_of
from serving.pages.shown import Reader, plain

# What calls for somebody to come; a visit answers all that stand before it.
CALLING = ("signal", "alert", "call")

WORDS: dict[str, tuple[str, str]] = {
    "chain_title": ("帮扶过程", "How help came about"),
    "chain_note": (
        "按时间排列。只列有记录的事，没有记录不等于没有发生。",
        "In order of time. Only what is on record; no record does not mean it did not happen.",
    ),
    "chain_none": ("近两年没有记录到的步骤。", "No step is on record in the last two years."),
    "chain_until": ("截至{day}。", "As known on {day}."),
    "chain_reported": ("{day}得知", "known on {day}"),
    "chain_step_signal": ("信号", "signal"),
    "chain_step_alert": ("预警", "alert"),
    "chain_step_call": ("求助", "call for help"),
    "chain_step_visit": ("走访", "visit"),
    "chain_step_aid": ("帮扶", "help"),
    "chain_gap": ("从{a}到{b} {n} 天", "{n} days from {a} to {b}"),
    "chain_gap_one": ("从{a}到{b} 1 天", "1 day from {a} to {b}"),
    "chain_gap_same_day": ("从{a}到{b}：当天", "from {a} to {b}: the same day"),
    "chain_gap_alike": ("{n} 天后", "{n} days later"),
    "chain_gap_alike_one": ("1 天后", "1 day later"),
    "chain_gap_alike_same_day": ("同一天", "the same day"),
    "chain_waiting": ("{a}后 {n} 天，还没有走访记录", "{n} days since the {a}; no visit is on record"),
    "chain_waiting_one": ("{a}后 1 天，还没有走访记录", "1 day since the {a}; no visit is on record"),
    "chain_waiting_same_day": ("{a}就在当天，还没有走访记录", "The {a} came that same day; no visit is on record"),
}


@dataclass(frozen=True)
class StepShown:
    """One step: its kind and the word for it, what it was, when, who told, and how long after the step before it."""

    kind: str
    word: str
    text: str
    happened: str
    reported: str
    source: str
    gap: str


@dataclass(frozen=True)
class ChainShown:
    """The chain of one household. `waits` are the two or three sentences that matter: how long the last visit, and the
    help after it, let wait, and since when somebody waits now."""

    known_on: str
    steps: tuple[StepShown, ...]
    waits: tuple[str, ...]


def chain_shown(record: Mapping[str, Any], reader: Reader) -> ChainShown:
    """The chain of a record for one reader; its order is that of the record, oldest first."""
    chain: Sequence[Mapping[str, Any]] = record["assistance_chain"]
    before: list[Mapping[str, Any] | None] = [None, *chain]
    steps = [_step(step, last, reader) for last, step in zip(before[:-1], chain, strict=True)] if chain else []
    judged_on = day_of(as_of_moment(record["as_of"], reader.time_zone), reader.time_zone)
    return ChainShown(reader.judged_day(record["as_of"]), tuple(steps), tuple(_waits(chain, judged_on, reader)))


def office(entry: Mapping[str, Any], reader: Reader) -> str:
    """Who reported an event or a step, in the reader's language where it is the department that usually does."""
    source, kind = plain(entry["source"] or ""), reader.kinds.get(entry["code"] or "")
    return reader.says(kind.department.name) if kind is not None and kind.department.source == source else source


def _step(step: Mapping[str, Any], last: Mapping[str, Any] | None, reader: Reader) -> StepShown:
    happened, known = reader.day(step["at"]), reader.day(step["known_at"])
    reported = "" if happened == known else _word("chain_reported", reader, day=known)
    return StepShown(
        kind=step["step"],
        word=_word(f"chain_step_{step['step']}", reader),
        text=reader.line(step["text"]),
        happened=happened,
        reported=reported,
        source=office(step, reader),
        gap="" if last is None else _gap(last, step, reader),
    )


def _gap(a: Mapping[str, Any], b: Mapping[str, Any], reader: Reader) -> str:
    """How many days lie between two steps, in words."""
    days = (_day(b) - _day(a)).days
    ending = {0: "_same_day", 1: "_one"}.get(days, "")
    if a["step"] == b["step"]:
        return _word(f"chain_gap_alike{ending}", reader, n=days)
    names = {"a": _word(f"chain_step_{a['step']}", reader), "b": _word(f"chain_step_{b['step']}", reader)}
    return _word(f"chain_gap{ending}", reader, n=days, **names)


def _waits(chain: Sequence[Mapping[str, Any]], judged_on: date, reader: Reader) -> list[str]:
    """From the first call for the last visit to it, from it to the first help after it, and who waits since."""
    visits = [i for i, step in enumerate(chain) if step["step"] == "visit"]
    found: list[str] = []
    after = 0
    if visits:
        last = visits[-1]
        called = _first(chain[visits[-2] + 1 if len(visits) > 1 else 0 : last], CALLING)
        helped = _first(chain[last + 1 :], ("aid",))
        found += [_gap(called, chain[last], reader)] if called else []
        found += [_gap(chain[last], helped, reader)] if helped else []
        after = last + 1
    waiting = _first(chain[after:], CALLING)
    if waiting is not None:
        days = (judged_on - _day(waiting)).days
        ending = {0: "_same_day", 1: "_one"}.get(days, "")
        found.append(_word(f"chain_waiting{ending}", reader, n=days, a=_word(f"chain_step_{waiting['step']}", reader)))
    return found


def _first(steps: Sequence[Mapping[str, Any]], kinds: tuple[str, ...]) -> Mapping[str, Any] | None:
    return next((step for step in steps if step["step"] in kinds), None)


def _day(step: Mapping[str, Any]) -> date:
    return date.fromisoformat(step["at"][:10])


def _word(key: str, reader: Reader, **values: object) -> str:
    return WORDS[key][0 if reader.lang == "zh" else 1].format(**values)
