"""Commands over a bundle: `verify`, `score`, `assess`, `request`, `serve`."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar

import click
from rich.console import Console
from rich.table import Table

from features.dataset import DatasetRefused, read_dataset
from serving.errors import Refusal
from serving.running import LOOPBACK, PortTaken, free_port, run_service
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
    rules_only: bool,
    packs: Path | None,
    as_json: bool,
) -> None:
    """Assess every household of a dataset folder; one row a household. A run that was stopped goes on where it was."""
    from features.bucket_run import RunStopped
    from features.rules.files import RuleFileRefused
    from features.rules.pack import PackNotInForce
    from serving.batch import score_dataset, score_job

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
        cores = min(2, os.cpu_count() or 1)
        report = score_dataset(job, folder, out, workers=workers or cores, engine=engine)
    except (DatasetRefused, OSError, RuleFileRefused, PackNotInForce, SettingRefused, RunStopped) as error:
        raise refuse(error) from error
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(report), "out": str(out)}, ensure_ascii=False))
        return
    _show_batch(report, out)


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
@click.option("--demo", is_flag=True, help="Make random tokens when none are set, and print them.")
@rules_only
@packs
@as_json
def serve(
    bundle: Path,
    host: str,
    port: int,
    workers: int | None,
    demo: bool,
    rules_only: bool,
    packs: Path | None,
    as_json: bool,
) -> None:
    """Serve a bundle over HTTP until stopped. The bundle is verified before anything listens."""
    from features.rules.files import RuleFileRefused
    from serving.scoring import own_rules

    host = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise click.BadParameter("is no IP address", param_hint="--host") from None
    environment = {**os.environ, BUNDLE: str(bundle.resolve())}
    if workers is not None:
        environment["POVRISK_WORKERS"] = str(workers)
    if rules_only:
        environment["POVRISK_RULES_ONLY"] = "1"
    if packs is not None:
        environment["POVRISK_PACKS"] = str(packs.resolve())
    made: dict[str, str] = {}
    try:
        own_rules(settings_from(environment))
        if tokens_from(environment) is None:
            if not demo:
                raise TokensRefused(f"set {TOKENS} or {TOKENS_FILE}; --demo makes tokens for trying it out")
            made = demo_tokens()
            environment[TOKENS] = ",".join(f"{role}:{token}" for role, token in made.items())
        port = free_port(host, port)
    except (SettingRefused, TokensRefused, PortTaken, RuleFileRefused) as error:
        raise refuse(error) from error
    opened = open_bundle(bundle)
    if not is_loopback and host not in LOOPBACK:
        click.echo(
            f"{host} is reachable from other machines: put a TLS proxy with a header timeout in front.", err=True
        )
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def ready() -> None:
        if as_json:
            click.echo(json.dumps({"url": url, "model": opened.name, "version": opened.version, "tokens": made}))
            return
        click.echo(f"Serving {opened.name} {opened.version} at {url} (Ctrl+C stops)")
        for role, token in made.items():
            click.echo(f"  demo token {role:<11} {token}")

    if run_service(host, port, environment, ready) != 0:
        raise click.ClickException("the service ended by itself; its log above says why")
