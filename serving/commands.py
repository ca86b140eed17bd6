"""Commands over a bundle: `verify`, `score`, `assess`, `request`, `serve`."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar

import click
from rich.console import Console
from rich.table import Table

from features.dataset import DatasetRefused, read_dataset
from serving.errors import Refusal
from serving.log_lines import LogRefused, form
from serving.running import LOOPBACK, NO_STORE, OWN_STORE, PortTaken, free_port, run_service
from serving.sessions import SESSION_KEY, SessionKeyRefused, own_key
from serving.settings import BUNDLE, SettingRefused, Settings, bundle_key, settings_from
from serving.tokens import TOKENS, TOKENS_FILE, TokensRefused, demo_tokens, tokens_from

if TYPE_CHECKING:
    from serving.batch import BatchReport

C = TypeVar("C")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
language = click.option("--lang", type=click.Choice(["zh", "en"]), help="One language; both without it.")
rules_only = click.option("--rules-only", is_flag=True, help="Switch the model off; the rules answer alone.")
packs = click.option("--packs", type=FOLDER, help="Folder of your own parameter packs, beside the shipped ones.")


def with_rules(settings: Settings, rules_only: bool, packs: Path | None) -> Settings:
    """The settings with what the options of a command say."""
    return dataclasses.replace(
        settings,
        rules_only=rules_only or settings.rules_only,
        packs=settings.packs if packs is None else str(packs.resolve()),
    )


def refuse(error: Exception) -> click.ClickException:
    """A refusal of input: its reason on standard error, exit code 1, no traceback."""
    if isinstance(error, Refusal) and error.errors:
        listed = [f"{'.'.join(map(str, e.path))} {e.reason}" for e in error.errors]
        return click.ClickException("\n".join([error.detail, *listed]))
    return click.ClickException(str(error))


def open_bundle(folder: Path) -> Any:
    """The verified bundle; warns once when no key was set to check who published it."""
    from models.bundle import BundleRefused, read_bundle

    try:
        key = bundle_key(os.environ)
        bundle = read_bundle(folder, key=key)
    except (BundleRefused, SettingRefused) as error:
        raise refuse(error) from error
    if key is None:
        click.echo("POVRISK_BUNDLE_KEY is not set: the bundle is whole, but who published it is not checked.", err=True)
    return bundle


@click.command()
@click.argument("bundle", type=FOLDER)
@as_json
def verify(bundle: Path, as_json: bool) -> None:
    """Verify a bundle: files, hashes, contract, golden rows, signature."""
    from models.bundle import verify_bundle

    try:
        key = bundle_key(os.environ)
    except SettingRefused as error:
        raise refuse(error) from error
    checks = verify_bundle(bundle, key=key)
    passed = all(check.passed for check in checks)
    if as_json:
        listed = [check._asdict() for check in checks]
        click.echo(json.dumps({"passed": passed, "signature_checked": key is not None, "checks": listed}))
    else:
        table = Table("check", "", "detail", title="Bundle verification")
        for check in checks:
            table.add_row(check.name, "ok" if check.passed else "REFUSED", check.detail)
        Console().print(table)
        if key is None:
            click.echo("POVRISK_BUNDLE_KEY is not set, so the signature was not checked.", err=True)
    if not passed:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("folder", type=FOLDER)
@click.option("--as-of", "as_of", required=True, help="Moment of judgement; a date means its end.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Parquet, or CSV by its name; with Spark a folder of Parquet files.",
)
@click.option("--no-reasons", is_flag=True, help="Leave out the reasons.")
@click.option(
    "--previous",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows of the run before; a tier then falls only after two runs or a visit.",
)
@click.option("--engine", type=click.Choice(["local", "spark"]), default="local", show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes [default: one a core, at most 2].")
@click.option("--store", "url", help="Fill this store, too: every household and its task.")
@click.option("--visits", type=click.IntRange(1), help="How many visits can be made [default: POVRISK_VISITS].")
@click.option(
    "--keep",
    type=click.Choice(["listed", "all"]),
    help="Whose whole assessment the store keeps [default: listed: not green, or within the visits].",
)
@rules_only
@packs
@as_json
def score(
    bundle: Path,
    folder: Path,
    as_of: str,
    out: Path,
    no_reasons: bool,
    previous: Path | None,
    engine: Literal["local", "spark"],
    workers: int | None,
    url: str | None,
    visits: int | None,
    keep: str | None,
    rules_only: bool,
    packs: Path | None,
    as_json: bool,
) -> None:
    """Assess every household of a dataset folder; one row a household. A run that was stopped goes on where it was.

    With --store the queue of visits is filled from the same run, all at once at its end.
    """
    from features.bucket_run import RunStopped
    from features.rules.files import RuleFileRefused
    from features.rules.pack import PackNotInForce
    from serving.batch import score_dataset, score_job
    from serving.store_options import StoreAway, opened_store

    if url is None and (visits or keep):
        raise click.UsageError("--visits and --keep go with --store")
    if url is not None and (engine == "spark" or no_reasons):
        raise click.UsageError("--store needs whole assessments from one machine: no --engine spark, no --no-reasons")
    opened = open_bundle(bundle)
    try:
        settings = with_rules(settings_from(os.environ), rules_only, packs)
        job = score_job(
            opened,
            bundle,
            folder,
            as_of,
            reasons=not no_reasons,
            rules_only=settings.rules_only,
            packs=Path(settings.packs) if settings.packs else None,
            previous=previous,
        )
        workers = workers or min(2, os.cpu_count() or 1)
        if url is None:
            report, loaded = score_dataset(job, folder, out, workers=workers, engine=engine), None
        else:
            from serving.batch_store import score_into_store
            from serving.clock import now

            with opened_store(url) as store:
                report, loaded = score_into_store(
                    job,
                    folder,
                    out,
                    store,
                    at=now(settings),
                    visits=visits or settings.visits,
                    keep=keep or "listed",
                    workers=workers,
                )
    except (DatasetRefused, OSError, RuleFileRefused, PackNotInForce, SettingRefused, RunStopped, StoreAway) as error:
        raise refuse(error) from error
    if as_json:
        told = dataclasses.asdict(report) | ({} if loaded is None else {"store": dataclasses.asdict(loaded)})
        click.echo(json.dumps({**told, "out": str(out)}, ensure_ascii=False))
        return
    _show_batch(report, out)
    if loaded is not None:
        click.echo(
            "The store has this run already; nothing was changed"
            if loaded.already
            else f"Into the store in {loaded.wall_s:.1f} s: {loaded.assessments:,} assessments, {loaded.records:,} of "
            f"them whole; {loaded.opened:,} tasks opened, {loaded.updated:,} moved, {loaded.left:,} left as they were"
        )


def _show_batch(report: BatchReport, out: Path) -> None:
    table = Table("tier", "households", title=f"{report.households:,} assessments")
    for tier, n in report.by_tier.items():
        table.add_row(tier, f"{n:,}")
    Console().print(table)
    click.echo(", ".join(f"{n:,} {status}" for status, n in report.by_status.items()) + f"; written to {out}")
    spent = sum(report.stages.values()) or 1.0
    largest = sorted(report.stages.items(), key=lambda entry: -entry[1])[:6]
    shares = ", ".join(f"{name} {seconds / spent:.0%}" for name, seconds in largest)
    click.echo(f"{report.wall_s:.1f} s, at most {report.peak_rss_mb:,} MB; processor time: {shares}")


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--household", required=True, help="Its id in the dataset.")
@click.option("--as-of", "as_of", required=True, help="Moment of judgement; a date means its end.")
@as_json
def request(folder: Path, household: str, as_of: str, as_json: bool) -> None:
    """Print the request for one household as it was known at a moment (JSON, with or without --json)."""
    from serving.extract import request_of

    try:
        body = request_of(read_dataset(folder), household, as_of)
    except DatasetRefused as error:
        raise refuse(error) from error
    click.echo(json.dumps(body, ensure_ascii=False, indent=None if as_json else 2))


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("file", type=click.File("rb"))
@language
@rules_only
@packs
@as_json
def assess(bundle: Path, file: BinaryIO, lang: str | None, rules_only: bool, packs: Path | None, as_json: bool) -> None:
    """Assess the one household of a request file and show it ('-' reads standard input)."""
    from features.rules.files import RuleFileRefused
    from features.rules.pack import PackNotInForce
    from serving.messages import Batch
    from serving.reading import read_batch
    from serving.scoring import Scorer, in_language
    from serving.terminal import show

    try:
        settings = with_rules(settings_from(os.environ), rules_only, packs)
        batch = read_batch(file.read(), settings, Batch)
    except (Refusal, SettingRefused) as error:
        raise refuse(error) from error
    if len(batch.households) != 1:
        raise click.ClickException("the file must hold exactly one household; use `povrisk score` for many")
    opened = open_bundle(bundle)
    try:
        answer = Scorer(opened, settings).score(batch.households)[0]
    except (Refusal, RuleFileRefused, PackNotInForce) as error:
        raise refuse(error) from error
    if as_json:
        click.echo(json.dumps(in_language(answer, lang), ensure_ascii=False))
    else:
        show(answer, lang, Console())
    if answer["status"] == "error":
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("bundle", type=FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer calls [default: 1].")
@click.option(
    "--store",
    help="Where assessments and visits are kept: sqlite:///FILE, postgresql://..., or none to only score "
    f"[default: POVRISK_STORE, or {OWN_STORE} in this folder].",
)
@click.option("--visits", type=click.IntRange(1), help="Visits a month that the workers can make.")
@click.option("--demo", is_flag=True, help="Make random tokens when none are set, and print them.")
@rules_only
@packs
@as_json
def serve(
    bundle: Path,
    host: str,
    port: int,
    workers: int | None,
    store: str | None,
    visits: int | None,
    demo: bool,
    rules_only: bool,
    packs: Path | None,
    as_json: bool,
) -> None:
    """Serve a bundle over HTTP until stopped. Bundle and store are verified before anything listens."""
    from features.rules.files import RuleFileRefused
    from serving.scoring import own_rules

    host = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise click.BadParameter("is no IP address", param_hint="--host") from None
    told = {
        "POVRISK_WORKERS": workers,
        "POVRISK_STORE": store,
        "POVRISK_VISITS": visits,
        "POVRISK_RULES_ONLY": "1" if rules_only else None,
        "POVRISK_PACKS": None if packs is None else packs.resolve(),
    }
    # Not resolved: where a link leads to may change while the service runs, and is then taken.
    environment = {**os.environ, BUNDLE: str(bundle.absolute())}
    environment |= {name: str(value) for name, value in told.items() if value is not None}
    made: dict[str, str] = {}
    try:
        settings = settings_from(environment)
        own_rules(settings)
        form(environment, sys.stderr)
        if settings.kill_switch:
            environment["POVRISK_KILL_SWITCH"] = str(Path(settings.kill_switch).absolute())
        environment[SESSION_KEY] = own_key(environment)
        if tokens_from(environment) is None:
            if not demo:
                raise TokensRefused(f"set {TOKENS} or {TOKENS_FILE}; --demo makes tokens for trying it out")
            made = demo_tokens()
            environment[TOKENS] = ",".join(f"{role}:{token}" for role, token in made.items())
        environment["POVRISK_STORE"], kept_in = _checked_store(settings.store)
        port = free_port(host, port)
    except (SettingRefused, SessionKeyRefused, TokensRefused, PortTaken, RuleFileRefused, LogRefused) as error:
        raise refuse(error) from error
    opened = open_bundle(bundle)
    if not is_loopback and host not in LOOPBACK:
        click.echo(
            f"{host} is reachable from other machines: put a TLS proxy with a header timeout in front.", err=True
        )
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def ready() -> None:
        if as_json:
            said = {"url": url, "model": opened.name, "version": opened.version, "store": kept_in, "tokens": made}
            click.echo(json.dumps(said))
            return
        click.echo(f"Serving {opened.name} {opened.version} at {url} (Ctrl+C stops)")
        for role, token in made.items():
            click.echo(f"  demo token {role:<11} {token}")
        if kept_in != NO_STORE:
            click.echo(f"  pages      {url}/login (log in with a token)")

    if run_service(host, port, environment, ready) != 0:
        raise click.ClickException("the service ended by itself; its log above says why")


def _checked_store(written: str) -> tuple[str, str]:
    """The address of the store for the workers, who start in another folder, and what may be shown of it. It is opened
    once, so that what is wrong with it is said before anything listens."""
    from serving.store.address import StoreRefused, address
    from serving.store_options import StoreAway, opened_store

    if written == NO_STORE:
        click.echo("--store none: this service scores, and keeps neither assessments nor visits.", err=True)
        return NO_STORE, NO_STORE
    try:
        where = address(written or OWN_STORE)
        with opened_store(written or OWN_STORE):
            pass
    except (StoreRefused, StoreAway) as error:
        raise refuse(error) from error
    if not written:
        click.echo(f"Assessments and visits are kept in {where.shown}; --store names another place.", err=True)
    return where.url.render_as_string(hide_password=False), where.shown
