"""How often one token may call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import TooManyCalls
from serving.guard.access import RULE

MOST_ACTORS = 10_000


class Rate:
    """Refuses a token or a login that calls too often (429), before its body is read.

    `per_s` calls a second are allowed in the long run, and after a pause `reserve` at once. Counted for each token in
    this worker, whichever address it asks that needs a role; a refused call costs nothing of what is allowed. Whoever
    logs in with a token shares its allowance. `count` is told the role of each call, and whether it was refused; never
    whose call it was.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        per_s: float,
        reserve: int,
        count: Callable[[str, bool], None] = lambda role, is_refused: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.count = count
        self.buckets = Buckets(per_s, reserve, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, counted where it needs a role."""
        rule = scope.get(RULE)
        if rule is not None and rule.roles:
            state = scope["state"]
            wait_s = self.buckets.take(state["actor"])
            self.count(state["role"], wait_s > 0)
            if wait_s > 0:
                allowed = f"a token may make {self.buckets.per_s:g} calls a second"
                raise TooManyCalls(
                    f"{allowed}; send several households in one call", headers={"Retry-After": str(math.ceil(wait_s))}
                )
        await self.app(scope, receive, send)


class Buckets:
    """One bucket of allowance a name: it holds `reserve` calls and fills by `per_s` each second.

    Only the moment is kept at which a bucket will be full again; a full one needs no entry at all.

    >>> buckets = Buckets(per_s=2.0, reserve=1, clock=lambda: 0.0)
    >>> buckets.take("a"), buckets.take("a"), buckets.take("b")
    (0.0, 0.5, 0.0)
    """

    def __init__(self, per_s: float, reserve: int, clock: Callable[[], float], most: int = MOST_ACTORS) -> None:
        self.per_s = per_s
        self._clock = clock
        self._most = most
        self._fills_in_s = reserve / per_s
        self._full_at: dict[str, float] = {}

    def take(self, name: str) -> float:
        """Take one call from the bucket; 0, or how many seconds it lasts until there is one to take."""
        now = self._clock()
        full_at = max(self._full_at.get(name, now), now) + 1 / self.per_s
        # A rounding error must not cost the last call of a full bucket.
        wait_s = full_at - now - self._fills_in_s
        if wait_s > 1e-6:
            return wait_s
        if name not in self._full_at and len(self._full_at) >= self._most:
            self._forget(now)
        self._full_at[name] = full_at
        return 0.0

    def _forget(self, now: float) -> None:
        """Full buckets first; where none is, the one that was used first."""
        self._full_at = {name: full_at for name, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) >= self._most:
            del self._full_at[next(iter(self._full_at))]
