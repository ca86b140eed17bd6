"""A store with one household of every kind that a page must be able to show, from the tiny synthetic county."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import update

from features.dataset import Dataset, read_dataset
from features.history import history_from_tables
from features.window import as_of_moment
from models.assessment import assess
from models.bundle import Bundle
from models.record_frame import failed
from serving.extract import request_of
from serving.messages import Household
from serving.scoring import Scorer
from serving.settings import Settings
from serving.store.assessments import keep, kept_of
from serving.store.engine import open_store
from serving.store.tables import TASKS
from serving.store.tasks import TaskRow, open_or_update

KINDS = ("high", "grey", "abstained", "rules_only", "error")


@dataclasses.dataclass(frozen=True)
class Site:
    """Where the store lies, what day it is there, and the assessment of every kind by its name."""

    store: str
    today: str
    assessments: Mapping[str, str]


def fill(store_file: Path, county: Path, bundle: Bundle) -> Site:
    """Make the store: the five kinds of `KINDS`, one `blind`, one to be `tapped` and one to be `typed` into."""
    dataset = read_dataset(county)
    today = dataset.meta.moments.until
    cases = _cases(dataset, bundle, today)
    store = open_store(f"sqlite:///{store_file}")
    at = as_of_moment(today, bundle.time_zone)
    with store.writing() as connection:
        kept = [
            kept_of(record, inputs, origin="call", purpose="prioritise_visit", time_zone=bundle.time_zone)
            for record, inputs in cases.values()
        ]
        keep(connection, kept, at)
        open_or_update(connection, [TaskRow.of(each) for each in kept], at)
        blind = cases["blind"][0]["household_id"]
        connection.execute(update(TASKS).values(is_blind=TASKS.c.household_id == blind))
    store.close()
    named = {kind: record["assessment_id"] for kind, (record, _) in cases.items()}
    return Site(f"sqlite:///{store_file}", today, named)


def _cases(dataset: Dataset, bundle: Bundle, today: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """A record and the household it was made from for every kind, each of another household."""
    telling, silent = _chosen(dataset, bundle, today)
    scorer = Scorer(bundle, Settings(today=today))
    by_rules = Scorer(bundle, Settings(today=today, rules_only=True))
    cases = {}
    for kind, name in zip(
        ("high", "blind", "tapped", "typed", "rules_only", "abstained", "error"), telling, strict=False
    ):
        inputs = request_of(dataset, name, today)["households"][0]
        if kind == "abstained":
            inputs = _with_two_heads(inputs)
        answer = (by_rules if kind == "rules_only" else scorer).score([Household.model_validate(inputs)])[0]
        if kind == "error":
            answer = failed(bundle, name, as_of_moment(today, bundle.time_zone))
            answer["data_quality"]["unknown_codes"] = 0
        cases[kind] = (answer, inputs)
    inputs = request_of(dataset, silent, today)["households"][0]
    cases["grey"] = (scorer.score([Household.model_validate(inputs)])[0], inputs)
    assert (cases["grey"][0]["tier"], cases["abstained"][0]["status"]) == ("grey", "abstained")
    return cases


def _chosen(dataset: Dataset, bundle: Bundle, today: str) -> tuple[list[str], str]:
    """Households with a high score, several reasons and a true trigger, and one that is grey."""
    history = history_from_tables(
        dataset.events, dataset.members, dataset.households, bundle.catalogue, time_zone=bundle.time_zone
    )
    assessed = assess(bundle, history, as_of_moment(today, bundle.time_zone)).settled()
    rows = [assessed.row(i) for i in range(len(history.household_ids))]
    grey = next(row["household_id"] for row in rows if row["tier"] == "grey")
    told = [row for row in rows if row["probability"] is not None and _tells(row)]
    told.sort(key=lambda row: (-row["probability"], row["household_id"]))
    return [row["household_id"] for row in told[:7]], grey


def _tells(row: Mapping[str, Any]) -> bool:
    raising = [reason for reason in row["reasons"] if reason["direction"] == "raises"]
    return len(raising) >= 2 and any(trigger["state"] == "true" for trigger in row["triggers"])


def _with_two_heads(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same household with everybody as its head, which cannot be right."""
    changed = copy.deepcopy(inputs)
    first = changed["members"][0]
    changed["members"] = [first | {"person_id": "one", "role": "head"}, first | {"person_id": "two", "role": "head"}]
    changed["events"] = [event for event in changed["events"] if event.get("person_id") is None]
    return changed
