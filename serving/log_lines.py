"""How our log lines are written: as JSON, one object a line, or as text for a person at a terminal.

`POVRISK_LOG` chooses (`json` or `text`); without it a terminal gets text and everything else JSON. The lines of other
libraries keep their own form.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec

LOG = "POVRISK_LOG"
FORMS = ("json", "text")
OWN = "povrisk"
_encode = msgspec.json.Encoder().encode


class LogRefused(ValueError):
    """`POVRISK_LOG` names no form."""


class Line:
    """A log message made of fields. `str` gives it for a person.

    >>> str(Line({"method": "POST", "address": "/score", "status": 422, "seconds": 0.0123, "refusal": "invalid"}))
    'refused 422 on /score: POST, 12.3 ms, refusal=invalid'
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields

    def __str__(self) -> str:
        said, rest = self.fields, {**self.fields}
        method, address, status = (rest.pop(name, "") for name in ("method", "address", "status"))
        seconds = rest.pop("seconds", 0.0)
        listed = "".join(f", {name}={value}" for name, value in rest.items() if value is not None)
        what = "refused" if said.get("refusal") else "answered"
        return f"{what} {status} on {address}: {method}, {seconds * 1000:.1f} ms{listed}"


class AsJson(logging.Formatter):
    """One JSON object a record: when, how grave, who says it, and the fields or the message.

    >>> record = logging.LogRecord("povrisk.serving", logging.INFO, "", 0, "kept %d\\nlines", (3,), None)
    >>> json.loads(AsJson().format(record))["message"]
    'kept 3\\nlines'
    """

    def __init__(self) -> None:
        super().__init__()
        self._second, self._written = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break inside."""
        head = {"at": self._at(record.created), "level": record.levelname, "logger": record.name}
        if isinstance(record.msg, Line):
            return _encode({**head, **record.msg.fields}).decode()
        said = {**head, "message": record.getMessage(), "pid": record.process}
        if record.exc_text:
            said["places"] = record.exc_text
        return json.dumps(said, ensure_ascii=False)

    def _at(self, moment: float) -> str:
        second = int(moment)
        if second != self._second:
            self._second, self._written = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._written}.{int(moment % 1 * 1000):03d}Z"


def form(environment: Mapping[str, str], stream: TextIO) -> str:
    """Which form the lines have. Raises `LogRefused`.

    >>> form({"POVRISK_LOG": "text"}, sys.stdout)
    'text'
    """
    asked = environment.get(LOG, "")
    if asked not in ("", *FORMS):
        raise LogRefused(f"{LOG} must be {' or '.join(FORMS)}")
    return asked or ("text" if stream.isatty() else "json")


def write_own_lines(handler_filter: logging.Filter) -> None:
    """Give our loggers a handler of their own, in the form asked for. Raises `LogRefused`."""
    is_json = form(os.environ, sys.stdout) == "json"
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(handler_filter)
    handler.setFormatter(AsJson() if is_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    own = logging.getLogger(OWN)
    own.handlers[:] = [handler]
    own.propagate = False
    own.setLevel(logging.INFO)
