"""The description behind `/docs.json`: BentoML's, with the errors, headers and endpoints that it cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from models.tier import Tier
from serving.case_messages import KEY_PATTERN
from serving.errors import MEDIA_TYPE, Refusal
from serving.guard.rules import PURPOSES, RULES, Rule

PROBLEM = {
    "type": "object",
    "description": "RFC 9457. Names fields, never repeats a submitted value.",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "current_version": {"type": "integer", "description": "With status 409: where the task stands now."},
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


KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "New for every request, the same for its retries: what was recorded once is not recorded twice.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
}
KEPT = {
    "X-Assessment-Kept": {
        "description": "no: there is no store, or it was down; the answer holds all the same.",
        "schema": {"type": "string", "enum": ["yes", "no"]},
    }
}
VERSION = {
    "X-Task-Version": {
        "description": "The version that a visit report must carry; 0 while the household has no open task.",
        "schema": {"type": "integer"},
    }
}


def _choice(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


OF_ADDRESS: Mapping[str, list[dict[str, Any]]] = {
    "/score": [LANGUAGE],
    "/assessments/{assessment_id}": [LANGUAGE],
    "/assessments/{assessment_id}/feedback": [KEY],
    "/assessments/{assessment_id}/outcome": [KEY],
    "/queue": [
        _choice("tier", "Only this tier.", type="string", enum=[tier.value for tier in Tier]),
        _choice("township", "Only this township.", type="string", maxLength=200),
        _choice("queue", "Only this queue.", type="string", enum=["scored", "manual", "grey"]),
        _choice("limit", "Entries of a page.", type="integer", minimum=1, maximum=200, default=50),
        _choice("cursor", "The next_cursor of the page before, with the same filter.", type="string"),
    ],
}
# What may be said at an address beside what its kind says: the store, a name that is not kept, a version.
ALSO: Mapping[str, set[int]] = {
    "/queue": {422},
    "/assessments/{assessment_id}": {422},
    "/assessments/{assessment_id}/replay": {422},
    "/households/{household_id}/assessments": {422},
    "/journal/head": {422},
    "/assessments/{assessment_id}/feedback": {409},
    "/assessments/{assessment_id}/concern": {409},
}


class OpenApi(dict[str, Any]):
    """A description in the form that BentoML asks for."""

    def asdict(self) -> dict[str, Any]:
        """Itself."""
        return self


# `bentoml build` writes the description to a file, which every reader of YAML should understand.
yaml.add_representer(OpenApi, lambda dumper, described: dumper.represent_dict(described.items()))


def described(written: dict[str, Any]) -> OpenApi:
    """BentoML's description, made true: our errors, our headers, only the addresses that are served to machines."""
    machines = {path: rule for path, rule in RULES.items() if not rule.is_page}
    ours, schemas = _ours()
    paths = {path: item for path, item in {**written["paths"], **ours}.items() if path in machines}
    paths["/docs.json"] = {"get": {"description": "This description.", "responses": _json_reply()}}
    paths["/schema.json"] = {
        "get": {"description": "The endpoint of BentoML in its own words.", "responses": _json_reply()}
    }
    for path, item in paths.items():
        for operation in item.values():
            _complete(operation, path, machines[path])
    components = written.get("components", {})
    return OpenApi(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "povrisk",
                "version": "1",
                "description": "Explained early warning of households returning to poverty. It decides nothing. "
                "Pages for people begin at / and are not described here.",
            },
            "servers": written["servers"],
            "paths": paths,
            "components": {
                **components,
                "schemas": {**schemas, **components.get("schemas", {}), "Problem": PROBLEM},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _ours() -> tuple[dict[str, Any], dict[str, Any]]:
    """The addresses that BentoML does not see, and the messages they read and answer."""
    from serving.addresses import ENDPOINTS

    asked = [(read, "validation") for _, _, read, _ in ENDPOINTS.values() if read is not None]
    told = [(answer, "serialization") for _, _, _, answer in ENDPOINTS.values() if answer is not None]
    references, whole = models_json_schema(
        [*asked, *told],  # type: ignore[list-item]
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, Any] = {}
    for path, (method, handler, read, answer) in ENDPOINTS.items():
        schema = {"type": "object"} if answer is None else references[(answer, "serialization")]
        status = "201" if method == "POST" else "200"
        operation: dict[str, Any] = {
            "description": (handler.__doc__ or "").partition(": ")[2],
            "responses": _json_reply(status, schema),
        }
        if read is not None:
            content = {"application/json": {"schema": references[(read, "validation")]}}
            operation["requestBody"] = {"required": True, "content": content}
        paths[path] = {method.lower(): operation}
    return paths, whole.get("$defs", {})


def _complete(operation: dict[str, Any], path: str, rule: Rule) -> None:
    """The refusals, the token and the parameters of one address."""
    replies = {str(status): reply for status, reply in operation["responses"].items() if str(status)[0] == "2"}
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    for reply in replies.values():
        headers = {"/score": KEPT, "/assessments/{assessment_id}": VERSION}.get(path)
        if headers is not None:
            reply["headers"] = headers
    statuses = _statuses(rule) | ALSO.get(path, set())
    operation["responses"] = {**replies, **_errors(statuses)}
    operation["security"] = [{"bearer": []}] if rule.roles else []
    operation["parameters"] = [
        *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names),
        *([PURPOSE] if rule.needs_purpose else []),
        *OF_ADDRESS.get(path, []),
    ]


def _json_reply(status: str = "200", schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    content = {"application/json": {"schema": schema or {"type": "object"}}}
    return {status: {"description": "Recorded" if status == "201" else "OK", "content": content}}


def _statuses(rule: Rule) -> set[int]:
    statuses = {405, 500, 503} | ({401, 403, 404, 429} if rule.roles else set())
    return statuses | ({400, 408, 413, 415, 422} if "POST" in rule.methods else set())


def _errors(statuses: set[int]) -> dict[str, Any]:
    """The refusals that an address may give."""
    titles: dict[int, list[str]] = {}
    for kind in Refusal.__subclasses__():
        titles.setdefault(kind.status, []).append(kind.title)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(each): {"description": "; or: ".join(titles[each]), "content": content} for each in sorted(statuses)}
