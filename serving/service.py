"""The BentoML service: endpoints and nothing else.

Started by `povrisk serve`, which verifies the bundle and names it in `POVRISK_BUNDLE`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import bentoml
from _bentoml_sdk import Service
from _bentoml_sdk.io_models import IOMixin
from starlette.requests import Request
from starlette.types import ASGIApp

from serving import redaction
from serving.errors import FieldError, Invalid, Refusal
from serving.guard import guarded
from serving.guard.access import ROLE
from serving.guard.problems import note
from serving.messages import Batch, Results
from serving.openapi import OpenApi, described
from serving.reading import read_batch
from serving.sessions import Sessions, session_key
from serving.settings import BUNDLE, bundle_folder, bundle_key, current
from serving.tokens import TOKENS, TOKENS_FILE, TokensRefused, tokens_from

if TYPE_CHECKING:
    from starlette.applications import Starlette

LIMITS = current()
# BentoML's own timeout frees calls that still wait for a thread after the guard has answered 503.
TRAFFIC_TIMEOUT_S = LIMITS.call_s + 2
KEPT = "X-Assessment-Kept"


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

        tokens = tokens_from(os.environ)
        if tokens is None:
            raise TokensRefused(f"set {TOKENS} or {TOKENS_FILE}, or use `povrisk serve --demo`")
        redaction.install()
        sessions = Sessions(session_key(os.environ), tokens, LIMITS.session_h)
        self.ours = addresses(sessions)
        return guarded(Fork(self.ours, super().to_asgi(is_main)), tokens, sessions, LIMITS)

    @property
    def openapi_spec(self) -> OpenApi:
        """BentoML's description of the endpoints, completed with what the guard and the card add."""
        return described(super().openapi_spec.asdict())


class ScoreRequest(IOMixin, Batch):  # type: ignore[misc]
    """The body of `POST /score`, read by us: BentoML would let a key given twice pass and log what it refuses."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> Self:
        """The checked message; refusals are noted for the reply."""
        try:
            return read_batch(await request.body(), LIMITS, cls)
        except Refusal as refusal:
            raise note(refusal) from None


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
        from models.bundle import read_bundle
        from serving.desk import Desk
        from serving.scoring import Scorer

        scorer = Scorer(read_bundle(bundle_folder(os.environ) or Path(), key=bundle_key(os.environ)), LIMITS)
        scorer.warm_up()
        # The desk opens the store: one that is away must not keep the model from answering.
        self.desk = Desk(scorer, None, LIMITS)
        front: Starlette | None = getattr(HouseholdRisk, "ours", None)
        if front is not None:
            front.state.desk = self.desk

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

    def __is_ready__(self) -> bool:
        return self.desk is not None

    @bentoml.api  # type: ignore[untyped-decorator]
    def score(self, batch: ScoreRequest, /, ctx: bentoml.Context) -> Results:
        """Assess households from their events; one assessment a household, in the order asked."""
        from serving.scoring import in_language

        try:
            language = _language(ctx.request)
            role, purpose = ctx.request.scope[ROLE], ctx.request.headers["x-purpose"]
            scored = self.desk.score_and_keep(batch.households, role=role.value, purpose=purpose)
        except Refusal as refusal:
            raise note(refusal) from None
        ctx.response.headers[KEPT] = "yes" if scored.is_kept else "no"
        return Results.model_validate({"results": in_language(scored.records, language)})


def _language(request: Request) -> str | None:
    """The language asked for; None means both."""
    parameters = request.query_params.multi_items()
    unknown = [FieldError(("query",), "only lang is known") for name, _ in parameters if name != "lang"]
    given = [value for name, value in parameters if name == "lang"]
    if unknown or len(given) > 1 or not set(given) <= {"zh", "en"}:
        raise Invalid.because(unknown[:1] or [FieldError(("query", "lang"), "must be zh or en, once")])
    return given[0] if given else None
