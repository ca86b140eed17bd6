"""What stands in front of the service: who may call, how often, how large and how slow, and how it is refused.

BentoML has no limit on bodies, no authentication and error bodies of its own, and its metrics and tracing see every
path that anybody asks for. So the guard is the outermost layer, and what it refuses never reaches BentoML.
"""

from __future__ import annotations

from starlette.types import ASGIApp

from serving import metrics
from serving.guard.access import Access
from serving.guard.body import Body
from serving.guard.busy import Busy
from serving.guard.calls import Calls
from serving.guard.deadline import Deadline
from serving.guard.pages import Pages
from serving.guard.problems import Problems
from serving.guard.rate import Rate
from serving.sessions import Sessions
from serving.settings import Settings
from serving.tokens import Tokens

__all__ = ["guarded"]


def guarded(app: ASGIApp, tokens: Tokens, sessions: Sessions, settings: Settings) -> ASGIApp:
    """The application behind the whole guard."""
    timed = Deadline(app, call_s=settings.call_s)
    paged = Pages(timed, sessions)
    bounded = Body(paged, max_bytes=settings.max_body_bytes, read_s=settings.body_read_s)
    rationed = Rate(bounded, per_s=settings.calls_per_s, reserve=settings.calls_in_reserve, count=metrics.asked)
    known = Access(rationed, tokens, sessions)
    held = Busy(known, calls=settings.calls_at_once, body_bytes=settings.bytes_at_once)
    return Calls(Problems(held))
