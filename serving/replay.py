"""A kept assessment worked out again from what was known when it was made, and compared with what was told.

What was known then is found by the numbers of the journal's entries, never by a clock: the visits and objections up to
the entry that the call had seen, and the assessment before it. Neither the answer nor a refusal tells a value.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from features.window import is_after, written
from models.bundle import MANIFEST, BundleRefused, read_bundle
from serving.errors import UnknownCase
from serving.keeping import CHANGES_UP_TO, own_word
from serving.messages import Household
from serving.rescoring import rescore, with_change, with_visits
from serving.scoring import Scorer
from serving.settings import Settings, bundle_key
from serving.store import assessments, consent, journal
from serving.store.assessment_lines import KEPT, Line, documents_there, row_digest
from serving.store.assessments import Row
from serving.store.documents import digest, unpacked
from serving.store.earlier import Before, before
from serving.store.engine import Store
from serving.store.tables import ASSESSMENTS, INPUTS
from serving.store.visits import visit_events
from serving.visit_events import Event

MAX_DIFFERENCES = 20
BUNDLES_HELD = 2
ADOPTED, BATCH = "adopted", "batch"


class CannotReplay(Exception):
    """Why an assessment cannot be worked out again (`why` in the answer)."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Past:
    """An assessment as it lies in the store, and what was known when it was made.

    `is_whole`: row and documents have the digests that the journal told. `is_change_known`: the assessment that it was
    compared with is still kept. `previous` is the assessment before, None
    where there was none.
    """

    row: Row
    record: dict[str, Any]
    record_sha256: str
    inputs: dict[str, Any] | None
    entry: Mapping[str, Any]
    kind: str
    seq: int
    is_whole: bool
    is_change_known: bool
    visit_events: list[Event]
    is_human_only: bool
    previous: Before | Row | None


class EarlierBundles:
    """The models that answered before, found in a folder of bundles by the hash of the manifest; a few stay loaded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: OrderedDict[tuple[str, bool, bool], Scorer] = OrderedDict()
        self._turn = threading.Lock()

    def scorer(self, in_use: Scorer, sha256: str, rules_only: bool, speaks_numbers: bool) -> Scorer:
        """A scorer with this bundle and these settings. Raises `CannotReplay`."""
        handling = in_use.handling
        is_used = in_use.bundle.sha256 == sha256
        if is_used and (handling.rules_only, handling.speaks_numbers) == (rules_only, speaks_numbers):
            return in_use
        with self._turn:
            named = (sha256, rules_only, speaks_numbers)
            if named not in self._held:
                bundle = in_use.bundle if is_used else self._read(sha256)
                settings = dataclasses.replace(self._settings, rules_only=rules_only, speaks_numbers=speaks_numbers)
                self._held[named] = Scorer(bundle, settings)
            self._held.move_to_end(named)
            while len(self._held) > BUNDLES_HELD:
                self._held.popitem(last=False)
            return self._held[named]

    def _read(self, sha256: str) -> Any:
        folder = self._settings.earlier_bundles
        for manifest in sorted(Path(folder).glob(f"*/{MANIFEST}")) if folder else ():
            if hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256:
                try:
                    return read_bundle(manifest.parent, key=bundle_key(os.environ))
                except BundleRefused:
                    raise CannotReplay("bundle-refused") from None
        raise CannotReplay("bundle-not-at-hand")


def replay(scorer: Scorer, store: Store, assessment_id: str, bundles: EarlierBundles) -> dict[str, Any]:
    """What came out the second time (`serving.case_messages.Replay`). Raises `UnknownCase`, and what the store
    raises."""
    with store.reading() as connection:
        past = past_of(connection, assessment_id)
    told: dict[str, Any] = {
        "assessment_id": assessment_id,
        "bundle_sha256": past.row.bundle_sha256,
        "input_sha256": past.row.inputs_sha256,
        "record_sha256": past.record_sha256,
        "recomputed_sha256": None,
        "differences": [],
        "not_compared": [] if past.is_change_known else ["change"],
        "journal_seq": past.seq,
    }
    altered = None if past.is_whole else "altered"
    try:
        again = recomputed(scorer, past, bundles)
    except CannotReplay as cannot:
        return {**told, "reproduced": None if past.is_whole else False, "why": altered or cannot.why}
    left_out = set(told["not_compared"])
    found = differences(
        {name: of for name, of in past.record.items() if name not in left_out},
        {name: of for name, of in again.items() if name not in left_out},
    )
    told |= {"recomputed_sha256": digest(again), "differences": found}
    if past.is_whole and found and past.record.get("rules") != again.get("rules"):
        return {**told, "reproduced": None, "why": "other-rules"}
    return {**told, "reproduced": past.is_whole and not found, "why": altered}


def past_of(connection: Connection, assessment_id: str) -> Past:
    """What is known of a past assessment. Raises `UnknownCase` where no record is kept."""
    joined = ASSESSMENTS.outerjoin(INPUTS, ASSESSMENTS.c.inputs_sha256 == INPUTS.c.sha256)
    chosen = select(*ASSESSMENTS.c, INPUTS.c.body).select_from(joined)
    found = connection.execute(chosen.where(ASSESSMENTS.c.assessment_id == assessment_id)).mappings().first()
    row = assessments.row(connection, assessment_id)
    entry = None if found is None or found["record_seq"] is None else journal.entry(connection, found["record_seq"])
    if found is None or row is None or entry is None:
        raise UnknownCase
    body = json.loads(entry.body)
    seen = None if entry.kind == ADOPTED else body.get("seen")
    name = row.household_id
    events = visit_events(connection, [name], row.stored_at if seen is None else None, up_to=seen)
    return Past(
        row=row,
        record=_document(found["record"]) or {},
        record_sha256=found["record_sha256"],
        inputs=_document(found["body"]),
        entry=body,
        kind=entry.kind,
        seq=entry.seq,
        is_whole=_is_whole(connection, found, entry.seq, body),
        is_change_known=entry.kind != ADOPTED and _is_previous_kept(connection, found["record"]),
        visit_events=events.get(name, []),
        is_human_only=bool(consent.is_human_only(connection, [name], up_to=seen)),
        previous=_previous(connection, row, body, seen),
    )


def recomputed(scorer: Scorer, past: Past, bundles: EarlierBundles) -> dict[str, Any]:
    """The record as it comes out now. Raises `CannotReplay`."""
    if past.inputs is None:
        raise CannotReplay("no-inputs")
    if past.record.get("status") == "error":
        raise CannotReplay("failed-then")
    if past.kind == BATCH and past.entry.get("previous"):
        raise CannotReplay("previous-run-not-kept")
    how = (bool(past.entry.get("rules_only", False)), bool(past.entry.get("speaks_numbers", True)))
    of_then = bundles.scorer(scorer, past.row.bundle_sha256, *how)
    is_after_visit = past.kind != BATCH and "previous" in past.entry
    try:
        again = _after_visit(of_then, past) if is_after_visit else _called(of_then, past)
    except CannotReplay:
        raise
    except Exception:
        # Whatever is wrong with what lies there: its words may repeat a value.
        raise CannotReplay("inputs-not-readable") from None
    # As it is read back from the store.
    told: dict[str, Any] = json.loads(json.dumps(again))
    return told


def differences(then: Any, now: Any) -> list[str]:
    """Where two documents differ, as JSON pointers, at most `MAX_DIFFERENCES`.

    >>> differences({"a": [1, {"b": 2}], "c": 0}, {"a": [1, {"b": 3}]})
    ['/a/1/b', '/c']
    """
    return [path for path, _ in zip(_differences(then, now, ""), range(MAX_DIFFERENCES), strict=False)]


def _differences(then: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for name in sorted({*then, *now}):
            if name in then and name in now:
                yield from _differences(then[name], now[name], f"{path}/{name}")
            else:
                yield f"{path}/{name}"
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for k, (a, b) in enumerate(zip(then, now, strict=True)):
            yield from _differences(a, b, f"{path}/{k}")
    elif type(then) is not type(now) or then != now:
        yield path


def _called(scorer: Scorer, past: Past) -> dict[str, Any]:
    """As a call got it, or a batch, which tells no change."""
    assert past.inputs is not None
    inputs, at = past.inputs, past.row.stored_at
    events = own_word(past.visit_events, past.is_human_only, inputs["as_of"])
    if events:
        inputs = with_visits(scorer, inputs, events, at)
    household = Household.model_validate(inputs)
    if past.kind == BATCH:
        # A batch may judge any day; what it read was known by then.
        at = past.row.as_of if is_after(np.array([past.row.as_of]), at)[0] else at
        return scorer.score([household], at)[0]
    record = scorer.score([household], at)[0]
    if not isinstance(past.previous, Before) or past.entry.get("n", 1) > CHANGES_UP_TO:
        return record
    last = past.previous
    return with_change(scorer, household, record, last.said, last.inputs, past.visit_events, now=at)


def _after_visit(scorer: Scorer, past: Past) -> dict[str, Any]:
    """As it came out after a visit or an objection."""
    assert past.inputs is not None
    if past.previous is None:
        raise CannotReplay("previous-not-kept")
    at = past.row.stored_at
    spoken = own_word(past.visit_events, past.is_human_only, written(at, scorer.bundle.time_zone))
    said = past.previous.said if isinstance(past.previous, Before) else past.previous
    return rescore(scorer, scorer.settings, past.inputs, spoken, said, past.row.as_of)


def _previous(connection: Connection, row: Row, body: Mapping[str, Any], seen: int | None) -> Before | Row | None:
    """The assessment that came before: named by the entry of a visit, or the newest of a moment before."""
    named = body.get("previous")
    if isinstance(named, str):
        found = assessments.row(connection, named)
        record = assessments.record(connection, named) if named == body.get("of") else None
        return found if record is None else Before(record, None)
    asked = (row.household_id, row.as_of)
    return None if seen is None else before(connection, [asked], seen).get(asked)


def _is_whole(connection: Connection, found: Mapping[Any, Any], seq: int, body: Mapping[str, Any]) -> bool:
    """Whether the journal tells the digests of what lies there."""
    key, name = journal.secret(connection), found["assessment_id"]
    of_row = journal.entry(connection, found["journal_seq"]) if found["journal_seq"] != seq else None
    lines = {each[0]: Line(*each) for each in body.get(KEPT, ())}
    first = lines if of_row is None else {e[0]: Line(*e) for e in json.loads(of_row.body).get(KEPT, ())}
    if name not in lines or name not in first:
        return False
    return first[name].row == row_digest(key, found) and lines[name].documents == documents_there(key, found)


def _is_previous_kept(connection: Connection, record: bytes | None) -> bool:
    change = (_document(record) or {}).get("change")
    return change is None or assessments.row(connection, change["previous"]["assessment_id"]) is not None


def _document(body: bytes | None) -> dict[str, Any] | None:
    """A document of the store; one that somebody made unreadable has nothing in it."""
    if body is None:
        return None
    try:
        found = unpacked(body)
    except Exception:
        return {}
    return found if isinstance(found, dict) else {}
