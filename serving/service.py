"""The BentoML service: endpoints and nothing else.

Started by `povrisk serve`, which verifies the bundle and names it in `POVRISK_BUNDLE`.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml
from _bentoml_sdk import Service
from starlette.types import ASGIApp

from serving import redaction
from serving.errors import Refusal
from serving.guard import guarded
from serving.guard.problems import note
from serving.messages import Batch, Results
from serving.openapi import OpenApi, described
from serving.sessions import Sessions, session_key
from serving.settings import BUNDLE, bundle_folder, bundle_key, current
from serving.tokens import TOKENS, TOKENS_FILE, TokensRefused, tokens_from

if TYPE_CHECKING:
    from starlette.applications import Starlette

LIMITS = current()
# What still goes through BentoML answers at once; its timer of every call is kept for so long.
TRAFFIC_TIMEOUT_S = 5.0
# The computing thread and the event loop share one lock. By default the loop would wait for it 5 ms at a time, several
# times for every call.
SWITCH_S = 0.0005
# A turn makes some hundred thousand objects and drops them all: by default they would be gone through hundreds of times
# while they are made. `serving.turns` collects before each turn; this is for everything else.
COLLECTS_AFTER = (400_000, 10, 10)


class GuardedService(Service[Any]):  # type: ignore[misc]
    """A service whose application stands behind the guard.

    BentoML puts added middleware inside its metrics and tracing, which would then see and label every path that
    strangers ask for; so the guard is put around the whole application, and what has names in its paths is answered
    before BentoML sees it.
    """

    ours: Starlette | None = None

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The guarded application. Refuses to exist without tokens."""
        # Imported here, because the process that only supervises the workers imports this module too.
        from serving.addresses import Fork, addresses
        from serving.score_route import ScoreRoute
        from serving.turns import Turns

        tokens = tokens_from(os.environ)
        if tokens is None:
            raise TokensRefused(f"set {TOKENS} or {TOKENS_FILE}, or use `povrisk serve --demo`")
        redaction.install()
        sessions = Sessions(session_key(os.environ), tokens, LIMITS.session_h)
        self.ours = ours = addresses(sessions)
        ours.state.turns = turns = Turns(lambda: ours.state.desk, LIMITS)
        return guarded(Fork(ours, super().to_asgi(is_main), ScoreRoute(turns, LIMITS)), tokens, sessions, LIMITS)

    @property
    def openapi_spec(self) -> OpenApi:
        """BentoML's description of the endpoints, completed with what the guard and the card add."""
        return described(super().openapi_spec.asdict())


@bentoml.service(
    name="povrisk",
    service_class=GuardedService,
    workers=LIMITS.workers,
    threads=LIMITS.threads,
    traffic={"timeout": TRAFFIC_TIMEOUT_S},
    logging={"access": {"enabled": False}},
    # BentoML's own default is every address of the machine; --host and BENTOML_HOST say otherwise.
    http={"host": "127.0.0.1"},
)
class HouseholdRisk:
    """Explained risk of returning to poverty, for a person to review."""

    def __init__(self) -> None:
        from serving.desk import Desk
        from serving.slot import Slot
        from serving.turns import Turns

        slot = Slot(bundle_folder(os.environ) or Path(), LIMITS, bundle_key(os.environ))
        # The desk opens the store: one that is away must not keep the model from answering.
        self.desk = Desk(slot.scorer, None, LIMITS)
        slot.on_swap(lambda scorer: setattr(self.desk, "scorer", scorer))
        slot.watch()
        front: Starlette | None = getattr(HouseholdRisk, "ours", None)
        self.turns = Turns(lambda: self.desk, LIMITS) if front is None else front.state.turns
        if front is not None:
            front.state.slot = slot
            front.state.desk = self.desk
        # What is loaded now stays: the garbage collector need not go through it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTS_AFTER)
        sys.setswitchinterval(SWITCH_S)

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def refuse_without_bundle_or_tokens() -> None:
        """Fail once, before any worker starts, instead of in every worker again and again."""
        if bundle_folder(os.environ) is None:
            raise RuntimeError(
                f"{BUNDLE} names no bundle, and none was built in; start the service with `povrisk serve BUNDLE`"
            )
        if tokens_from(os.environ) is None:
            raise TokensRefused(f"set {TOKENS} or {TOKENS_FILE}, or use `povrisk serve --demo`")

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """End the computing thread; every call that came in has been answered by then."""
        self.turns.close()

    @bentoml.api  # type: ignore[untyped-decorator]
    def score(self, batch: Batch, /, ctx: bentoml.Context) -> Results:
        """Assess households from their events; one assessment a household, in the order asked."""
        from serving.score_route import KEPT, call_of, language_of
        from serving.scoring import in_language

        # Over HTTP `serving.score_route` answers before this; both hand the call to the same turns.
        scope = ctx.request.scope
        try:
            language = language_of(scope["query_string"])
            scored = self.turns.answer_blocking(call_of(batch.households, scope, batch.model_dump_json().encode()))
        except Refusal as refusal:
            raise note(refusal) from None
        ctx.response.headers[KEPT] = "yes" if scored.is_kept else "no"
        return Results.model_validate({"results": in_language(scored.records, language)})
