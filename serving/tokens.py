"""Who may call: bearer tokens and their roles. Only digests of tokens are kept in memory."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

TOKENS = "POVRISK_TOKENS"
TOKENS_FILE = "POVRISK_TOKENS_FILE"


class Role(Enum):
    """Who is behind a token."""

    PLATFORM = "platform"
    CASEWORKER = "caseworker"
    SUPERVISOR = "supervisor"
    RESEARCHER = "researcher"


ROLES = "platform, caseworker, supervisor or researcher"


class TokensRefused(ValueError):
    """The tokens cannot be used; the message never holds a token."""


class Tokens:
    """The known tokens."""

    def __init__(self, roles: Mapping[str, Role]) -> None:
        """`roles` maps each token to its role."""
        self._roles = [(_digest(token), role) for token, role in roles.items()]

    def role(self, token: str) -> Role | None:
        """The role of a token, or None. Takes the same time whichever token is given.

        >>> tokens = read_tokens("platform:a-token,researcher:another")
        >>> tokens.role("another"), tokens.role("guess")
        (<Role.RESEARCHER: 'researcher'>, None)
        """
        given, found = _digest(token), None
        for digest, role in self._roles:
            if hmac.compare_digest(digest, given):
                found = role
        return found

    def actor(self, token: str, key: bytes) -> str:
        """A name for whoever holds the token, from which the token cannot be found without `key`. 32 characters."""
        return _actor(_digest(token), key)

    def role_of_actor(self, actor: str, key: bytes) -> Role | None:
        """The role of the token behind an actor's name; None once that token is withdrawn."""
        found = None
        for digest, role in self._roles:
            if hmac.compare_digest(_actor(digest, key), actor):
                found = role
        return found


def read_tokens(written: str) -> Tokens:
    """Tokens from `role:token,role:token`; new lines separate as well, and `#` begins a comment line.

    >>> read_tokens("boss:secret")
    Traceback (most recent call last):
    ...
    serving.tokens.TokensRefused: token 1 has no known role; write role:token with platform, caseworker, \
supervisor or researcher
    """
    roles: dict[str, Role] = {}
    lines = [line for line in written.splitlines() if not line.lstrip().startswith("#")]
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    for number, entry in enumerate(entries, start=1):
        role, _, token = entry.partition(":")
        token = token.strip()
        if role.strip() not in {known.value for known in Role}:
            raise TokensRefused(f"token {number} has no known role; write role:token with {ROLES}")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise TokensRefused(f"token {number} is empty or holds characters that no header can carry")
        if token in roles:
            raise TokensRefused(f"token {number} is given twice")
        roles[token] = Role(role.strip())
    if not roles:
        raise TokensRefused("no token is given")
    return Tokens(roles)


def tokens_from(environment: Mapping[str, str]) -> Tokens | None:
    """The tokens of `POVRISK_TOKENS`, or of the file that `POVRISK_TOKENS_FILE` names; None with neither."""
    if environment.get(TOKENS):
        return read_tokens(environment[TOKENS])
    if environment.get(TOKENS_FILE):
        try:
            written = Path(environment[TOKENS_FILE]).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise TokensRefused(f"the file that {TOKENS_FILE} names cannot be read") from None
        return read_tokens(written)
    return None


def demo_tokens() -> dict[str, str]:
    """A random token for every role, for trying the service on one's own machine."""
    return {role.value: secrets.token_urlsafe(24) for role in Role}


def _actor(digest: bytes, key: bytes) -> str:
    return hashlib.blake2b(digest, key=key[:64], digest_size=16, person=b"povrisk-actor").hexdigest()


def _digest(token: str) -> bytes:
    # surrogateescape: a header may hold bytes that are no text, and they must compare as unequal, not fail.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
