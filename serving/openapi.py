"""The description behind `/docs.json`: BentoML's, with the errors, headers and endpoints that it cannot know."""

from __future__ import annotations

from typing import Any

from serving.errors import MEDIA_TYPE, Refusal
from serving.guard.access import PURPOSES, RULES

PROBLEM = {
    "type": "object",
    "description": "RFC 9457. Names fields, never repeats a submitted value.",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "reason"],
                "properties": {
                    "path": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}
PURPOSE = {"name": "X-Purpose", "in": "header", "required": True, "schema": {"type": "string", "enum": list(PURPOSES)}}
LANGUAGE = {
    "name": "lang",
    "in": "query",
    "required": False,
    "description": "Texts in one language; both without it.",
    "schema": {"type": "string", "enum": ["zh", "en"]},
}


class OpenApi(dict[str, Any]):
    """A description in the form that BentoML asks for."""

    def asdict(self) -> dict[str, Any]:
        """Itself."""
        return self


def described(written: dict[str, Any]) -> OpenApi:
    """BentoML's description, made true: our errors, our headers, only the addresses that are served."""
    paths = {path: item for path, item in written["paths"].items() if path in RULES}
    paths.setdefault("/model", {"get": {"description": "The card of the model in use.", "responses": _json_reply()}})
    paths.setdefault("/docs.json", {"get": {"description": "This description.", "responses": _json_reply()}})
    for path, item in paths.items():
        rule = RULES[path]
        for operation in item.values():
            replies = {str(status): reply for status, reply in operation["responses"].items() if str(status) == "200"}
            operation["responses"] = {
                **replies,
                **_errors(needs_token=bool(rule.roles), has_body="POST" in rule.methods),
            }
            operation["security"] = [{"bearer": []}] if rule.roles else []
            operation["parameters"] = [PURPOSE, LANGUAGE] if rule.needs_purpose else []
    components = written.get("components", {})
    schemas = components.get("schemas", {})
    return OpenApi(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "povrisk",
                "version": "1",
                "description": "Explained early warning of households returning to poverty. It decides nothing.",
            },
            "servers": written["servers"],
            "paths": paths,
            "components": {
                **components,
                "schemas": {**schemas, "Problem": PROBLEM},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _json_reply() -> dict[str, Any]:
    return {"200": {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}}


def _errors(*, needs_token: bool, has_body: bool) -> dict[str, Any]:
    """The refusals that an address may give."""
    statuses = {405, 500, 503} | ({401, 403, 404} if needs_token else set())
    statuses |= {400, 408, 413, 415, 422} if has_body else set()
    titles = {kind.status: kind.title for kind in Refusal.__subclasses__()}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": titles[status], "content": content} for status in sorted(statuses)}
