"""Every limit of the service, named with its unit; each can be set from the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from pathlib import Path

PREFIX = "POVRISK_"
BUNDLE = "POVRISK_BUNDLE"
BUNDLE_KEY = "POVRISK_BUNDLE_KEY"
_MAY_BE_ZERO = frozenset({"visits", "reload_s", "keep_days"})


class SettingRefused(ValueError):
    """An environment variable that cannot be used; the message names it."""


@dataclass(frozen=True)
class Settings:
    """Limits of one call and of one process.

    `max_body_bytes`, `max_households` and `max_events` bound a call; `body_read_s` is how long its body may take to
    arrive, `call_s` how long the answer may take. `as_of_ahead_s` is how far after now a moment of judgement may lie
    (one day: "the end of today" in any time zone), `clock_skew_s` how far a sender's clock may be ahead of ours.
    `workers` are processes, `threads` are calls computed side by side in each. `rules_only` switches the model off
    (1) and leaves the rules to answer; `speaks_numbers` off (0) leaves out the sentence of 100 households, for a model
    whose level has drifted too far (`povrisk drift`); `packs` is a folder of the user's own parameter packs.

    `store` is the address of the store of assessments and reviews, `visits` how many visits a month the workers of the
    store can make (0: not told), `session_h` how many hours a login lasts. `today` (a date) stands for the calendar day
    where records of the past are looked at; empty means the real one.

    `calls_per_s` is how many calls a token may make each second in the long run, in one worker, `calls_in_reserve` how
    many it may make at once after a pause; `calls_at_once` is how many calls one worker holds at a time, and
    `bytes_at_once` how many bytes of bodies. `households_at_once` are assessed together at most. `reload_s` is how
    often the bundle's folder is looked at for a new model (0: never), `kill_switch` a file whose presence switches the
    model off while the service runs, `probe_s` and `probe_mb` what the child process may use that reads a model first.
    `earlier_bundles` is a folder of bundles that answered before, for replays. `keep_days` is how long assessments are
    kept that no open task rests on (0: until they are erased).
    """

    max_body_bytes: int = 4 * 1024 * 1024
    max_households: int = 500
    max_events: int = 20_000
    body_read_s: float = 3.0
    call_s: float = 10.0
    as_of_ahead_s: int = 86_400
    clock_skew_s: int = 300
    workers: int = 1
    threads: int = 2
    rules_only: bool = False
    speaks_numbers: bool = True
    packs: str = ""
    store: str = ""
    visits: int = 0
    session_h: float = 9.0
    today: str = ""
    calls_per_s: float = 20.0
    calls_in_reserve: int = 200
    calls_at_once: int = 128
    bytes_at_once: int = 64 * 1024 * 1024
    households_at_once: int = 64
    reload_s: float = 2.0
    kill_switch: str = ""
    probe_s: float = 10.0
    probe_mb: int = 2048
    earlier_bundles: str = ""
    keep_days: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            least = 0 if each.name in _MAY_BE_ZERO else math.ulp(0.0)
            if not isinstance(each.default, bool | str) and not least <= getattr(self, each.name) < math.inf:
                raise SettingRefused(f"{PREFIX}{each.name.upper()} must be a number above 0")
        if self.today:
            try:
                date.fromisoformat(self.today)
            except ValueError:
                raise SettingRefused(f"{PREFIX}TODAY must be a date like 2026-11-01") from None


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The settings, with `POVRISK_MAX_HOUSEHOLDS` and the like in place of the defaults.

    >>> settings_from({"POVRISK_MAX_HOUSEHOLDS": "20", "POVRISK_CALL_S": "2.5"}).max_households
    20
    >>> settings_from({"POVRISK_WORKERS": "many"})
    Traceback (most recent call last):
    ...
    serving.settings.SettingRefused: POVRISK_WORKERS must be a number
    """
    given: dict[str, int | float | str] = {}
    for each in fields(Settings):
        variable = PREFIX + each.name.upper()
        if variable not in environment:
            continue
        if isinstance(each.default, bool):
            given[each.name] = _switch(variable, environment[variable])
        elif isinstance(each.default, str):
            given[each.name] = environment[variable]
        else:
            given[each.name] = _number(variable, environment[variable], type(each.default))
    return Settings(**given)  # type: ignore[arg-type]


@cache
def current() -> Settings:
    """The settings of this process, read once."""
    return settings_from(os.environ)


def bundle_folder(environment: Mapping[str, str]) -> Path | None:
    """The folder of the bundle to serve: what `POVRISK_BUNDLE` names, or what a bento carries beside the code."""
    if environment.get(BUNDLE):
        return Path(environment[BUNDLE])
    carried = Path(__file__).resolve().parent.parent / "bundle"
    return carried if (carried / "manifest.json").is_file() else None


def bundle_key(environment: Mapping[str, str]) -> bytes | None:
    """The key that bundles are signed with, if one is set (`POVRISK_BUNDLE_KEY`, hexadecimal)."""
    written = environment.get(BUNDLE_KEY, "").strip()
    if not written:
        return None
    try:
        return bytes.fromhex(written)
    except ValueError:
        raise SettingRefused(f"{BUNDLE_KEY} must be hexadecimal") from None


def _switch(variable: str, written: str) -> bool:
    if written not in ("0", "1", ""):
        raise SettingRefused(f"{variable} must be 0 or 1")
    return written == "1"


def _number(variable: str, written: str, kind: type) -> int | float:
    try:
        return int(written) if kind is int else float(written)
    except ValueError:
        raise SettingRefused(f"{variable} must be a number") from None
