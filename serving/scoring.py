"""A bundle at work: checked households in, assessments out, in the order asked."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

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
from serving import metrics
from serving.cases import Cases, Frame, read_all
from serving.clock import now
from serving.codec import AnyHousehold
from serving.errors import Refusal
from serving.messages import Event, Household, Member
from serving.redaction import places
from serving.settings import Settings

logger = logging.getLogger("povrisk.serving")
LANGUAGES = ("zh", "en")
Records: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Told:
    """The assessments of one call, in the order asked: `records` as everybody may read them, which is what is kept, and
    `sealed_records` with sealed wording, None where the caller may not see it."""

    records: list[dict[str, Any]]
    sealed_records: list[dict[str, Any]] | None = None

    @property
    def shown(self) -> list[dict[str, Any]]:
        """What is shown to the caller."""
        return self.records if self.sealed_records is None else self.sealed_records


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
        """Assess an invented household, so that the first real call does not wait for code to be compiled. Raises
        `RuntimeError` where even that household cannot be assessed."""
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
        _, cases = read_all([[household]], self.frame, self.settings, moment)
        plain, _ = self._assessed(cases, set(cases.names), is_told=False)
        if any(record["status"] == "error" for record in plain.values()):
            raise RuntimeError("an invented household could not be assessed")

    def score_all(
        self, asked: Sequence[Sequence[AnyHousehold]], at: Micros, *, may_read_sealed: Sequence[bool]
    ) -> list[Told | Refusal]:
        """The assessments of several calls, worked out together; of a call that cannot be answered its refusal.

        No call is changed by another: not by a household of the same id, not by one that cannot be read, not by one
        whose assessment fails. `may_read_sealed` says of each call whether its caller's role may see sealed wording;
        such a call is told twice, once as everybody may read it.
        """
        began = time.perf_counter()
        refusals, cases = read_all(asked, self.frame, self.settings, at)
        sealed = np.repeat(np.array(may_read_sealed, np.bool_), [len(households) for households in asked])
        of_sound = np.repeat([refusal is None for refusal in refusals], [len(households) for households in asked])
        plain, opened = self._assessed(cases, {cases.names[place] for place in np.flatnonzero(sealed[of_sound])})
        names = iter(cases.names)
        answers: list[Told | Refusal] = []
        for households, refusal, is_sealed in zip(asked, refusals, may_read_sealed, strict=True):
            if refusal is not None:
                answers.append(refusal)
                continue
            own = list(islice(names, len(households)))
            answers.append(Told([plain[n] for n in own], [opened[n] for n in own] if is_sealed else None))
        metrics.stage("assess", time.perf_counter() - began)
        return answers

    def _assessed(self, cases: Cases, sealed: Collection[str], *, is_told: bool = True) -> tuple[Records, Records]:
        """The records of all cases, and of those in `sealed` once more with sealed wording, by the cases' own names."""
        plain: Records = {}
        opened: Records = {}
        ids = dict(zip(cases.names, cases.household_ids, strict=True))
        handling = dataclasses.replace(self.handling, previous=cases.previous, names=ids)
        for as_of in sorted(set(cases.as_of)):
            parts = [(name,) for name, moment in zip(cases.names, cases.as_of, strict=True) if moment == as_of]
            for assessed in assessed_parts(self.bundle, cases.tables, parts, as_of, handling=handling):
                if isinstance(assessed, Assessed):
                    told = _told(assessed)
                    if is_told:
                        metrics.told(list(told.values()), assessed.vectors.values)
                    plain.update(told)
                    opened.update(_told(assessed.for_sealed_readers(), sealed) if sealed else {})
                else:
                    failed = {name: error_record(self.bundle, ids[name], as_of) for name in assessed}
                    metrics.told(list(failed.values()))
                    plain.update(failed)
                    opened.update(failed)
        return plain, opened

    def score(
        self, households: Sequence[AnyHousehold], at: Micros | None = None, *, may_read_sealed: bool = False
    ) -> list[dict[str, Any]]:
        """One assessment a household, in the order given. Raises `Invalid` before anything is computed.

        `at` is now, by the service's clock, unless it is told. `may_read_sealed`: the caller's role may see sealed
        wording.
        """
        moment = now(self.settings) if at is None else at
        answer = self.score_all([households], moment, may_read_sealed=[may_read_sealed])[0]
        if isinstance(answer, Refusal):
            raise answer
        return answer.shown


def own_rules(settings: Settings) -> Rulebook | None:
    """The shipped rules with the user's own packs beside them; None without own packs. Raises `RuleFileRefused`."""
    return rulebook(Path(settings.packs)) if settings.packs else None


def assessed_parts(
    bundle: Bundle,
    tables: Tables,
    parts: Sequence[tuple[str, ...]],
    as_of: Micros,
    *,
    reasons: bool = True,
    handling: Handling = PLAIN,
) -> Iterator[Assessed | list[str]]:
    """The households of `parts` assessed in as few pieces as possible; of a part that fails alone only the names.

    Households of one part share persons and stay together. When a computation fails, it is repeated on halves until
    the part at fault is alone: all others are untouched.
    """
    names = {name for part in parts for name in part}
    try:
        rows = tables if len(names) == len(tables.households) else tables.of(names)
        history = history_of(rows, bundle.catalogue, time_zone=bundle.time_zone)
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


def _told(assessed: Assessed, wanted: Collection[str] | None = None) -> Records:
    """The records of all households, or of those wanted, by what the history calls them."""
    records: Records = {}
    unknown = unknown_codes(assessed.history, assessed.seen.as_of)
    for i, name in enumerate(assessed.history.household_ids):
        if wanted is not None and name not in wanted:
            continue
        try:
            records[name] = assessed.record(i)
        except Exception as error:
            logger.error("1 household(s) could not be assessed\n%s", places(error))
            records[name] = error_record(assessed.bundle, assessed.household_id(i), assessed.seen.as_of)
        else:
            records[name]["data_quality"]["unknown_codes"] = unknown[i]
    return records


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
