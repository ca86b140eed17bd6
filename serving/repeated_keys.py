"""Whether a JSON document gives a key twice in one object, found in its bytes without building anything.

Readers of JSON let the last of two equal keys win, so that two programs on the way may understand the same body
differently.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

MAX_DEPTH = 8
MAX_KEYS = 64
# A longer number may be one that readers of JSON do not agree about.
MAX_NUMBER = 32
_QUOTE, _ESCAPE, _COMMA, _COLON = ord('"'), ord("\\"), ord(","), ord(":")
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_LIST, _CLOSE_LIST = ord("{"), ord("}"), ord("["), ord("]")
_SPACE = ord(" ")
_OFFSET_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def may_repeat_a_key(body: bytes) -> bool:
    """Whether a document must be looked at closely: True wherever an object holds a key twice.

    It is also True, to be on the safe side, for keys written with an escape, for nesting deeper than any message has,
    for objects of more keys and for longer numbers than are written in earnest, and for keys that only look equal to a
    hash. What is no JSON at all gets either answer.

    >>> may_repeat_a_key(b'{"a": [{"b": 1}, {"b": "\\\\"b"}]}'), may_repeat_a_key(b'{"a": {"b": 1, "c": 2, "b": 3}}')
    (False, True)
    """
    return not body or bool(_is_in_doubt(np.frombuffer(body, np.uint8)))


# It keeps the lock: to get it back beside a computing thread lasts longer than to read a body.
@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _is_in_doubt(body: npt.NDArray[np.uint8]) -> bool:
    is_object = np.zeros(MAX_DEPTH + 1, np.bool_)
    # Keys of all open objects stand one after another; those of the object at depth d begin at first[d].
    keys, first = np.empty(MAX_DEPTH * MAX_KEYS, np.uint64), np.zeros(MAX_DEPTH + 1, np.int64)
    depth, n, at, end, run = 0, 0, 0, len(body), 0
    expects_key = False
    while at < end:
        letter = body[at]
        if letter == _QUOTE:
            run = 0
            at += 1
            if not expects_key:
                while at < end and body[at] != _QUOTE:
                    at += 2 if body[at] == _ESCAPE else 1
            else:
                value = _OFFSET_BASIS
                while at < end and body[at] != _QUOTE:
                    if body[at] == _ESCAPE:
                        return True
                    value = (value ^ np.uint64(body[at])) * _PRIME
                    at += 1
                for k in range(first[depth], n):
                    if keys[k] == value:
                        return True
                if n - first[depth] == MAX_KEYS:
                    return True
                keys[n] = value
                n += 1
                expects_key = False
        elif letter in (_OPEN_OBJECT, _OPEN_LIST):
            run = 0
            if depth == MAX_DEPTH:
                return True
            depth += 1
            is_object[depth] = expects_key = letter == _OPEN_OBJECT
            first[depth] = n
        elif letter in (_CLOSE_OBJECT, _CLOSE_LIST):
            run = 0
            if depth == 0:
                return True
            n = first[depth]
            depth -= 1
            expects_key = False
        elif letter == _COMMA:
            run = 0
            expects_key = is_object[depth]
        elif letter == _COLON or letter <= _SPACE:
            run = 0
        else:
            run += 1
            if run > MAX_NUMBER:
                return True
        at += 1
    return False
