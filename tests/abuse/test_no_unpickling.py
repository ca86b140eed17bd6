"""Nothing but JSON is read, and nothing that anybody sends is ever unpickled."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from serving.guard.rules import RULES
from tests.abuse.conftest import Inside, problem

NAME = "as-" + "0" * 24
MACHINES = [path for path, rule in RULES.items() if not rule.is_page and "POST" in rule.methods]
FORMS = [path for path, rule in RULES.items() if rule.is_page and rule.roles and "POST" in rule.methods]
OTHER_TYPES = [
    "application/vnd.bentoml+pickle",
    "application/vnd.bentoml.pickled",
    "application/x-pickle",
    "application/python-pickle",
    "application/octet-stream",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
    "application/x-numpy",
    "application/x-msgpack",
    "application/yaml",
    "application/xml",
    "multipart/form-data; boundary=x",
    "multipart/mixed; boundary=" + "x" * 5000,
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "application/json, application/vnd.bentoml+pickle",
    "application/json; charset=utf-7",
    "application/jsonp",
    "*/*",
    "",
]
# What BentoML's own clients send along to have a body read as something else.
RUNNER_HEADERS = {
    "payload-container": "PickleBytesContainer",
    "args-number": "1",
    "bento-name": "x",
    "runner-name": "x",
    "yatai-bento-deployment-name": "x",
}

_found: list[str] = []
_is_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _is_watching and event == "pickle.find_class":
        _found.append(f"{arguments[0]}.{arguments[1]}")


# Cannot be taken back: Python tells of every name that any unpickler looks up, whichever library it is in.
sys.addaudithook(_watch)


@pytest.fixture
def watched(inside: Inside, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    """The service, with every unpickling seen, and made to fail where it is called by name."""
    global _is_watching
    assert inside.score(good).status_code == 200

    def refuse(*_: Any, **__: Any) -> Any:
        _found.append("pickle.loads")
        raise AssertionError("unpickled")

    _found.clear()
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    _is_watching = True
    yield inside
    _is_watching = False
    assert _found == []


class Hostile:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return open, (str(self.file), "w")


def hostile_bodies(file: Path) -> list[bytes]:
    table = pa.table({"households": [1]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    pickled = [pickle.dumps(Hostile(file), protocol=protocol) for protocol in (0, 2, 5)]
    part = (
        b'--x\r\nContent-Disposition: form-data; name="batch"; filename="a.pkl"\r\n\r\n' + pickled[0] + b"\r\n--x--\r\n"
    )
    return [*pickled, sink.getvalue().to_pybytes(), part, b"{}"]


def test_the_watch_would_see_it(tmp_path: Path) -> None:
    global _is_watching
    _is_watching = True
    pickle.loads(hostile_bodies(tmp_path / "made")[0])
    _is_watching = False
    assert (tmp_path / "made").exists()
    assert _found
    _found.clear()


@pytest.mark.parametrize("path", [*MACHINES, *FORMS])
def test_another_media_type_is_refused_unread(watched: Inside, path: str, tmp_path: Path) -> None:
    address = path.replace("{assessment_id}", NAME).replace("{n}", "1")
    for kind in OTHER_TYPES:
        if path in FORMS and "urlencoded" in kind:
            continue
        for body in hostile_bodies(tmp_path / "made"):
            for more in ({}, RUNNER_HEADERS):
                headers = watched.headers("supervisor", **{"content-type": kind, "idempotency-key": "k", **more})
                problem(watched.client.post(address, content=body, headers=headers), 415)
    assert not (tmp_path / "made").exists()


def test_what_is_pickled_and_called_json_is_no_json(watched: Inside, tmp_path: Path) -> None:
    for body in hostile_bodies(tmp_path / "made")[:-1]:
        for more in ({}, RUNNER_HEADERS):
            problem(watched.score(body, **more), 400)
    assert not (tmp_path / "made").exists()


def test_a_call_is_answered_without_unpickling(watched: Inside, good: dict[str, Any]) -> None:
    assert watched.score(good, **RUNNER_HEADERS).status_code == 200
    for path in ("/livez", "/readyz", "/model", "/docs.json", "/queue"):
        assert watched.client.get(path, headers=watched.headers()).status_code == 200
