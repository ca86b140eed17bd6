"""Logins of people on pages: signed cookies, form secrets, and how often somebody may try.

Nothing about a login is kept by the service. The cookie holds a name made from the token (`Tokens.actor`) and
a form secret, signed and dated; it ends after `session_h` hours, when the person logs out (the browser then drops it),
or when its token is withdrawn. All of it hangs on `POVRISK_SESSION_KEY`: with the same key, sessions and the names of
who recorded a visit survive a restart; with a key made at the start they do not.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, BadSignature, Signer, URLSafeTimedSerializer

from serving.errors import TooManyCalls
from serving.tokens import Role, Tokens

SESSION_KEY = "POVRISK_SESSION_KEY"
LEAST_KEY_CHARACTERS = 32
SESSION_COOKIE = "povrisk_session"
# Ties the forms that need no login (the login itself, a household's own page) to the browser that asked for them.
FORM_COOKIE = "povrisk_form"
LANGUAGE_COOKIE = "lang"


class SessionKeyRefused(ValueError):
    """The session key is too short to sign with."""


def own_key(environment: Mapping[str, str]) -> str:
    """What `POVRISK_SESSION_KEY` says, or a new key that nobody else has.

    >>> own_key({"POVRISK_SESSION_KEY": "short"})
    Traceback (most recent call last):
    ...
    serving.sessions.SessionKeyRefused: POVRISK_SESSION_KEY must have at least 32 characters
    """
    written = environment.get(SESSION_KEY, "") or secrets.token_hex(32)
    if len(written) < LEAST_KEY_CHARACTERS:
        raise SessionKeyRefused(f"{SESSION_KEY} must have at least {LEAST_KEY_CHARACTERS} characters")
    return written


def session_key(environment: Mapping[str, str]) -> bytes:
    """The key that cookies are signed with. Raises `SessionKeyRefused`."""
    return hashlib.sha256(own_key(environment).encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True)
class Session:
    """Who is behind a page: role, actor, and the secret that its forms carry."""

    role: Role
    actor: str
    csrf: str


class Sessions:
    """Makes and reads the cookies of one service."""

    def __init__(self, key: bytes, tokens: Tokens, hours: float) -> None:
        self._key = key
        self._tokens = tokens
        self.max_age_s = round(hours * 3600)
        self._session = URLSafeTimedSerializer(key, salt="povrisk session")
        self._form = Signer(key, salt="povrisk form")
        self.logins = Attempts(limit=5)

    def opened(self, token: str) -> str | None:
        """The cookie for whoever holds this token, or None for a token that is not ours. Takes the same time."""
        role = self._tokens.role(token)
        value = self._session.dumps([self.actor(token), secrets.token_urlsafe(24)])
        return None if role is None else str(value)

    def session(self, cookie: str) -> Session | None:
        """Whom a cookie stands for; None for one that is forged, too old, or whose token is withdrawn."""
        try:
            actor, csrf = self._session.loads(cookie, max_age=self.max_age_s)
        except (BadData, ValueError, TypeError):
            return None
        role = self._tokens.role_of_actor(str(actor), self._key)
        return None if role is None else Session(role, str(actor), str(csrf))

    def actor(self, token: str) -> str:
        """The name under which the holder of a token records visits."""
        return self._tokens.actor(token, self._key)

    def form_secret(self, cookie: str | None = None) -> str:
        """The secret of a form without a login: that of the cookie if we signed it, otherwise a new one."""
        if cookie:
            try:
                self._form.unsign(cookie)
                return cookie
            except BadSignature:
                pass
        return self._form.sign(secrets.token_urlsafe(18)).decode()


def same_secret(given: str, expected: str) -> bool:
    """Whether a form carried the secret of its session; an empty one never is. Takes the same time for any."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


class Attempts:
    """How often something secret may be guessed wrong in a minute, in this process: `limit` times from one address, so
    that a stranger who guesses shuts out nobody but the neighbours, and `from_all` times from all of them together.

    An address is what `client_of` says; a call without one (`""`) is one of those that have none. The `most` addresses
    that guessed last are remembered.

    >>> tries = Attempts(limit=2, clock=lambda: 0.0)
    >>> tries.failed("a"); tries.check("a"); tries.failed("a"); tries.check("b"); tries.check("a")
    Traceback (most recent call last):
    ...
    serving.errors.TooManyCalls: too many wrong entries; try again in a minute
    """

    def __init__(
        self,
        limit: int,
        from_all: int = 200,
        per_s: float = 60.0,
        most: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.per_s = per_s
        self._most = most
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._of_all: deque[float] = deque(maxlen=from_all)
        self._lock = threading.Lock()

    def check(self, client: str = "") -> None:
        """Raise `TooManyCalls` when the last failures of this address, or of all, were too many too soon."""
        with self._lock:
            left = max(self._left(self._failures.get(client)), self._left(self._of_all))
        if left > 0:
            headers = {"Retry-After": str(int(left) + 1)}
            raise TooManyCalls("too many wrong entries; try again in a minute", headers=headers)

    def failed(self, client: str = "") -> None:
        """Count one wrong entry."""
        with self._lock:
            now = self._clock()
            self._of_all.append(now)
            self._failures.setdefault(client, deque(maxlen=self.limit)).append(now)
            self._failures.move_to_end(client)
            if len(self._failures) > self._most:
                self._failures.popitem(last=False)

    def _left(self, failures: deque[float] | None) -> float:
        """How many seconds it lasts until one more try is allowed."""
        if failures is None or len(failures) < (failures.maxlen or 0):
            return 0.0
        return failures[0] + self.per_s - self._clock()


def client_of(scope: Mapping[str, Any]) -> str:
    """The address that a call comes from; of IPv6 the network, because one caller has all of its addresses.

    Behind a proxy it is what the proxy says, where uvicorn trusts that proxy (`FORWARDED_ALLOW_IPS`).

    >>> client_of({"client": ("10.0.0.7", 5)}), client_of({"client": ("2001:db8::1:2", 5)}), client_of({})
    ('10.0.0.7', '2001:db8::', '')
    """
    host = str((scope.get("client") or ("",))[0])
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_address(int(address) >> 64 << 64))
