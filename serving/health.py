"""Whether this process can answer, and with which model: `GET /readyz`, for anybody; nothing about any household."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from features.window import written
from serving.errors import Overdue
from serving.messages import Answer

if TYPE_CHECKING:
    from serving.desk import Desk
    from serving.slot import Slot


class ReadyModel(Answer):
    """The model that answers."""

    name: str
    version: str
    bundle_sha256: str


class RefusedModel(Answer):
    """What lies in the bundle's folder and is not used: the check that it failed, and when (UTC)."""

    check: str
    at: str


class Ready(Answer):
    """This process can answer. `rules_only`: the model is switched off. `store` is how it was found a moment ago."""

    ready: Literal[True] = True
    model: ReadyModel
    rules_only: bool
    refused: RefusedModel | None
    store: Literal["up", "away", "none"]


def readyz(request: Request) -> Response:
    """`GET /readyz`: which model answers, whether a newer one was refused, and how the store was found."""
    slot: Slot | None = request.app.state.slot
    desk: Desk | None = request.app.state.desk
    if slot is None or desk is None:
        raise Overdue("the model is not loaded yet")
    state = slot.state
    refused = None
    if state.refused is not None and state.refused_at is not None:
        refused = RefusedModel(check=state.refused, at=written(state.refused_at))
    told = Ready(
        model=ReadyModel(name=state.name, version=state.version, bundle_sha256=state.bundle_sha256),
        rules_only=state.is_rules_only,
        refused=refused,
        store=desk.store_state,
    )
    return JSONResponse(told.model_dump(mode="json"))
