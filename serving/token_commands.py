"""The command that makes a token: `povrisk token`."""

from __future__ import annotations

import json

import click

from serving.tokens import TOKENS_FILE, Role, end_of, entry_of, has_ended, new_token


@click.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What it may do.")
@click.option("--until", metavar="YYYY-MM-DD", help="The last day, in UTC, on which it counts [default: no end].")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def token(role: str, until: str | None, as_json: bool) -> None:
    """Make a token, show it once, and show the line that makes the service know it.

    The line holds a digest, from which nobody finds the token. Nothing is written anywhere.
    """
    _refuse_end(until)
    made = new_token()
    line = entry_of(made, role, until)
    if as_json:
        click.echo(json.dumps({"role": role, "until": until, "token": made, "line": line}))
        return
    click.echo(f"For whoever calls, shown only now:\n  {made}")
    click.echo(f"For the file that {TOKENS_FILE} names:\n  {line}")


def _refuse_end(until: str | None) -> None:
    if until is None:
        return
    try:
        is_over = has_ended(end_of(until))
    except ValueError:
        raise click.BadParameter("must be a date like 2026-12-31", param_hint="--until") from None
    if is_over:
        raise click.BadParameter("is over already", param_hint="--until")
