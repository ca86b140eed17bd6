"""JSON read strictly: UTF-8, one document, no key twice, no nesting without end."""

from __future__ import annotations

import json
import re
from typing import Any

from serving.errors import Malformed

MAX_KEYS = 64
_FIELD_NAME = re.compile(r"[a-z][a-z_]{0,39}")


def read_document(body: bytes) -> Any:
    """The document, or a refusal that repeats nothing of it.

    Numbers that JSON does not know (`NaN`, `Infinity`, `1e999`) are read as they are written, so that the check of the
    field refuses them by name.

    >>> read_document(b'{"households": []}')
    {'households': []}
    >>> read_document(b'{"value": 1, "value": 2}')
    Traceback (most recent call last):
    ...
    serving.errors.Malformed: the key 'value' is given twice in one object
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object_without_repeats)
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        raise Malformed("a number has too many digits") from None


def safe_name(key: object) -> str:
    """A submitted key as it may be repeated: a plain field name, or a placeholder where it could be a value.

    >>> safe_name("supercedes"), safe_name("HH-4711")
    ('supercedes', '(key)')
    """
    return key if isinstance(key, str) and _FIELD_NAME.fullmatch(key) else "(key)"


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise Malformed(f"an object has more than {MAX_KEYS} keys")
    unique: dict[str, Any] = {}
    for key, value in pairs:
        if key in unique:
            raise Malformed(f"the key {safe_name(key)!r} is given twice in one object")
        unique[key] = value
    return unique
