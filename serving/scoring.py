"""A bundle at work: checked households in, assessments out, in the order asked."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from features.history import UNKNOWN_CODE, History, history_of
from features.rules.pack import NATIONAL
from features.rules.rulebook import Rulebook, rulebook
from features.tables import Tables
from features.window import MICROS_PER_DAY, Micros, is_known, written
from models.assessment import Assessed, assess
from models.bundle import Bundle
from models.handling import PLAIN, Handling
from models.record_frame import failed
from serving.cases import Frame, read_cases
from serving.clock import now
from serving.errors import Refusal
from serving.messages import Event, Household, Member
from serving.redaction import places
from serving.settings import Settings

logger = logging.getLogger("povrisk.serving")
LANGUAGES = ("zh", "en")


class Scorer:
    """Assesses households with one bundle. Holds nothing about any of them between calls."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        self.bundle = bundle
        self.settings = settings
        self.handling = Handling(
            rules_only=settings.rules_only, book=own_rules(settings), speaks_numbers=settings.speaks_numbers
        )
        rules = self.handling.rules(bundle)
        ruled = () if rules is None else tuple(r for r in rules.packs.regions if r not in (NATIONAL, *bundle.regions))
        self.frame = Frame(bundle.catalogue, bundle.currency, bundle.time_zone, (*bundle.regions, *ruled))

    def warm_up(self) -> None:
        """Assess an invented household, so that the first real call does not wait for code to be compiled."""
        moment = now(self.settings)
        kind = self.bundle.catalogue.kinds[0]
        yesterday = written(moment - MICROS_PER_DAY)
        event = Event(event_id="warm-up", code=kind.code, occurred_at=yesterday, source=kind.department.source)
        member = Member(person_id="warm-up", role="head", joined_at="2000-01-01")
        household = Household(
            household_id="warm-up",
            as_of=written(moment),
            region=self.bundle.regions[0],
            residence="rural",
            members=[member],
            events=[event],
        )
        self.score([household], moment)

    def score_all(
        self, asked: Sequence[Sequence[Household]], at: Micros, *, may_read_sealed: Sequence[bool]
    ) -> list[list[dict[str, Any]] | Refusal]:
        """The assessments of several calls; of a call that cannot be answered its refusal, which costs no other."""
        answers: list[list[dict[str, Any]] | Refusal] = []
        for households, sealed in zip(asked, may_read_sealed, strict=True):
            try:
                answers.append(self.score(households, at, may_read_sealed=sealed))
            except Refusal as refusal:
                answers.append(refusal)
        return answers

    def score(
        self, households: Sequence[Household], at: Micros | None = None, *, may_read_sealed: bool = False
    ) -> list[dict[str, Any]]:
        """One assessment a household, in the order given. Raises `Invalid` before anything is computed.

        `at` is now, by the service's clock, unless it is told. `may_read_sealed`: the caller's role may see sealed
        wording.
        """
        cases = read_cases(households, self.frame, self.settings, now(self.settings) if at is None else at)
        answers: dict[str, dict[str, Any]] = {}
        handling = dataclasses.replace(self.handling, previous=cases.previous, may_read_sealed=may_read_sealed)
        for as_of in sorted(set(cases.as_of)):
            ids = [name for name, moment in zip(cases.household_ids, cases.as_of, strict=True) if moment == as_of]
            parts = [(name,) for name in ids]
            answers.update(assess_parts(self.bundle, cases.tables, parts, as_of, handling=handling))
        return [answers[name] for name in cases.household_ids]


def own_rules(settings: Settings) -> Rulebook | None:
    """The shipped rules with the user's own packs beside them; None without own packs. Raises `RuleFileRefused`."""
    return rulebook(Path(settings.packs)) if settings.packs else None


def assess_parts(
    bundle: Bundle, tables: Tables, parts: Sequence[tuple[str, ...]], as_of: Micros, *, handling: Handling = PLAIN
) -> dict[str, dict[str, Any]]:
    """Assess the households named in `parts`, together if possible.

    Households of one part share persons and stay together. When a computation fails, it is repeated on halves until
    the part at fault is alone: its households become errors without a number, all others are untouched.
    """
    answers: dict[str, dict[str, Any]] = {}
    for assessed in assessed_parts(bundle, tables, parts, as_of, handling=handling):
        if isinstance(assessed, Assessed):
            answers.update(_told(assessed))
        else:
            answers.update({name: error_record(bundle, name, as_of) for name in assessed})
    return answers


def assessed_parts(
    bundle: Bundle,
    tables: Tables,
    parts: Sequence[tuple[str, ...]],
    as_of: Micros,
    *,
    reasons: bool = True,
    handling: Handling = PLAIN,
) -> Iterator[Assessed | list[str]]:
    """The households of `parts` assessed in as few pieces as possible; of a part that fails alone only the names."""
    names = {name for part in parts for name in part}
    try:
        history = history_of(tables.of(names), bundle.catalogue, time_zone=bundle.time_zone)
        yield assess(bundle, history, as_of, reasons=reasons, handling=handling).settled()
        return
    except Exception as error:
        if len(parts) == 1:
            logger.error("%d household(s) could not be assessed\n%s", len(names), places(error))
            yield sorted(names)
            return
    middle = len(parts) // 2
    for half in (parts[:middle], parts[middle:]):
        yield from assessed_parts(bundle, tables, half, as_of, reasons=reasons, handling=handling)


def _told(assessed: Assessed) -> dict[str, dict[str, Any]]:
    answers = {}
    unknown = unknown_codes(assessed.history, assessed.seen.as_of)
    for i, name in enumerate(assessed.history.household_ids):
        try:
            answers[name] = assessed.record(i)
        except Exception as error:
            logger.error("1 household(s) could not be assessed\n%s", places(error))
            answers[name] = error_record(assessed.bundle, name, assessed.seen.as_of)
        else:
            answers[name]["data_quality"]["unknown_codes"] = unknown[i]
    return answers


def error_record(bundle: Bundle, name: str, as_of: Micros) -> dict[str, Any]:
    """What is told of a household whose computation failed."""
    answer = failed(bundle, name, as_of)
    answer["data_quality"]["unknown_codes"] = 0
    return answer


def unknown_codes(history: History, as_of: Micros) -> list[int]:
    """How many events known at `as_of` carry a code outside the catalogue, by household: counted, never scored."""
    unknown = is_known(history.known_from, history.known_until, as_of) & (history.code == UNKNOWN_CODE)
    counts = np.bincount(history.household[unknown], minlength=len(history.household_ids))
    return [int(count) for count in counts]


def in_language(value: Any, language: str | None) -> Any:
    """The value with every `{zh, en}` text reduced to the one language; unchanged without a language.

    >>> in_language({"limits": [{"zh": "不是决定", "en": "no decision"}], "tier": "grey"}, "en")
    {'limits': [{'en': 'no decision'}], 'tier': 'grey'}
    """
    if language is None:
        return value
    if isinstance(value, dict):
        is_text = all(name in value for name in LANGUAGES)
        others = {name for name in LANGUAGES if is_text and name != language}
        return {name: in_language(part, language) for name, part in value.items() if name not in others}
    if isinstance(value, list):
        return [in_language(part, language) for part in value]
    return value
