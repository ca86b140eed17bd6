"""Who may call: bearer tokens and their roles. Only digests of tokens are kept in memory, and need be in the file.

An entry is `role:TOKEN` or `role:sha256:DIGEST` (the SHA-256 of the token in 64 hexadecimal digits), and may end with
` until=YYYY-MM-DD`, the last day (in UTC) on which it counts. A role may have several tokens, so that the next one is
in use before the last one goes.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # It brings numpy and pandas, which a command does not wait for.
    from features.window import Micros

TOKENS = "POVRISK_TOKENS"
TOKENS_FILE = "POVRISK_TOKENS_FILE"
# How often the file is looked at, and how late a token ends that runs out.
LOOK_AGAIN_S = 2.0
_DIGEST = "sha256:"
_UNTIL = "until="

logger = logging.getLogger("povrisk.serving")


class Role(Enum):
    """Who is behind a token."""

    PLATFORM = "platform"
    CASEWORKER = "caseworker"
    SUPERVISOR = "supervisor"
    RESEARCHER = "researcher"


ROLES = "platform, caseworker, supervisor or researcher"


class TokensRefused(ValueError):
    """The tokens cannot be used; the message never holds a token."""


class Entry(NamedTuple):
    """One token that may be used: its digest, its role, and the moment from which it counts no longer, if there is
    one."""

    digest: bytes
    role: Role
    ends_at: Micros | None = None


class Tokens:
    """The known tokens. Those of a file are read again when the file changes, while the service runs."""

    def __init__(
        self,
        entries: Sequence[Entry],
        file: Path | None = None,
        seen: tuple[int, ...] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seen` is the state of the file just before the entries were read from it."""
        self._entries = list(entries)
        self._file = file
        self._clock = clock
        self._seen = seen
        self._lock = threading.Lock()
        self._usable = _not_ended(self._entries)
        self._look_at = clock() + LOOK_AGAIN_S

    def role(self, token: str) -> Role | None:
        """The role of a token, or None. Takes the same time whichever token is given.

        >>> tokens = read_tokens("platform:a-token,researcher:another,platform:old-token until=2020-12-31")
        >>> tokens.role("another"), tokens.role("guess"), tokens.role("old-token")
        (<Role.RESEARCHER: 'researcher'>, None, None)
        """
        given, found = _digest(token), None
        for entry in self._now_usable():
            if hmac.compare_digest(entry.digest, given):
                found = entry.role
        return found

    def actor(self, token: str, key: bytes) -> str:
        """A name for whoever holds the token, from which the token cannot be found without `key`. 32 characters."""
        return _actor(_digest(token), key)

    def role_of_actor(self, actor: str, key: bytes) -> Role | None:
        """The role of the token behind an actor's name; None once that token is withdrawn or has run out."""
        found = None
        for entry in self._now_usable():
            if hmac.compare_digest(_actor(entry.digest, key), actor):
                found = entry.role
        return found

    def _now_usable(self) -> Sequence[Entry]:
        """The tokens that count now; looks at the file and the day at most once every `LOOK_AGAIN_S`."""
        if self._clock() >= self._look_at:
            with self._lock:
                if self._clock() >= self._look_at:
                    self._read_again()
                    self._usable = _not_ended(self._entries)
                    self._look_at = self._clock() + LOOK_AGAIN_S
        return self._usable

    def _read_again(self) -> None:
        """Take what a changed file says. One that cannot be used changes nothing, and is told of once."""
        state = _state_of(self._file)
        if self._file is None or state == self._seen:
            return
        self._seen = state
        try:
            self._entries = _entries(_text_of(self._file))
        except TokensRefused as refused:
            logger.error("the changed file of tokens is not used, those read before stay: %s", refused)
        else:
            logger.info("the file of tokens was read again: %d token(s)", len(self._entries))


def read_tokens(written: str) -> Tokens:
    """Tokens from `role:token,role:token`; new lines separate as well, and `#` begins a comment line.

    >>> read_tokens("boss:secret")
    Traceback (most recent call last):
    ...
    serving.tokens.TokensRefused: token 1 has no known role; write role:token with platform, caseworker, \
supervisor or researcher
    """
    return Tokens(_entries(written))


def tokens_from(environment: Mapping[str, str]) -> Tokens | None:
    """The tokens of `POVRISK_TOKENS`, or of the file that `POVRISK_TOKENS_FILE` names; None with neither."""
    if environment.get(TOKENS):
        return read_tokens(environment[TOKENS])
    if environment.get(TOKENS_FILE):
        path = Path(environment[TOKENS_FILE])
        seen = _state_of(path)
        return Tokens(_entries(_text_of(path)), path, seen)
    return None


def demo_tokens() -> dict[str, str]:
    """A random token for every role, for trying the service on one's own machine."""
    return {role.value: new_token() for role in Role}


def new_token() -> str:
    """A token that nobody can guess: 256 random bits, in characters that every header carries."""
    return secrets.token_urlsafe(32)


def entry_of(token: str, role: str, until: str | None = None) -> str:
    """The line of a token for the file, without the token.

    >>> entry = entry_of("a-token", "platform", "2026-12-31")
    >>> entry[:20], entry[-17:], "a-token" in entry
    ('platform:sha256:1f60', ' until=2026-12-31', False)
    """
    return f"{role}:{_DIGEST}{_digest(token).hex()}" + (f" {_UNTIL}{until}" if until else "")


def end_of(day: str) -> Micros:
    """The moment after the last instant of a day in UTC. Raises `ValueError` for what is not written YYYY-MM-DD.

    >>> end_of("1970-01-01")
    86400000000
    """
    from features.window import MICROS_PER_DAY, parsed

    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day, re.ASCII):
        raise ValueError("is not a date YYYY-MM-DD")
    return parsed(day, "UTC") + MICROS_PER_DAY


def has_ended(ends_at: Micros) -> bool:
    """Whether that moment has come, by the real clock: `POVRISK_TODAY` looks at records of the past, and must not
    bring tokens of the past back."""
    import numpy as np

    from features.window import is_not_before
    from serving.clock import now
    from serving.settings import Settings

    return bool(is_not_before(np.array([now(Settings())]), ends_at)[0])


def _not_ended(entries: Sequence[Entry]) -> Sequence[Entry]:
    return [entry for entry in entries if entry.ends_at is None or not has_ended(entry.ends_at)]


def _entries(written: str) -> list[Entry]:
    lines = [line for line in written.splitlines() if not line.lstrip().startswith("#")]
    entries: dict[bytes, Entry] = {}
    for number, each in enumerate((e.strip() for line in lines for e in line.split(",") if e.strip()), start=1):
        entry = _entry(each, f"token {number}")
        if entry.digest in entries:
            raise TokensRefused(f"token {number} is given twice")
        entries[entry.digest] = entry
    if not entries:
        raise TokensRefused("no token is given")
    return list(entries.values())


def _entry(written: str, name: str) -> Entry:
    role, _, rest = written.partition(":")
    if role.strip() not in {known.value for known in Role}:
        raise TokensRefused(f"{name} has no known role; write role:token with {ROLES}")
    token, _, until = rest.strip().partition(" ")
    until, ends_at = until.strip(), None
    is_entry = token and not token.startswith(_UNTIL) and (not until or until.startswith(_UNTIL))
    if not is_entry or not rest.isascii() or not rest.isprintable():
        raise TokensRefused(f"{name} is empty or holds characters that no header can carry")
    if until:
        try:
            ends_at = end_of(until.removeprefix(_UNTIL))
        except ValueError:
            raise TokensRefused(f"{name} has an end that is no date; write {_UNTIL}YYYY-MM-DD") from None
    digest = _digest(token)
    if token.startswith(_DIGEST):
        if not re.fullmatch(r"[0-9a-f]{64}", token.removeprefix(_DIGEST)):
            raise TokensRefused(f"{name} has a digest that is none; write role:{_DIGEST} and 64 hexadecimal digits")
        digest = bytes.fromhex(token.removeprefix(_DIGEST))
    return Entry(digest, Role(role.strip()), ends_at)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise TokensRefused(f"the file that {TOKENS_FILE} names cannot be read") from None


def _state_of(path: Path | None) -> tuple[int, ...] | None:
    """By what a changed file is told from the one read before; None where there is no file."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


# Asked with every call; the tokens are few, and a name is no secret.
@lru_cache(maxsize=1024)
def _actor(digest: bytes, key: bytes) -> str:
    return hashlib.blake2b(digest, key=key[:64], digest_size=16, person=b"povrisk-actor").hexdigest()


def _digest(token: str) -> bytes:
    # surrogateescape: a header may hold bytes that are no text, and they must compare as unequal, not fail.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
