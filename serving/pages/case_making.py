"""Makes the training cases out of a synthetic county and a bundle trained on it: `cases/training.json`.

    python -m serving.pages.case_making COUNTY BUNDLE

The same county, bundle and release of povrisk give the same file. Households are drawn by a hash among those whose
outcome is known; their ids and those of their events are replaced, and only what the pages show is kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from features.dataset import DatasetRefused, read_dataset
from features.definition import Text
from features.tables import Tables
from features.window import as_of_moment, day_of
from models.bundle import Bundle, BundleRefused, read_bundle
from serving.pages.case_choice import CasesRefused, Chosen, County, drawn, entries_of

SCHEMA = "training_cases.v1"
PLACE = Path(__file__).parent / "cases" / "training.json"
MOST_STEPS, MOST_EVENTS = 10, 2
NOTHING = Text("12个月内没有纳入任何救助或监测。", "No entry into any aid or watch list within 12 months.")
# Fields of a record that the pages of a case read; of them `EMPTIED` stand for nothing.
KEPT = (
    "schema", "as_of", "valid_until", "horizon_months", "label", "status", "abstention", "low_confidence",
    "probability", "interval", "per_100", "frequency", "base_rate_per_100", "tier", "tier_basis", "reasons",
    "reason_note", "triggers", "data_gaps", "verification", "questions", "assistance_chain", "limits", "model",
)  # fmt: skip
EMPTIED: dict[str, Any] = {"change": None, "policy_candidates": []}


@click.command()
@click.argument("county", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--as-of", default="", help="Moment of judgement; the last one of the dataset if not given.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=PLACE, help="The file to write.")
def main(county: Path, bundle: Path, as_of: str, out: Path) -> None:
    """Make the training cases from a synthetic COUNTY and a BUNDLE trained on it."""
    try:
        made = cases(county, read_bundle(bundle), as_of)
    except (CasesRefused, DatasetRefused, BundleRefused) as refused:
        click.echo(f"Error: {refused}", err=True)
        sys.exit(1)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_written(made), encoding="utf-8")
    click.echo(f"{len(made['cases'])} cases, {out.stat().st_size // 1024} kB")


def as_written(made: dict[str, Any]) -> str:
    """The text of the file: one case a line, so that a change of one shows as such."""
    head = {name: value for name, value in made.items() if name != "cases"}
    lines = [json.dumps(case, ensure_ascii=False, sort_keys=True, allow_nan=False) for case in made["cases"]]
    opened = json.dumps(head, ensure_ascii=False, sort_keys=True).removesuffix("}")
    return f'{opened}, "cases": [\n' + ",\n".join(lines) + "\n]}\n"


def cases(county: Path, bundle: Bundle, as_of: str = "") -> dict[str, Any]:
    """Twenty cases as JSON values. Raises `CasesRefused` where the county is too small, or not synthetic."""
    dataset = read_dataset(county)
    if not dataset.meta.provenance.startswith("synthetic"):
        raise CasesRefused("training cases are made from synthetic counties only")
    bundle.refuse_foreign(dataset.meta)
    moment = as_of_moment(as_of or dataset.meta.moments.until, bundle.time_zone)
    tables = Tables.from_frames(dataset.events, dataset.members, dataset.households)
    county_of = County(bundle, tables, moment, entries_of(bundle, dataset.events, moment))
    chosen = county_of.chosen()
    order = sorted(range(len(chosen)), key=lambda i: drawn(f"order {i}"))
    return {
        "schema": SCHEMA,
        "made_from": {
            "dataset": dataset.meta.name,
            "dataset_digest": dataset.meta.digest,
            "bundle_sha256": bundle.sha256,
            "as_of": day_of(moment, bundle.time_zone).isoformat(),
        },
        "cases": [_case(number, chosen[i]) for number, i in enumerate(order, 1)],
    }


def _case(number: int, chosen: Chosen) -> dict[str, Any]:
    """One case as JSON values, under its number and no other name."""
    of = chosen.household
    told, wrong = _at_visit(chosen), chosen.wrong
    outcome = NOTHING if of.months is None or of.entry is None else _after(of.months, of.entry)
    return {
        "case": number,
        "kind": chosen.kind,
        "record": _reduced(of.record, f"case-{number}"),
        "at_visit": None if told is None else told._asdict(),
        "outcome": {"happened": of.happened, "months": of.months, "text": outcome._asdict()},
        "corrected": None if wrong is None else {"per_100": wrong.per_100_without, "tier": wrong.tier_without},
        "lesson": chosen.story.lesson._asdict(),
    }


def _after(months: int, entry: Text) -> Text:
    when = "1 month" if months == 1 else f"{months} months"
    return Text(f"第{months}个月：{entry.zh}。", f"Within {when}: {entry.en}.")


def _at_visit(chosen: Chosen) -> Text | None:
    """The story, with the domain of the wrong record put in."""
    at_visit = chosen.story.at_visit
    if at_visit is None or chosen.wrong is None:
        return at_visit
    domains = chosen.wrong.domains
    return Text(at_visit.zh.format(group=domains.zh), at_visit.en.format(group=domains.en))


def _reduced(record: dict[str, Any], name: str) -> dict[str, Any]:
    """What the pages of a case read of the record, with other names for the household and its events."""
    kept = {field: record[field] for field in KEPT} | EMPTIED
    kept["assessment_id"] = kept["household_id"] = name
    # A task speaks of the tier of the day, which a trainee is not to know yet.
    kept["triggers"] = [
        trigger
        for trigger in kept["triggers"]
        if trigger["state"] == "true" and trigger["tier"] != "task" and not trigger["sealed"]
    ]
    kept["assistance_chain"] = kept["assistance_chain"][-MOST_STEPS:]
    named: dict[str, str] = {}

    def renamed(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**event, "event_id": named.setdefault(event["event_id"], f"{name}-{len(named) + 1}")}
            for event in events[:MOST_EVENTS]
        ]

    kept["reasons"] = [
        {**reason, "facts": [{**fact, "events": renamed(fact["events"])} for fact in reason["facts"]]}
        for reason in kept["reasons"]
    ]
    for field in ("triggers", "verification"):
        kept[field] = [{**each, "evidence": renamed(each["evidence"])} for each in kept[field]]
    return kept


if __name__ == "__main__":
    main()
