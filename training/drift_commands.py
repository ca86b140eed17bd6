"""Commands for a model in use: `drift` watches it, `recalibrate` applies a level that a person has approved."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from features.progress import bar
from training.command_frame import refusing
from training.recalibration import ROLES, Proposal, proposed, recalibrated

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.profile import Profile
    from training.drift import Drift
    from training.watching import Watched

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)
machine = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("folder", type=FOLDER)
@click.option("--since", help="First moment to watch (a day); the day after training ended if not given.")
@click.option("--until", help="Last moment to watch (a day).")
@click.option("--label", help="What it should have foreseen; the bundle's own label if not given.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap and the folds.")
@click.option("--out", type=OUT, help="Folder for drift.json, drift.md, drift.png and, if due, proposal.json.")
@machine
def drift(
    bundle: Path,
    folder: Path,
    since: str | None,
    until: str | None,
    label: str | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Check whether a bundle in use still fits its households; propose a new level if not.

    It changes nothing. A proposal is applied with `povrisk recalibrate`.
    """
    from models.bundle import read_bundle
    from training.drift import as_json as written
    from training.watching import watched

    with refusing():
        read = read_bundle(bundle, key=_key())
        profile = _profile(read)
        with bar("Scoring") as advance:
            seen = watched(read, folder, label=label, since=since, until=until, progress=advance)
        found = _drift_of(read, profile, seen, seed)
        proposal = _proposal_of(read, seen, seed) if found.may_propose else None
    content = {**written(found), "bundle_sha256": read.sha256, "label": seen.label, "data_until": seen.data_until}
    if out is not None:
        _write(out, read, folder, seen, found, content, proposal)
    if as_json:
        click.echo(json.dumps(content | {"proposal": None if proposal is None else proposal.as_json()}))
        return
    click.echo(f"{found.verdict}: {read.name} {read.version}, {found.moments[0]} to {found.moments[1]}")
    for finding in found.findings:
        click.echo(f"  {finding.verdict:<12}{finding.text}")
    if proposal is not None:
        click.echo(_proposal_text(proposal))


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("proposal", type=FILE)
@click.option("--approved-by", type=click.Choice(ROLES), required=True, help="Role of who approved; never a name.")
@click.option("--out", type=OUT, required=True, help="Folder of the new bundle; the former one stays as it is.")
@machine
def recalibrate(bundle: Path, proposal: Path, approved_by: str, out: Path, as_json: bool) -> None:
    """Write a bundle with the level of an approved proposal. Trees and reasons stay as they are."""
    with refusing():
        asked = Proposal.from_json(json.loads(proposal.read_text("utf-8")))
        today = datetime.now(UTC).date().isoformat()
        made = recalibrated(bundle, asked, out, approved_by=approved_by, approved_on=today, key=_key())
    if as_json:
        click.echo(json.dumps({"bundle": str(out), "version": made.version, "sha256": made.sha256}))
    else:
        click.echo(f"Bundle {made.name} {made.version} written to {out}, approved by role {approved_by}")


def _key() -> bytes | None:
    key = os.environ.get("POVRISK_BUNDLE_KEY")
    return bytes.fromhex(key) if key else None


def _profile(bundle: Bundle) -> Profile:
    profile = bundle.certainty.profile
    if profile is None:
        raise ValueError("the bundle holds no profile of its training; train it again to be able to watch it")
    return profile


def _drift_of(bundle: Bundle, profile: Profile, seen: Watched, seed: int) -> Drift:
    from training.comparison import clusters_of
    from training.drift import drift as drift_of

    return drift_of(
        profile,
        seen.rows,
        seen.recent_values,
        importance=bundle.importance,
        time_zone=bundle.time_zone,
        clusters=clusters_of(seen.rows)[0],
        seed=seed,
    )


def _proposal_of(bundle: Bundle, seen: Watched, seed: int) -> Proposal | None:
    """A proposal from the latest year with outcomes, or None while too few of them are known."""
    from training.drift import latest_rows
    from training.level import month
    from training.recalibration import RecalibrationRefused

    rows = latest_rows(seen.rows[~seen.rows["abstained"]], bundle.time_zone)
    first, last = (month(int(moment), bundle.time_zone) for moment in (rows["as_of"].min(), rows["as_of"].max()))
    try:
        return proposed(bundle.sha256, rows, since=first, until=last, seed=seed)
    except RecalibrationRefused:
        return None


def _proposal_text(proposal: Proposal) -> str:
    return (
        f"Proposal: log-odds x {proposal.slope:.3f} {proposal.intercept:+.3f}, from {proposal.positives:,} outcomes in "
        f"{proposal.rows:,} rows ({proposal.since} to {proposal.until});\nobserved / foretold "
        f"{proposal.observed_expected_before:.2f} -> {proposal.observed_expected_after:.2f}, log-loss "
        f"{proposal.log_loss_before:.4f} -> {proposal.log_loss_after:.4f} on households it was not fitted on."
    )


def _write(
    out: Path,
    bundle: Bundle,
    folder: Path,
    seen: Watched,
    found: Drift,
    content: dict[str, object],
    proposal: Proposal | None,
) -> None:
    from training.drift_plots import drift_figure
    from training.drift_report import report

    out.mkdir(parents=True, exist_ok=True)
    named = f"{bundle.name} {bundle.version}"
    page = report(found, bundle=named, dataset=folder.name, label=seen.label, proposal=proposal is not None)
    (out / "drift.json").write_text(_text(content), encoding="utf-8")
    (out / "drift.md").write_text(page, encoding="utf-8")
    drift_figure(found).savefig(out / "drift.png")
    # A proposal of an earlier run beside a report without one would be taken for this run's.
    (out / "proposal.json").unlink(missing_ok=True)
    if proposal is not None:
        (out / "proposal.json").write_text(_text(proposal.as_json()), encoding="utf-8")


def _text(content: dict[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n"
