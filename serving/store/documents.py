"""JSON documents as bytes: one way to write them, so that equal documents have equal digests."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any


def written(document: Any) -> str:
    """Canonical JSON: sorted names, no spaces, no escapes of what is not ASCII. Raises ValueError for `NaN`.

    >>> written({"b": 1.5, "a": "村"})
    '{"a":"村","b":1.5}'
    """
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def packed(document: Any) -> bytes:
    """Canonical JSON, compressed.

    >>> unpacked(packed({"b": [1, None], "a": "村"}))
    {'a': '村', 'b': [1, None]}
    """
    return zlib.compress(written(document).encode(), 6)


def unpacked(stored: bytes) -> Any:
    """The document that `packed` wrote."""
    return json.loads(zlib.decompress(stored))


def digest(document: Any) -> str:
    """SHA-256 of the canonical JSON, hexadecimal: the same whatever the order of names.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(written(document).encode()).hexdigest()
