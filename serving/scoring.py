"""A bundle at work: checked households in, assessments out, in the order asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from features.history import UNKNOWN_CODE, History, history_from_tables
from features.window import Micros, is_known
from models.assessment import assessments, failed
from models.bundle import Bundle
from serving.cases import Cases, Frame, read_cases
from serving.messages import Household
from serving.settings import Settings

logger = logging.getLogger("povrisk.serving")
LANGUAGES = ("zh", "en")


class Scorer:
    """Assesses households with one bundle. Holds nothing about any of them between calls."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        self.bundle = bundle
        self.settings = settings
        self.frame = Frame(bundle.catalogue, bundle.currency, bundle.time_zone, bundle.regions)

    def score(self, households: Sequence[Household], now: Micros | None = None) -> list[dict[str, Any]]:
        """One assessment a household, in the order given. Raises `Invalid` before anything is computed.

        `now` is the server's clock unless it is told.
        """
        cases = read_cases(households, self.frame, self.settings, time.time_ns() // 1000 if now is None else now)
        answers: dict[str, dict[str, Any]] = {}
        for as_of in sorted(set(cases.as_of)):
            chosen = [i for i, moment in enumerate(cases.as_of) if moment == as_of]
            answers.update(self._at(cases.of(chosen), as_of))
        return [answers[household_id] for household_id in cases.household_ids]

    def _at(self, cases: Cases, as_of: Micros) -> dict[str, dict[str, Any]]:
        """Assess households that share a moment. One that cannot be computed becomes an error, the others stay."""
        try:
            return self._assessed(cases, as_of)
        except Exception:
            if len(cases.household_ids) > 1:
                alone = (self._at(cases.of([i]), as_of) for i in range(len(cases.household_ids)))
                return {household_id: answer for part in alone for household_id, answer in part.items()}
            logger.exception("one household could not be assessed")
            household_id = cases.household_ids[0]
            answer = failed(self.bundle, household_id, as_of)
            answer["data_quality"]["unknown_codes"] = 0
            return {household_id: answer}

    def _assessed(self, cases: Cases, as_of: Micros) -> dict[str, dict[str, Any]]:
        history = history_from_tables(
            cases.events, cases.members, cases.households, self.bundle.catalogue, time_zone=self.bundle.time_zone
        )
        answers = assessments(self.bundle, history, as_of)
        for answer, unknown in zip(answers, unknown_codes(history, as_of), strict=True):
            answer["data_quality"]["unknown_codes"] = unknown
        return dict(zip(history.household_ids, answers, strict=True))


def unknown_codes(history: History, as_of: Micros) -> list[int]:
    """How many events known at `as_of` carry a code outside the catalogue, by household: kept, counted, never scored."""
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
        if value and set(value) <= set(LANGUAGES):
            return {language: value[language]}
        return {name: in_language(part, language) for name, part in value.items()}
    if isinstance(value, list):
        return [in_language(part, language) for part in value]
    return value
